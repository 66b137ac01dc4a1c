"""Where two releases can serve at once, and what is said where they cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.answering import Door
from rollback_tasks.drivers.compose import Service, read_config
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning.rolling import blockers, rolled
from rollback_tasks.steps.roll_containers import KeepServing
from tests.builders import a_container, a_project, a_release, a_verdict, code_only, some_facts, some_services
from tests.unit.steps.test_partial import rolled_back

PROJECT = a_project()
FREE = replace(some_services()["app"], listens=8000)
SERVICES = {**some_services(), "app": FREE}


SAME = code_only()


def refused(
    service: Service = FREE, *, facts: HostFacts | None = None, verdict: Verdict | None = SAME
) -> list[tuple[str, str]]:
    plan = HostPlan(host="prod1", current=a_release(3), verdict=verdict)
    found = blockers(PROJECT, facts or some_facts(3), {**SERVICES, "app": service}, plan, "r2")
    return [(blocker.brief, blocker.hint) for blocker in found]


def test_what_has_neither_a_fixed_name_nor_a_fixed_port_can_be_exchanged() -> None:
    assert refused() == []
    assert refused(replace(FREE, network_mode="bridge")) == []


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (
            replace(FREE, container_name="pile"),
            "service app has the fixed container name pile: only one can have it",
        ),
        (
            replace(FREE, ports=("8000", "8001")),
            (
                "service app takes port 8000, 8001 of the host for itself, which two containers cannot share; without "
                "a gap it needs a proxy in front that publishes the port in its place"
            ),
        ),
        (replace(FREE, network_mode="host"), "service app has no network of its own (network_mode: host)"),
        (
            replace(FREE, is_pulled=True),
            "service app asks for a pull at each start, which would fetch another image than the one gone back to",
        ),
        (replace(FREE, is_one_shot=True), "no service of the application goes on running"),
    ],
)
def test_what_cannot_be_there_twice_is_told_with_the_way_that_has_a_gap(service: Service, why: str) -> None:
    ((brief, hint),) = refused(service)
    assert brief.startswith(why)
    assert hint == "with a gap of seconds: `inv rollback.docker --host prod1 --to r2`"


@pytest.mark.parametrize(
    ("containers", "why"),
    [
        ((), "service app has no container: there is nothing to exchange"),
        (
            (a_container("app", 3), a_container("app", 3, "exited", name="app-2")),
            "app-2 of service app does not run: nobody can say whether it is meant to",
        ),
        (
            (a_container("app", 3), a_container("app", 2)),
            "the containers of service app run two images: it is half way between two releases",
        ),
    ],
)
def test_a_service_that_is_not_whole_is_not_exchanged(containers: tuple[object, ...], why: str) -> None:
    facts = replace(some_facts(3), containers=containers)  # type: ignore[arg-type]
    assert [brief for brief, _ in refused(facts=facts)] == [why]


@pytest.mark.parametrize("kind", [VerdictKind.SCHEMA_AHEAD, VerdictKind.DOWNGRADE, VerdictKind.BEHIND])
def test_two_releases_of_two_schemas_never_run_at_once(kind: VerdictKind) -> None:
    ((brief, hint),) = refused(verdict=a_verdict(kind=kind))
    assert "r2 and what runs now would write to one database at the same time" in brief
    assert hint == "with a gap, schema and all: `inv rollback.full --host prod1 --to r2`"


def test_without_an_answer_about_the_schema_nothing_is_exchanged() -> None:
    assert [brief for brief, _ in refused(verdict=None)] == [
        "nobody can say whether r2 and what runs now can share the schema as it is"
    ]
    away = replace(some_facts(3), database=None)
    assert [brief for brief, _ in refused(facts=away, verdict=None)] == [
        "without the database nobody can say when the new containers serve"
    ]


def test_the_service_that_says_where_it_listens_is_asked_and_one_shots_stay() -> None:
    two = replace(PROJECT, app_services=("prestart", "worker", "app"))
    services = {**SERVICES, "worker": Service(image="w"), "prestart": Service(image="p", is_one_shot=True)}
    assert rolled(two, services) == ("app", "worker")


@pytest.mark.parametrize(
    ("said", "port"), [('expose: ["8000"]', 8000), ("expose: [8000, 9000]", 8000), ("image: x", None)]
)
def test_the_port_inside_is_read_from_the_compose_file(said: str, port: int | None) -> None:
    assert read_config(f"services: {{app: {{{said}}}}}", PROJECT)["app"].listens == port


def test_the_health_page_is_asked_inside_where_the_service_listens() -> None:
    step = next(step for step in rolled_back(some_facts(3)).steps if isinstance(step, KeepServing))
    assert step.door == Door(port="8000", fallback="8000", path="/health")
    assert (step.before, step.grace, step.patience) == ({"app": (some_facts(3).containers[0].image, 1)}, 10, 60)
    sick = rolled_back(replace(some_facts(3), is_healthy=False))
    assert next(step for step in sick.steps if isinstance(step, KeepServing)).patience == 3
