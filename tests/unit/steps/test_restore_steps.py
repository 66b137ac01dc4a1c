"""The steps of a restore: in which order, what they say, and that what they project adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.model.plan import HostState, Step
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import projected
from rollback_tasks.planning.restore_sequence import Source, restoring
from rollback_tasks.planning.tables import TableWish, sequence
from rollback_tasks.shell import Command
from rollback_tasks.steps.codec import from_json, to_json
from tests.builders import RUN, a_backup, a_container, a_project, a_release, image, some_facts, some_settings
from tests.folds import assert_reads_and_stands_alone

PROJECT = a_project()
SOURCE = Source(path="/srv/comicpile/.rollback/backups/good", schema=("s2",), size_bytes=1_000_000)
STOPPED = (a_container("app", 3, "exited"), a_container("db", 9))


def steps(share: Share | None = None, **changes: object) -> tuple[Step, ...]:
    facts = replace(some_facts(3), **changes)  # type: ignore[arg-type]
    return restoring(
        project=PROJECT,
        run_id=RUN,
        facts=facts,
        current=a_release(3),
        source=SOURCE,
        settings=some_settings(),
        share=share,
    )


PLANS = {
    "alone": steps(),
    "leads": steps(Share(others=("prod2",), leads=True)),
    "follows": steps(Share(others=("prod1",), leads=False)),
    "stopped before": steps(containers=STOPPED),
}
TABLE = sequence(
    project=PROJECT,
    run_id=RUN,
    facts=some_facts(3),
    current=a_release(3),
    backup=a_backup("good"),
    settings=some_settings(),
    wish=TableWish(table="users", replaces=True, deletes=True, is_quiet=True),
)
STEPS = {step.kind: step for made in (*PLANS.values(), TABLE) for step in made}
START = HostState(checkout="c", images={}, running={"app": image(3)}, schema=("s3",))


def test_downtime_holds_nothing_that_grows_with_the_database() -> None:
    assert [step.kind for step in PLANS["alone"] if step.takes_service_away] == [
        "stop_services",
        "swap_database",
        "note_served",
        "resume_services",
        "await_healthy",
        "verify_release",
    ]


def test_the_backup_of_what_is_live_is_proven_before_anything_is_restored() -> None:
    kinds = [step.kind for step in PLANS["alone"]]
    assert kinds.index("prove_backup") < kinds.index("drop_scratch") < kinds.index("restore_beside")
    assert kinds.index("verify_restored") < kinds.index("stop_services")


def test_what_is_too_broken_to_be_proven_is_backed_up_all_the_same() -> None:
    kinds = [
        step.kind
        for step in restoring(
            project=PROJECT,
            run_id=RUN,
            facts=some_facts(3),
            current=a_release(3),
            source=SOURCE,
            settings=some_settings(),
            proves=False,
        )
    ]
    assert kinds[:5] == ["save_evidence", "backup_database", "pull_backup", "restore_beside", "verify_restored"]


def test_what_was_stopped_before_is_not_started() -> None:
    assert not {"resume_services", "await_healthy", "verify_release"} & {s.kind for s in PLANS["stopped before"]}


def test_only_the_host_that_leads_restores_and_all_meet() -> None:
    met = ["prepared", "stopped", "changed", "healthy"]
    for name in ("leads", "follows"):
        assert [getattr(step, "point", None) for step in PLANS[name] if step.kind == "meet_others"] == met
    assert "swap_database" not in {step.kind for step in PLANS["follows"]}
    assert "resume_services" in {step.kind for step in PLANS["follows"]}


def test_the_plan_ends_at_the_schema_of_the_backup_and_undoing_any_beginning_at_its_start() -> None:
    made = PLANS["alone"]
    end = projected(START, made)
    assert (end.schema, end.running) == (("s2",), START.running)
    assert f"database comicpile__before_{RUN}" in end.kept
    for reached in range(len(made) + 1):
        state = projected(START, made[:reached])
        for step in reversed(made[:reached]):
            state = step.unproject(state)
        assert state.without_kept() == START


def test_one_table_comes_back_without_downtime_and_after_a_proven_backup() -> None:
    kinds = [step.kind for step in TABLE]
    assert not any(step.takes_service_away for step in TABLE)
    assert kinds.index("prove_backup") < kinds.index("restore_beside") < kinds.index("merge_table")
    assert kinds[-1] == "drop_restored"


SAYS = {
    "restore_beside": (
        f"restore good into a new database comicpile__restored_{RUN}, beside the live one",
        "drop the restored database",
    ),
    "verify_restored": (
        "compare every row count and the schema of the restored database with the manifest",
        "nothing was changed",
    ),
    "swap_database": (
        (
            "end all sessions and make the restored database the live one by rename; the old one is kept as "
            f"comicpile__before_{RUN}"
        ),
        "make the old database the live one again",
    ),
    "note_served": (
        "note that the application may write to the restored database",
        "the note stays in the run's folder",
    ),
    "resume_services": ("start app again, unchanged", "stop app again"),
    "stage_table": (
        "compare the columns of users and lay its rows of the backup beside the live table",
        "drop the rows that were laid beside",
    ),
    "merge_table": (
        (
            "insert the missing rows of users and give rows that differ the backup's values and delete rows that the "
            "backup does not have, in one transaction, its triggers silent; rows that change are kept as they were"
        ),
        "give the rows of users back what they held",
    ),
    "drop_restored": ("drop the restored database; the backup stays", "nothing was changed"),
}


@pytest.mark.parametrize("kind", SAYS)
def test_a_step_says_what_it_does_and_how_it_is_undone(kind: str) -> None:
    assert (STEPS[kind].describe(), STEPS[kind].compensation().says) == SAYS[kind]


@pytest.mark.parametrize("kind", SAYS)
def test_conditions_only_read_every_way_back_stands_alone_and_travels(kind: str) -> None:
    step = STEPS[kind]
    assert_reads_and_stands_alone(step)
    assert from_json(to_json(step), ()) == step


def test_a_restore_is_given_time_for_its_size() -> None:
    large = replace(STEPS["restore_beside"], size_bytes=3_000_000_000)  # type: ignore[type-var]
    (command,) = large.forward()
    assert isinstance(command, Command)
    assert command.timeout == 10_600
