"""A port has one container at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rollback_tasks.drivers.compose import Service
from rollback_tasks.planning.start_guards import ports_taken
from tests.builders import a_project, some_facts

APP = Service(image="app", ports=("8000",))
BEHIND = Service(image="app")
PROXY = Service(image="proxy", ports=("8000", "8443"))
DB = Service(image="db")


@pytest.mark.parametrize(
    ("now", "then", "is_up", "taken"),
    [
        ({"app": APP, "db": DB}, {"app": APP, "db": DB}, True, 0),
        ({"app": BEHIND, "proxy": PROXY}, {"app": APP}, True, 1),
        ({"app": BEHIND, "proxy": PROXY}, {"app": APP, "proxy": Service(image="proxy", ports=("9000",))}, True, 1),
        ({"app": BEHIND, "proxy": PROXY}, {"app": APP}, False, 0),
        ({"app": BEHIND, "proxy": PROXY}, {"app": BEHIND}, True, 0),
        ({}, {"app": APP}, True, 0),
        ({"app": APP}, {}, True, 0),
    ],
)
def test_a_port_that_something_else_keeps_blocks_the_plan(
    now: Mapping[str, Service], then: Mapping[str, Service], is_up: bool, taken: int
) -> None:
    facts = some_facts()
    one = facts.containers[0]
    proxy = replace(one, id="p", name="proxy-1", service="proxy", state="running" if is_up else "exited")
    facts = replace(facts, containers=(*facts.containers, proxy))
    found = list(ports_taken(facts, a_project(), now, then))
    assert len(found) == taken
    for blocker in found:
        assert blocker.brief == "port 8000 is taken by proxy, which stays, and app takes it at the target"
        assert "docker compose -p comicpile -f docker-compose.yml stop proxy" in blocker.hint
