"""The steps of the procedures that take back a part: they add up, and every beginning of them can be undone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import GitFacts, HostFacts
from rollback_tasks.model.plan import Compensation, Gate, HostPlan, HostState
from rollback_tasks.planning import containers_only, images_only, mixed, rolling
from rollback_tasks.planning.file_pictures import file_pictures, left_alone
from rollback_tasks.planning.pictures import recorded_pictures
from rollback_tasks.planning.target import current_release
from rollback_tasks.steps.codec import from_json, to_json
from rollback_tasks.steps.stop_services import StopServices
from tests.builders import (
    RUN,
    a_container,
    a_project,
    a_release,
    a_request,
    code_only,
    commit,
    image,
    some_facts,
    some_services,
    some_settings,
)
from tests.folds import assert_reads_and_stands_alone

PROJECT = a_project()


def images_back(facts: HostFacts) -> HostPlan:
    current = current_release(facts, PROJECT)
    target = a_release(2)
    pictures, problems = recorded_pictures(PROJECT, facts, current, target, some_services())
    assert problems == ()
    verdict = code_only() if facts.database else None
    plan = HostPlan(host="prod1", current=current, target=target, verdict=verdict)
    reached = mixed.mix(a_request(), current, "images of r2", {"app": image(2)})
    return images_only.switch(
        a_request(), PROJECT, some_settings(), facts, current, reached, pictures, plan, target.label
    )


def files_back(facts: HostFacts, then: dict[str, Service]) -> HostPlan:
    current = current_release(facts, PROJECT)
    pictures, problems = file_pictures(PROJECT, facts, some_services(), then)
    assert problems == ()
    plan = HostPlan(host="prod1", current=current, target=a_release(2), verdict=code_only())
    reached = mixed.mix(a_request(), current, "compose file of r2", {"app": image(3)})
    return containers_only.switch_file(
        a_request(), PROJECT, some_settings(), facts, commit(2), reached, pictures, plan, "r2"
    )


def made_anew(facts: HostFacts) -> HostPlan:
    current = current_release(facts, PROJECT)
    pictures, _ = file_pictures(PROJECT, facts, some_services(), some_services())
    plan = HostPlan(host="prod1", current=current, target=current, verdict=code_only())
    return containers_only.recreate(a_request(), PROJECT, some_settings(), facts, pictures, plan)


def rolled_back(facts: HostFacts) -> HostPlan:
    current = current_release(facts, PROJECT)
    services = {**some_services(), "app": replace(some_services()["app"], listens=8000)}
    pictures, problems = recorded_pictures(PROJECT, facts, current, a_release(2), services)
    assert problems == ()
    plan = HostPlan(host="prod1", current=current, target=a_release(2), verdict=code_only())
    reached = mixed.mix(a_request(), current, "images of r2", {"app": image(2)})
    return rolling.roll(
        a_request(), PROJECT, some_settings(), facts, services, reached, pictures, plan, a_release(2).label
    )


DIRTY = replace(some_facts(3), git=GitFacts(commit=commit(3), branch="main", dirty=("a",)))
OTHER_BUILD = {**some_services(), "app": Service(image="comic-pile", build={"context": ".", "target": "small"})}
SCALED = replace(
    some_facts(3),
    containers=(a_container("app", 3), a_container("app", 3, id="app-b", name="comicpile-app-2"), a_container("db", 9)),
)
PLANS = {
    "images back": images_back(some_facts(3)),
    "images back without the database": images_back(replace(some_facts(3), database=None, is_healthy=False)),
    "images back of two containers": images_back(SCALED),
    "compose file back": files_back(some_facts(3), some_services()),
    "compose file back over changes": files_back(DIRTY, some_services()),
    "compose file back, to be built": files_back(some_facts(3), OTHER_BUILD),
    "compose file back, to be fetched": files_back(some_facts(3), {**some_services(), "app": Service(image="hub/x:1")}),
    "compose file back over one that compose refuses": files_back(
        replace(some_facts(3), compose_problem="odd"), some_services()
    ),
    "made anew": made_anew(some_facts(3)),
    "exchanged without a gap": rolled_back(some_facts(3)),
    "two containers exchanged without a gap": rolled_back(SCALED),
}
STEPS = {step.kind: step for made in PLANS.values() for step in made.steps}


@pytest.mark.parametrize("name", PLANS)
def test_the_steps_end_where_the_plan_says(name: str) -> None:
    made = PLANS[name]
    state = made.start
    assert state is not None
    for step in made.steps:
        state = step.project(state)
    assert state == made.end
    assert None not in state.running.values()


@pytest.mark.parametrize("name", PLANS)
def test_undoing_any_beginning_ends_at_the_start_also_twice(name: str) -> None:
    made = PLANS[name]
    assert made.start is not None
    for reached in range(len(made.steps) + 1):
        for has_acted in (True, False):
            state: HostState = made.start
            for step in made.steps[: max(0, reached - (not has_acted))]:
                state = step.project(state)
            for step in reversed(made.steps[:reached]):
                state = step.unproject(state)
                assert step.unproject(state) == state
            assert state.without_kept() == made.start.without_kept(), made.steps[reached - 1].kind


@pytest.mark.parametrize("name", PLANS)
def test_conditions_only_read_and_every_way_back_stands_alone(name: str) -> None:
    for step in PLANS[name].steps:
        assert_reads_and_stands_alone(step)


@pytest.mark.parametrize("name", PLANS)
def test_another_laptop_reads_the_same_steps(name: str) -> None:
    assert [from_json(to_json(step), ()) for step in PLANS[name].steps] == list(PLANS[name].steps)


def test_images_alone_change_neither_checkout_nor_database() -> None:
    made = PLANS["images back"]
    kinds = "save_evidence prepare_images stop_services switch_images start_services await_healthy verify_release"
    assert [step.kind for step in made.steps] == [*kinds.split(), "record_release"]
    assert made.start is not None
    assert made.end is not None
    assert (made.end.checkout, made.end.schema) == (made.start.checkout, made.start.schema)
    assert STEPS["verify_release"].describe() == "verify what really runs: image digests, schema"


def test_without_the_database_its_containers_have_to_live() -> None:
    made = PLANS["images back without the database"]
    said = [step.describe() for step in made.steps]
    assert said[5] == "watch for 5 s that the containers live: health cannot be asked without the database"
    assert said[6] == "verify what really runs: image digests"
    assert "await_healthy" not in [step.kind for step in made.steps]


def test_the_number_of_containers_stays_what_somebody_made_it() -> None:
    made = {step.kind: step for step in PLANS["images back of two containers"].steps}
    assert made["start_services"].describe() == "start app (2 containers)"
    (start,) = made["start_services"].forward()
    assert "--scale app=2" in " ".join(start.argv)  # type: ignore[union-attr]
    (start,) = PLANS["images back"].steps[4].forward()
    assert "--scale" not in start.argv  # type: ignore[union-attr]


def test_the_ledger_learns_what_was_left_and_that_what_runs_is_mixed() -> None:
    (record,) = [step for step in PLANS["images back"].steps if step.kind == "record_release"]
    lines = record.lines  # type: ignore[attr-defined]
    assert [line[line.index('"event": ') + 10 :].partition('"')[0] for line in lines] == [
        "recorded",
        "marked",
        "rolled_back",
    ]
    assert '"mixed": "images of r2"' in lines[0]
    assert f'"id": "{RUN[:16]}-3cccccc-mixed"' in lines[0]


def test_a_compose_file_back_keeps_the_image_that_runs_unless_the_file_asks_for_another() -> None:
    prepare = {name: PLANS[name].steps[1] for name in PLANS if name.startswith("compose file")}
    assert prepare["compose file back"].describe().startswith("pin the target's image")
    assert "fetch hub/x:1 while" in prepare["compose file back, to be fetched"].describe()
    assert f"from commit {commit(3)[:12]}" in prepare["compose file back, to be built"].describe()
    kinds = [step.kind for step in PLANS["compose file back"].steps]
    assert kinds[2:6] == ["save_checkout", "stop_services", "checkout_files", "switch_images"]
    files = PLANS["compose file back"].steps[4]
    undo = files.compensation()
    assert files.describe() == f"lay docker-compose.yml of commit {commit(2)[:12]} into the checkout"
    assert isinstance(undo, Compensation)
    assert undo.says == "put docker-compose.yml back as they were"


def test_making_containers_anew_changes_no_release() -> None:
    made = PLANS["made anew"]
    assert made.start is not None
    assert made.end is not None
    assert made.start.without_kept() == made.end.without_kept()
    assert "record_release" not in [step.kind for step in made.steps]


def test_what_is_left_alone_although_it_differs_is_said() -> None:
    then = {**some_services(db="postgres:15"), "proxy": Service(image="p")}
    assert left_alone(PROJECT, some_services(), then) == [
        "the database's image differs (comic-pile-db, then postgres:15); the database service is left alone",
        "services that differ and are left alone, being none of the application's: proxy",
    ]
    assert left_alone(PROJECT, some_services(), some_services()) == []


def test_new_containers_prove_themselves_before_an_old_one_stops() -> None:
    made = PLANS["two containers exchanged without a gap"]
    said = [step.describe() for step in made.steps[2:10]]
    assert said == [
        "note the containers that serve, so that they can come back without a gap too",
        "make comic-pile mean the target's image",
        "try one container of the target's app that no client reaches, on the data as it is",
        "start the target's containers of app beside those that serve",
        "wait up to 60 s until each new container of app is healthy, and is asked by others",
        "stop the containers that are left, one after the other, when each has finished what it was asked",
        "wait up to 60 s until http://localhost:8000/health is healthy, and 3 s more",
        "remove the stopped containers; their image and their logs are kept",
    ]
    assert [step.takes_service_away for step in made.steps] == [n >= 7 for n in range(len(made.steps))]
    assert not made.has_gap
    (trial,) = (step for step in made.steps if step.kind == "try_beside")
    gates = [action for action in trial.forward() if isinstance(action, Gate)]
    assert [gate.is_strict for gate in gates] == [True]


def test_what_a_readable_file_made_is_made_again_from_the_target_where_compose_refuses_the_present_one() -> None:
    stops = {name: step for name, made in PLANS.items() for step in made.steps if isinstance(step, StopServices)}
    refused = stops.pop("compose file back over one that compose refuses")
    assert (refused.otherwise, {step.otherwise for step in stops.values()}) == (commit(2), {""})
