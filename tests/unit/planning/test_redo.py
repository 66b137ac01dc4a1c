"""Which finished run can be taken back, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.planning import redo
from rollback_tasks.planning.target import current_release
from rollback_tasks.steps.await_healthy import AwaitHealthy
from rollback_tasks.steps.checkout_release import CheckoutRelease
from rollback_tasks.steps.merge_table import MergeTable
from rollback_tasks.steps.push_ref import PushRef
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.swap_database import SwapDatabase
from rollback_tasks.steps.undo import Undo, undos
from tests.builders import RUN, a_backup, a_container, a_database, a_project, commit, image
from tests.builders import some_facts as bare_facts


def some_facts(current: int) -> HostFacts:
    """The database that the run put aside is there."""
    put_aside = ("comicpile", f"comicpile__before_{RUN}")
    return replace(bare_facts(current), database=a_database((f"s{current}",), databases=put_aside))


SAVED = SaveCheckout(project_=a_project(), run_id=RUN, target=commit(2), changed=0)
STOPPED = StopServices(project_=a_project(), old=(a_container(),), is_pulled=False)
WAITED = AwaitHealthy(project_=a_project(), url="http://localhost/", timeout=1, interval=1, soak=0)
FULL = (
    STOPPED,
    SwapDatabase(project_=a_project(), run_id=RUN, before=("s4",), after=("s3",)),
    CheckoutRelease(project_=a_project(), run_id=RUN, before=commit(4), branch="main", after=commit(3), is_dirty=False),
)
PUSHED = PushRef(
    project_=a_project(),
    run_id=RUN,
    source=commit(3),
    ref="refs/heads/release/2",
    expected="",
    is_forced=False,
    is_protected=False,
)


def reached(**changes: Any) -> dict[str, Any]:
    """What a run that ended at release 3 wrote down as its target."""
    return {"commit": commit(3), "images": {"app": image(3)}, "schema": ["s3"], **changes}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (reached(), ()),
        (None, ()),
        ({}, ()),
        ({"schema": ["s3"]}, ()),
        (reached(images={"app": "rollback-keep/comicpile-app:commit-3ccc"}), ()),
        (reached(commit=commit(2)), ("the checkout",)),
        (reached(images={"app": image(2)}), ("what runs",)),
        (reached(schema=[]), ("the schema",)),
        (reached(schema=["s2"], commit=commit(1)), ("the checkout", "the schema")),
    ],
)
def test_a_run_is_taken_back_only_while_the_host_is_as_it_left_it(
    target: Mapping[str, Any] | None, expected: tuple[str, ...]
) -> None:
    facts = some_facts(3)
    found = list(redo.blockers(facts, current_release(facts, a_project()), {"target": target}, FULL, (), ()))
    told = " and ".join(expected)
    assert [blocker.brief.partition(" changed")[0] for blocker in found] == ([told] if told else [])


def test_what_its_undoing_does_not_touch_may_have_changed_since() -> None:
    facts, elsewhere = some_facts(3), reached(commit=commit(1), images={"app": image(1)}, schema=["s1"])
    current = current_release(facts, a_project())
    for steps, told in (((SAVED, PUSHED), []), ((STOPPED,), ["what runs"])):
        found = redo.blockers(facts, current, {"target": elsewhere}, steps, (), ())
        assert [blocker.brief.partition(" changed")[0] for blocker in found] == told


@pytest.mark.parametrize(("protected", "count"), [((), 0), (("main",), 0), (("release/*",), 1), (("Release/2",), 1)])
def test_a_branch_that_is_protected_by_now_is_not_taken_back(protected: tuple[str, ...], count: int) -> None:
    facts = some_facts(3)
    found = list(redo.blockers(facts, current_release(facts, a_project()), {}, (PUSHED,), (), protected))
    assert len(found) == count
    assert all("is protected by now" in blocker.brief for blocker in found)


def test_an_unfinished_merge_blocks_it() -> None:
    facts = some_facts(3)
    facts = replace(facts, git=replace(facts.git, dirty=("a b.txt",), unmerged=("a b.txt",)))
    (blocker,) = redo.blockers(facts, current_release(facts, a_project()), {}, FULL, (), ())
    assert "a b.txt" in blocker.brief


def test_hosts_that_share_the_database_have_to_be_named_too() -> None:
    facts = some_facts(3)
    (blocker,) = redo.blockers(facts, current_release(facts, a_project()), {}, FULL, ("prod2",), ())
    assert blocker.hint == f"name all of them: --host {facts.host},prod2"


@pytest.mark.parametrize(
    ("live", "then", "expected"),
    [
        ({}, {}, ()),
        ({"users": 3}, {"users": 3}, ()),
        ({"users": 3}, {"users": 5}, ()),
        ({"users": 3, "tasks": 1}, {"users": 1}, "1 rows of tasks, 2 rows of users"),
    ],
)
def test_the_bill_names_rows_that_only_the_present_database_has(
    live: dict[str, int], then: dict[str, int], expected: str | tuple[()]
) -> None:
    told = redo.costs(live, then, "comicpile__left_x")
    wanted = f"{expected} are not in the database that comes back; they stay in comicpile__left_x"
    assert told == ((wanted,) if expected else ())


def planned(*steps: Any, found: tuple[Blocker, ...] = (), dirty: tuple[str, ...] = ()) -> HostPlan:
    facts = some_facts(3)
    facts = replace(facts, git=replace(facts.git, dirty=dirty))
    return redo.plan(
        facts,
        current_release(facts, a_project()),
        run_id=RUN,
        said={"task": "rollback.full", "current": {"release": "r4"}},
        steps=steps,
        found=found,
        lost=(),
        database="comicpile",
        saved_as="later",
    )


def test_steps_are_taken_back_newest_first_and_what_is_kept_is_left_out() -> None:
    plan = planned(SAVED, STOPPED, WAITED)
    undo = STOPPED.compensation()
    assert plan.steps == (Undo(of="stop_services", says=undo.says, is_away=True),)
    assert plan.goal == {"release": "r4"}
    assert not plan.is_noop


def test_a_run_without_anything_to_take_back_is_a_noop() -> None:
    assert undos((SAVED, WAITED)) == ()
    assert planned(SAVED).is_noop


def test_a_blocked_plan_has_no_steps() -> None:
    plan = planned(STOPPED, found=(Blocker("no"),))
    assert (plan.steps, plan.is_noop) == ((), False)


def test_changes_made_since_are_saved_where_the_checkout_moves() -> None:
    told = "changes in the work tree are saved as commit refs/rollback/later/worktree, and untracked files stay: a b"
    assert told in planned(SAVED, STOPPED, dirty=("a b",)).warnings
    assert told not in planned(STOPPED, dirty=("a b",)).warnings
    assert told not in planned(SAVED, STOPPED).warnings


def test_a_run_whose_database_is_gone_is_not_taken_back_but_its_backup_is_named() -> None:
    facts = bare_facts(3)
    current = current_release(facts, a_project())
    (blocker,) = redo.blockers(facts, current, {}, FULL, (), ())
    assert blocker.brief == f"database comicpile__before_{RUN}, which that run put aside, is not there any more"
    assert blocker.hint == "`inv backup.list --host prod1` shows what there is."
    kept = a_backup(f"comicpile-{RUN}-before", "readable", database=f"comicpile__before_{RUN}")
    (blocker,) = redo.blockers(replace(facts, others=((kept, "it"),)), current, {}, FULL, (), ())
    assert f"inv rollback.restore --host prod1 --foreign --backup comicpile-{RUN}-before" in blocker.hint


def test_a_run_whose_kept_rows_are_gone_is_not_taken_back() -> None:
    facts = bare_facts(3)
    current = current_release(facts, a_project())
    merged = MergeTable(
        project_=a_project(), run_id=RUN, table="t", replaces=True, deletes=False, is_quiet=False, size_bytes=1
    )
    (blocker,) = redo.blockers(facts, current, {}, (merged,), (), ())
    assert blocker.brief.startswith(f"schema rollback_{RUN}, in which that run kept rows, is not there")
    kept = replace(facts, database=a_database(("s3",), kept_schemas={f"rollback_{RUN}": 1}))
    assert not list(redo.blockers(kept, current, {}, (merged,), (), ()))


@pytest.mark.parametrize(
    ("steps", "gone", "needs"),
    [
        ((SAVED, STOPPED), True, True),
        ((SAVED, STOPPED), False, False),
        ((STOPPED,), True, False),
        ((SAVED, replace(STOPPED, old=(a_container(state="exited"),))), True, False),
    ],
    ids=["replaced", "still there", "no file comes back", "nothing ran"],
)
def test_containers_have_to_be_made_anew_where_those_that_ran_are_gone(
    steps: tuple[Any, ...], gone: bool, needs: bool
) -> None:
    now = a_container(number=2 if gone else 1)
    assert redo.needs_containers(replace(some_facts(3), containers=(now,)), steps) is needs


@pytest.mark.parametrize(("was_healthy", "is_told"), [(False, True), (True, False), (None, False)])
def test_that_something_broken_comes_back_is_told(was_healthy: bool | None, is_told: bool) -> None:
    facts = some_facts(3)
    made = redo.plan(
        facts,
        current_release(facts, a_project()),
        run_id=RUN,
        said={"was_healthy": was_healthy},
        steps=(STOPPED,),
        found=(),
        lost=(),
        database="comicpile",
        saved_as=RUN,
    )
    told = "the application was not healthy before that run: what was broken then comes back"
    assert (told in made.warnings) is is_told
