"""Every step: what it says, how it undoes itself, and that what it projects adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.model.facts import GitFacts, HostFacts
from rollback_tasks.model.plan import Compensation, Fetch, HostPlan, HostState, Keep, Step
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import plan_host
from rollback_tasks.planning.target import choose, current_release
from rollback_tasks.shell import Command, Effect
from rollback_tasks.steps.codec import KINDS
from rollback_tasks.steps.drop_put_aside import DropKeptRows, DropPutAside
from rollback_tasks.steps.end_sessions import EndSessions
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.prune_backups import PruneBackups, PruneCopies
from rollback_tasks.steps.prune_bases import PruneBases, PruneWal
from rollback_tasks.steps.push_backup import PushBackup
from rollback_tasks.steps.switch_images import SwitchImages
from rollback_tasks.steps.verify_backup import VerifyBackup
from tests.builders import (
    RUN,
    a_container,
    a_project,
    a_release,
    a_request,
    a_verdict,
    code_only,
    commit,
    details,
    image,
    some_facts,
    some_services,
    some_settings,
)
from tests.folds import assert_reads_and_stands_alone, assert_undone_from_any_beginning
from tests.unit.planning import test_volume as of_volume
from tests.unit.steps import test_git_steps as of_git
from tests.unit.steps import test_partial
from tests.unit.steps import test_recovery_steps as recovery
from tests.unit.steps import test_restore_steps as restore

PROJECT = a_project()
DIRTY = replace(some_facts(3), git=GitFacts(commit=commit(3), branch="main", dirty=("a", "b")))
UNRECORDED = a_release(2, images={}, id="v2", recorded_at="", names=("v2",))


def plan(
    facts: HostFacts, verdict: Verdict, to: str | None = None, share: Share | None = None, **changes: object
) -> HostPlan:
    current = current_release(facts, PROJECT)
    choice = choose(facts, current, to, commit(2) if to else None)
    made = plan_host(
        a_request(),
        PROJECT,
        some_settings(),
        facts,
        current,
        choice,
        details(verdict, **changes),
        share,
    )
    assert made.blockers == ()
    return made


def stopped(facts: HostFacts) -> HostFacts:
    return replace(facts, containers=(a_container("app", 3, "exited", exit_code=1), a_container("db", 9)))


OTHER_NAME = some_services(app="registry:5000/comic-pile:v2")
FIXED = some_services(app="registry:5000/comic-pile@sha256:aa")
PLANS = {
    "code only": plan(some_facts(3), code_only()),
    "downgrade": plan(some_facts(3), a_verdict()),
    "with changes in the work tree": plan(DIRTY, a_verdict()),
    "detached": plan(replace(DIRTY, git=GitFacts(commit=commit(3), branch=None)), code_only()),
    "to be built": plan(replace(some_facts(3), ledger=()), a_verdict(), "v2"),
    "a name that meant nothing before": plan(some_facts(3), a_verdict(), services=OTHER_NAME),
    "stopped before": plan(replace(stopped(some_facts(3)), is_healthy=False), a_verdict()),
    "names fixed by digest": plan(
        replace(some_facts(3), images={**some_facts(3).images, "registry:5000/comic-pile@sha256:aa": image(2)}),
        a_verdict(),
        services=FIXED,
    ),
}
SHARED = {
    f"{'leads' if leads else 'follows on'} a shared database": plan(
        some_facts(3), a_verdict(), share=Share(others=("prod2", "prod3"), leads=leads)
    )
    for leads in (True, False)
}
PLANS |= SHARED
STEPS: dict[str, Step] = (
    {step.kind: step for step in SHARED["follows on a shared database"].steps}
    | {step.kind: step for step in PLANS["to be built"].steps}
    | {step.kind: step for step in PLANS["downgrade"].steps}
    | {
        step.kind: step
        for step in (
            VerifyBackup(project_=PROJECT, run_id=RUN, name="b", size_bytes=1, is_quick=True),
            PushBackup(project_=PROJECT, name="b", local_folder="/l", sha256="ab" * 32, globals_sha256="cd" * 32),
            PruneBackups(project_=PROJECT, names=("b",), files=("c.dump",), newest="a", says="remove b"),
            PruneCopies(paths=("/l/b.dump",), says="remove b here"),
            PruneBases(project_=PROJECT, names=("b",), newest="a", says="remove b"),
            PruneWal(project_=PROJECT, oldest="0" * 24, says="remove"),
            DropPutAside(project_=PROJECT, run_id=RUN, database="d", backup="b", size_bytes=1, says="drop d"),
            DropKeptRows(project_=PROJECT, run_id=RUN, schema="s", backup="b", size_bytes=1, says="drop s"),
        )
    }
)
STEPS["end_sessions"] = EndSessions(project_=PROJECT, sessions=((7, 1), (8, 2)), who=("pid 7 (ann)", "pid 8 (bob)"))
OTHERS = (restore.STEPS, test_partial.STEPS, recovery.STEPS, of_git.STEPS, of_volume.STEPS)


@pytest.mark.parametrize("name", PLANS)
def test_the_steps_of_a_plan_end_at_its_end(name: str) -> None:
    made = PLANS[name]
    assert made.start is not None
    state: HostState = made.start
    for step in made.steps:
        state = step.project(state)
    assert state == made.end
    assert made.target is not None
    assert made.verdict is not None
    assert state.checkout == made.target.commit
    if not name.startswith("follows"):
        assert state.schema == made.verdict.target
    assert None not in state.running.values()
    assert state.kept


@pytest.mark.parametrize("name", PLANS)
def test_undoing_any_beginning_of_a_plan_ends_at_its_start(name: str) -> None:
    assert_undone_from_any_beginning(PLANS[name])


@pytest.mark.parametrize("name", PLANS)
def test_undoing_twice_is_undoing_once(name: str) -> None:
    made = PLANS[name]
    state = made.end
    assert state is not None
    for step in reversed(made.steps):
        once = step.unproject(state)
        assert step.unproject(once) == once
        state = once


def test_every_kind_of_step_is_held_here() -> None:
    assert set(STEPS).union(*OTHERS) == set(KINDS)


SAYS = {
    "save_evidence": "save logs and state of every container as evidence",
    "prepare_images": "pin the target's image and the one that is left, so that no prune can take them",
    "backup_database": "back up database comicpile on the host and read the dump back",
    "pull_backup": "copy the backup to /home/ann/backups/prod1 on this machine",
    "save_checkout": f"save the checkout as branch rollback/before-{RUN}",
    "prove_backup": "prove the backup: restore it into a scratch database and compare all row counts",
    "rehearse_downgrade": "rehearse the downgrade on the scratch database and compare what it takes",
    "drop_scratch": "drop the scratch database",
    "stop_services": "stop app",
    "copy_database": f"copy the database inside the server to comicpile__before_{RUN}, kept for going back",
    "downgrade_schema": "downgrade the schema from s3 to s2 with the deployed image",
    "checkout_release": f"switch the checkout to commit {commit(2)[:12]}",
    "switch_images": "make comic-pile mean the target's image",
    "start_services": "start app",
    "await_healthy": "wait up to 60 s until http://localhost:8000/health is healthy, and 3 s more",
    "verify_release": "verify what really runs: image digests, commit, schema",
    "record_release": "mark r3 as bad in the ledger of releases",
}
MEETS = {
    "prepared": "wait until prod2, prod3 are prepared too",
    "stopped": "wait until prod2, prod3 are stopped too",
    "changed": "wait until prod2, prod3 are done with the database too",
    "healthy": "wait until prod2, prod3 are healthy too",
}
UNDOES: dict[str, Compensation | Keep | str] = {
    "save_evidence": Keep(f"the evidence stays in /srv/comicpile/.rollback/runs/{RUN}/evidence"),
    "prepare_images": Keep("pinned images stay pinned"),
    "backup_database": "end what an unfinished dump left; a finished one stays",
    "pull_backup": Keep("the copied backup stays"),
    "save_checkout": Keep(f"branch rollback/before-{RUN} stays"),
    "prove_backup": "drop the run's scratch database",
    "rehearse_downgrade": "end the rehearsal",
    "drop_scratch": Keep("nothing was changed"),
    "stop_services": "start app as before",
    "copy_database": "drop the copy, where nothing was changed since it was made",
    "downgrade_schema": "make the untouched copy the live database again",
    "checkout_release": f"switch the checkout back to commit {commit(3)[:12]} with every change that lay in it",
    "switch_images": "make the image names mean what they meant",
    "start_services": "remove the containers of the target, keeping their logs",
    "await_healthy": Keep("nothing was changed"),
    "verify_release": Keep("nothing was changed"),
    "record_release": "take the run's lines in the ledger back",
}


@pytest.mark.parametrize("kind", SAYS)
def test_a_step_says_what_it_does_and_how_it_is_undone(kind: str) -> None:
    step = STEPS[kind]
    undo = step.compensation()
    assert step.describe() == SAYS[kind]
    assert (undo.says if isinstance(undo, Compensation) else undo) == UNDOES[kind]


@pytest.mark.parametrize("name", SHARED)
def test_hosts_that_share_a_database_meet_before_and_after_it_is_changed(name: str) -> None:
    meetings = [step for step in PLANS[name].steps if isinstance(step, MeetOthers)]
    assert {step.point: step.describe() for step in meetings} == MEETS
    assert [step.point for step in meetings] == list(MEETS)
    assert [step.takes_service_away for step in meetings] == [False, True, True, True]
    assert {step.compensation() for step in meetings} == {Keep("nothing was changed")}
    alone = MeetOthers(point="prepared", others=("prod2",), is_down=False)
    assert alone.describe() == "wait until prod2 is prepared too"


def test_only_the_host_that_leads_changes_the_shared_database() -> None:
    kinds = {name: {step.kind for step in made.steps} for name, made in SHARED.items()}
    of_the_database = {"prove_backup", "rehearse_downgrade", "drop_scratch", "copy_database", "downgrade_schema"}
    assert of_the_database <= kinds["leads a shared database"]
    assert not of_the_database & kinds["follows on a shared database"]


def test_a_plan_that_builds_or_saves_changes_says_so() -> None:
    built = {step.kind: step for step in PLANS["to be built"].steps}["prepare_images"]
    assert (
        built.describe() == f"build the target's image from commit {commit(2)[:12]} while the application still serves"
    )
    undo = built.compensation()
    assert isinstance(undo, Compensation)
    assert undo.says == "remove the tree that the image was built in"
    saved = {step.kind: step for step in PLANS["with changes in the work tree"].steps}["save_checkout"]
    assert saved.describe() == f"save the checkout with 2 changed files as branch rollback/before-{RUN}"
    fixed = {step.kind: step for step in PLANS["names fixed by digest"].steps}["switch_images"]
    assert fixed.describe() == "keep the image names: the compose file fixes its images by digest"


FROM_HERE_ON = list(SAYS).index("stop_services")


def test_service_is_taken_away_from_the_stop_on_and_not_before() -> None:
    assert [STEPS[kind].takes_service_away for kind in SAYS] == [n >= FROM_HERE_ON for n in range(len(SAYS))]


@pytest.mark.parametrize("name", PLANS)
def test_conditions_only_read_and_every_way_back_stands_alone(name: str) -> None:
    for step in PLANS[name].steps:
        assert_reads_and_stands_alone(step)


@pytest.mark.parametrize("name", PLANS)
def test_no_word_of_a_command_holds_a_secret(name: str) -> None:
    for step in PLANS[name].steps:
        commands = [action for action in step.forward() if isinstance(action, Command)]
        commands += [check.command for check in (*step.precondition(), *step.postcondition())]
        undo = step.compensation()
        if isinstance(undo, Compensation):
            commands.append(undo.command)
        for command in commands:
            assert not any("comicpile:pw@" in word for word in command.argv)
            assert not any("comicpile:pw@" in value for _, value in command.env)
        assert "comicpile:pw@" not in repr(step)


def test_only_taking_the_schema_or_the_checkout_away_destroys() -> None:
    destroying = {
        step.kind
        for step in PLANS["downgrade"].steps
        for action in step.forward()
        if isinstance(action, Command) and action.effect is Effect.DESTROY
    }
    assert destroying == {"downgrade_schema", "checkout_release"}


def test_the_backup_is_fetched_when_it_is_made_and_again_when_it_is_proven() -> None:
    place = f"/srv/comicpile/.rollback/backups/comicpile-{RUN}"
    fetch = Fetch(place, f"/home/ann/backups/prod1/comicpile-{RUN}")
    assert STEPS["pull_backup"].forward() == (fetch,)
    assert fetch in STEPS["prove_backup"].forward()


def test_time_limits_grow_with_the_database() -> None:
    for size, limits in ((0, (600, 600, 300)), (50_000_000_000, (10_600, 25_600, 10_300))):
        facts = some_facts(3)
        assert facts.database is not None
        large = replace(facts.database, size_bytes=size, free_bytes=10**13)
        made = plan(replace(facts, database=large, backup_free_bytes=10**13), a_verdict())
        steps = {step.kind: step for step in made.steps}
        found = [steps[kind].forward()[0] for kind in ("backup_database", "prove_backup", "copy_database")]
        assert tuple(action.timeout for action in found if isinstance(action, Command)) == limits


IMAGES = st.dictionaries(st.sampled_from("abc"), st.sampled_from([image(1), image(2)]), max_size=3)


@given(before=IMAGES, after=IMAGES)
def test_image_names_come_back_whatever_they_meant(before: dict[str, str], after: dict[str, str]) -> None:
    step = SwitchImages(
        project_=PROJECT,
        before={f"{name}:1": meant for name, meant in before.items() if name in after},
        after={f"{name}:1": meant for name, meant in after.items()},
        before_images={name: meant for name, meant in before.items() if name in after},
        after_images=after,
    )
    start = HostState(checkout="c", images=before, running={}, schema=())
    assert step.project(start).images == {**before, **after}
    assert step.unproject(step.project(start)) == start


def test_a_code_only_rollback_leaves_the_database_alone() -> None:
    kinds = [step.kind for step in PLANS["code only"].steps]
    assert not {"copy_database", "downgrade_schema", "rehearse_downgrade"} & set(kinds)
    assert "backup_database" in kinds
    assert code_only().kind is VerdictKind.CODE_ONLY
