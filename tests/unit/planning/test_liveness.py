"""Which states of a service are well."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import Container
from rollback_tasks.planning.liveness import problem

NOW = 1795317301.0  # 2026-11-22T03:15:01Z
LONG_AGO = "2026-11-20T03:15:01.123456789Z"
JUST_NOW = "2026-11-22T03:14:51.123456789Z"


def a_container(state: str, *, code: int = 0, restarts: int = 0, health: str = "", at: str = LONG_AGO) -> Container:
    return Container(
        id="1", name="app-1", service="app", image="i", image_ref="r", state=state, exit_code=code, restarts=restarts,
        health=health, started_at=at,
    )  # fmt: skip


SERVES = Service(image="i", restart="unless-stopped")
PRESTART = Service(image="i", is_one_shot=True)
JOB = Service(image="i", restart="on-failure:3")
TOOL = Service(image="i", is_optional=True)


@pytest.mark.parametrize(
    ("service", "containers", "is_needed", "says"),
    [
        (SERVES, [a_container("running")], True, ""),
        (SERVES, [a_container("running", restarts=9)], True, ""),
        (SERVES, [a_container("running", health="starting")], True, ""),
        (SERVES, [], True, "app has no container"),
        (SERVES, [], False, "app has no container"),
        (SERVES, [a_container("exited")], True, "app-1 has ended with exit code 0"),
        (SERVES, [a_container("exited")], False, "app-1 has ended with exit code 0"),
        (SERVES, [a_container("exited", code=137)], True, "app-1 has ended with exit code 137"),
        (SERVES, [a_container("restarting", code=1)], True, "app-1 is restarting"),
        (SERVES, [a_container("paused")], True, "app-1 is paused"),
        (SERVES, [a_container("created")], True, "app-1 is created"),
        (
            SERVES,
            [a_container("running", health="unhealthy")],
            True,
            "app-1 is unhealthy, as its own health check says",
        ),
        (
            SERVES,
            [a_container("running", restarts=7, at=JUST_NOW)],
            True,
            "app-1 keeps dying: 7 restarts, the last 10 s ago",
        ),
        (SERVES, [a_container("running"), a_container("dead")], True, "app-1 is dead"),
        (PRESTART, [a_container("exited")], False, ""),
        (PRESTART, [a_container("exited")], True, ""),
        (PRESTART, [], False, ""),
        (PRESTART, [a_container("exited", code=1)], False, "app-1 has ended with exit code 1"),
        (PRESTART, [a_container("created")], False, "app-1 was never started"),
        (JOB, [a_container("exited")], False, ""),
        (JOB, [a_container("exited", code=2)], False, "app-1 has ended with exit code 2"),
        (JOB, [a_container("exited")], True, "app-1 has ended with exit code 0"),
        (TOOL, [], False, ""),
        (None, [a_container("exited")], True, "app-1 has ended with exit code 0"),
        (None, [], True, "app has no container"),
    ],
)
def test_a_service_lives_or_it_is_said_what_is_wrong(
    service: Service | None, containers: list[Container], is_needed: bool, says: str
) -> None:
    assert problem("app", service, containers, now=NOW, is_needed=is_needed) == says
