"""Which backups may go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers.backup_folder import File, Folder, Run, base_leftovers, leftovers, read_survey
from rollback_tasks.model.plan import Keep
from rollback_tasks.model.release import Backup, BackupLevel, ReleaseStatus
from rollback_tasks.planning.backups import verification
from rollback_tasks.planning.pruning import Laptop, pruning
from rollback_tasks.planning.retention import needs, retention
from rollback_tasks.planning.target import current_release
from rollback_tasks.steps.prune_backups import PruneBackups, PruneCopies
from rollback_tasks.steps.verify_backup import VerifyBackup
from tests.builders import RUN, a_project, a_release, commit, some_facts

PROVEN, READ, BAD = BackupLevel.RESTORED, BackupLevel.READABLE, BackupLevel.WRITTEN


def a_backup(name: str, level: BackupLevel = PROVEN, **changes: object) -> Backup:
    made = Backup(
        name=name,
        path=f"/b/{name}.dump",
        sha256="ab" * 32,
        size_bytes=1000,
        level=level,
        taken_at=f"2026-11-{name[-2:]}T00:00:00Z",
        database="comicpile",
        schema=("s9",),
        commit=commit(9),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def newest_first(*levels: BackupLevel) -> list[Backup]:
    """Backups b30, b29, ... of these levels."""
    return [a_backup(f"b{30 - number}", level) for number, level in enumerate(levels)]


def gone(*levels: BackupLevel, keep: int, needed: tuple[str, ...] = ()) -> list[str]:
    found = retention(newest_first(*levels), keep=keep, needs=dict.fromkeys(needed, "somebody"))
    return [backup.name for backup in found.removed]


@pytest.mark.parametrize(
    ("levels", "keep", "removed"),
    [
        ((), 1, []),
        ((PROVEN,), 1, []),
        ((PROVEN,), 0, []),
        ((PROVEN, PROVEN, PROVEN), 2, ["b28"]),
        ((PROVEN, PROVEN, PROVEN), 1, ["b29", "b28"]),
        # What is not proven does not count, however new it is, and goes only behind enough that are.
        ((READ, READ, PROVEN), 1, []),
        ((READ, PROVEN, READ, PROVEN), 1, ["b28", "b27"]),
        ((READ, PROVEN, READ, PROVEN), 2, []),
        ((READ, READ, READ, BAD), 1, []),
        ((BAD, PROVEN, BAD), 1, ["b28"]),
    ],
)
def test_only_what_is_beyond_enough_proven_backups_goes(
    levels: tuple[BackupLevel, ...], keep: int, removed: list[str]
) -> None:
    assert gone(*levels, keep=keep) == removed


def test_what_is_needed_stays_and_that_is_said() -> None:
    found = retention(newest_first(PROVEN, PROVEN, PROVEN), keep=1, needs={"b28": "release v2", "b30": "x"})
    assert [backup.name for backup in found.removed] == ["b29"]
    assert (found.spared, found.newest) == ({"b28": "release v2"}, "b30")


@given(st.lists(st.sampled_from([PROVEN, READ, BAD]), max_size=12), st.integers(0, 5), st.sets(st.integers(19, 30)))
def test_enough_proven_backups_and_all_that_are_needed_always_stay(
    levels: list[BackupLevel], keep: int, needed: set[int]
) -> None:
    backups = newest_first(*levels)
    found = retention(backups, keep=keep, needs={f"b{number}": "x" for number in needed})
    stays = [backup for backup in backups if backup not in found.removed]
    proven = [backup for backup in backups if backup.is_proven]
    assert [b for b in stays if b.is_proven][: max(keep, 1)] == proven[: max(keep, 1)]
    assert not {backup.name for backup in found.removed} & {f"b{number}" for number in needed}
    assert found.newest == (proven[0].name if proven else "")


def needed_by(**changes: object) -> dict[str, str]:
    backups = [
        a_backup("b30"),
        a_backup("b29", commit=commit(2), schema=("s2",)),
        a_backup("b28", READ, commit=commit(1), schema=("s1",)),
        a_backup("b27", commit=commit(8), schema=("s1",)),
        a_backup("b26", commit=commit(2), schema=("s2",)),
    ]
    known: dict[str, object] = {"ledger": (), "runs": (), "databases": ()}
    return needs(backups, **{**known, **changes})  # type: ignore[arg-type]


def test_a_release_needs_the_newest_proven_backup_of_its_commit_or_else_of_its_schema() -> None:
    two, one = a_release(2, schema=("s2",)), a_release(1, schema=("s1",))
    assert set(needed_by(ledger=(two,))) == {"b29"}
    assert set(needed_by(ledger=(one,))) == {"b27"}
    assert needed_by(ledger=(replace(two, status=ReleaseStatus.BAD),)) == {}
    assert needed_by(ledger=(a_release(3, schema=("s3",)),)) == {}
    assert needed_by(ledger=(a_release(3, schema=()),)) == {}


def test_a_run_needs_its_backup_while_it_can_be_undone() -> None:
    old = Run(id="20261101T000000Z-0001", task="rollback.full", names=frozenset({"b26"}))
    new = Run(id="20261102T000000Z-0002", task="rollback.restore", names=frozenset({"b27"}))
    saved = Run(id="20261103T000000Z-0003", task="backup.create", names=frozenset({"b30"}))
    assert set(needed_by(runs=(old, new, saved))) == {"b27"}
    assert set(needed_by(runs=(old, new), databases=(f"comicpile__before_{old.id}",))) == {"b26", "b27"}
    assert needed_by(runs=(saved,)) == {}


def test_files_without_a_manifest_are_leftovers_unless_a_process_has_them_or_they_are_not_ours() -> None:
    other = RUN[:-4] + "0000"
    files = [
        File(name=f"a-{RUN}.manifest.json", size_bytes=1),
        File(name=f"a-{RUN}.dump", size_bytes=1),
        File(name=f"a-{RUN}.dump.partial", size_bytes=2),
        File(name=f"a-{other}.dump", size_bytes=3),
        File(name=f"a-{other}.globals.sql", size_bytes=3),
        File(name=f"a-{other}.log.partial", size_bytes=3, is_open=True),
        File(name="mine.dump", size_bytes=4),
        File(name=f"mine-{other}.tar", size_bytes=4),
        File(name=f"b-{other}.dump", size_bytes=5),
        File(name=f"a-b-{other}.dump", size_bytes=5),
        File(name=f"a-{other}-recovered.dump.partial", size_bytes=6),
    ]
    assert [file.name for file in leftovers(files, [f"a-{RUN}"], prefix="a-")] == [
        f"a-{RUN}.dump.partial",
        f"a-{other}.dump",
        f"a-{other}.globals.sql",
        f"a-{other}-recovered.dump.partial",
    ]


def test_what_cut_base_backups_left_goes_where_this_host_remembers_their_run() -> None:
    other = RUN[:-4] + "0000"
    files = (
        File(name=f"base/base-{RUN}.tar.gz", size_bytes=1),
        File(name=f"base/base-{RUN}.tar.gz.partial", size_bytes=1, is_open=True),
        File(name=f"base/base-{RUN}.log.partial", size_bytes=1),
        File(name=f"base/base-{other}.tar.gz.partial", size_bytes=1),
        File(name="base/mine.tar.gz", size_bytes=1),
    )
    left = base_leftovers(Folder(files=files, idle={RUN: 5.0}))
    assert [file.name for file in left] == [f"base/base-{RUN}.tar.gz", f"base/base-{RUN}.log.partial"]
    whole = (*files, File(name=f"base/base-{RUN}.base.json", size_bytes=1))
    assert [file.name for file in base_leftovers(Folder(files=whole, idle={RUN: 5.0}))] == [
        f"base/base-{RUN}.log.partial"
    ]


def test_backups_of_what_was_put_aside_go_beyond_the_newest_where_it_is_gone_from_the_server() -> None:
    project = a_project()
    names = [f"202611{n:02d}T000000Z-0001" for n in range(9, 4, -1)]
    aside = tuple(
        replace(a_backup(f"comicpile-{run}-before", READ, taken_at=run), database=f"comicpile__before_{run}")
        for run in names
    )
    facts = replace(some_facts(3), ledger=(), others=tuple((backup, "it") for backup in aside))
    assert facts.database is not None
    still = replace(facts.database, databases=("comicpile", aside[4].database))
    facts = replace(facts, database=still)
    plan = pruning(project, facts, current_release(facts, project), Folder(), Laptop(folder="/l"), keep=2)
    assert [step.names for step in plan.steps if isinstance(step, PruneBackups)] == [
        (aside[2].name,),
        (aside[3].name,),
    ]


def test_the_survey_of_a_folder_is_read() -> None:
    text = (
        "file idle 12 a b.dump\nfile open 3 c.dump.partial\nfile idle x d\nnoise\n"
        'run 20261102T000000Z-0002 "rollback.full","im \\u0431","b-1",\n'
        "idle 20261102T000000Z-0002 61\nidle x y\nidle 20261101T000000Z-0001 -3\n"
        'run 20261101T000000Z-0001 "backup.create",\nrun 20261103T000000Z-0003 torn"\n'
    )
    assert read_survey(text) == Folder(
        files=(File(name="a b.dump", size_bytes=12), File(name="c.dump.partial", size_bytes=3, is_open=True)),
        runs=(
            Run(id="20261101T000000Z-0001", task="backup.create", names=frozenset()),
            Run(id="20261102T000000Z-0002", task="rollback.full", names=frozenset({"im б", "b-1"})),
        ),
        idle={"20261102T000000Z-0002": 61.0, "20261101T000000Z-0001": -3.0},
    )


@given(st.text())
def test_no_survey_whatever_raises(text: str) -> None:
    read_survey(text)


def test_host_and_laptop_are_pruned_by_a_count_of_their_own() -> None:
    project, facts = a_project(), replace(some_facts(3), ledger=(), backups=tuple(newest_first(PROVEN, PROVEN)))
    current = current_release(facts, project)
    part = f"comicpile-{RUN}.dump.partial"
    laptop = Laptop(folder="/l", copies=(facts.backups[1], a_backup("b20"), a_backup("b19")), sizes={part: 5})
    plan = pruning(project, facts, current, Folder(), laptop, keep=1)
    (there, *here) = plan.steps
    assert isinstance(there, PruneBackups)
    assert (there.names, there.newest) == (("b29",), "b30")
    paths = [step.paths[0] for step in here if isinstance(step, PruneCopies)]
    assert paths == ["/l/b20.manifest.json", "/l/b19.manifest.json", f"/l/{part}"]
    assert not plan.is_noop
    assert all(isinstance(step.compensation(), Keep) for step in plan.steps)
    assert pruning(project, facts, current, Folder(), Laptop(folder="/l"), keep=2).is_noop


def test_backups_of_another_database_in_the_same_folder_are_neither_counted_nor_removed() -> None:
    project = a_project()
    theirs = tuple(
        replace(backup, name=f"other-{n}", database="other") for n, backup in enumerate(newest_first(*[PROVEN] * 4))
    )
    ours = tuple(newest_first(PROVEN, PROVEN))
    facts = replace(some_facts(3), ledger=(), backups=(*theirs[:2], *ours, *theirs[2:]))
    plan = pruning(
        project, facts, current_release(facts, project), Folder(), Laptop(folder="/l", copies=theirs), keep=1
    )
    (step,) = plan.steps
    assert isinstance(step, PruneBackups)
    assert (step.names, step.newest) == (("b29",), "b30")


def test_backups_of_another_database_are_not_judged() -> None:
    project, facts = a_project(), some_facts(3)
    theirs = replace(a_backup("other-1"), database="other", damage="it is of database other")
    ours = a_backup("b1")
    current = current_release(facts, project)
    plan = verification(RUN, project, facts, current, [theirs, ours], is_quick=True)
    assert [step.name for step in plan.steps if isinstance(step, VerifyBackup)] == ["b1"]
    assert plan.warnings == ("other-1: it is of database other; it is left alone",)
    assert verification(RUN, project, facts, current, [theirs], is_quick=True).blockers
