"""Containers made anew from another compose file."""

from __future__ import annotations

from dataclasses import replace

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.planning.containers_only import switch_file, warnings
from rollback_tasks.planning.file_pictures import file_pictures
from rollback_tasks.planning.mixed import mix
from rollback_tasks.planning.target import current_release
from tests.builders import (
    a_container,
    a_project,
    a_request,
    code_only,
    commit,
    some_facts,
    some_services,
    some_settings,
)

PROJECT = a_project()
REFUSED = "yaml: line 3: did not find expected node content"


def plan(facts: HostFacts, to: str) -> HostPlan:
    services = some_services()
    pictures, problems = file_pictures(PROJECT, facts, services, services)
    assert problems == ()
    current = current_release(facts, PROJECT)
    made = HostPlan(host="prod1", current=current, verdict=code_only())
    images = {name: pictures.wanted(name) for name in pictures.pins}
    reached = current if to == current.commit else mix(a_request(), current, "compose file of r2", images)
    return switch_file(a_request(), PROJECT, some_settings(), facts, to, reached, pictures, made, "r2")


def test_the_file_of_another_commit_is_recorded_and_that_of_the_checkout_says_nothing_against_it() -> None:
    facts = some_facts(3)
    order = "save_evidence prepare_images save_checkout stop_services checkout_files switch_images start_services"
    own = [*order.split(), "await_healthy", "verify_release"]
    assert [step.kind for step in plan(facts, commit(3)).steps] == own
    assert [step.kind for step in plan(facts, commit(2)).steps] == [*own, "record_release"]


def test_containers_stay_where_compose_could_not_make_them_again() -> None:
    facts = replace(some_facts(3), compose_problem=f"x\n{REFUSED}")
    for now, is_anew in ((some_facts(3), True), (facts, False)):
        (start,) = (step for step in plan(now, commit(2)).steps if step.kind == "start_services")
        (command,) = start.forward()
        assert ("--force-recreate" in command.argv) is is_anew  # type: ignore[union-attr]
    assert [REFUSED in told for told in warnings(facts, PROJECT)] == [True]
    assert list(warnings(some_facts(3), PROJECT)) == []
    stopped = replace(facts, containers=(a_container("app", 3, "exited"),))
    assert list(warnings(stopped, PROJECT)) == []
