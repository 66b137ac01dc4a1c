"""What runs put aside: seen, kept while it may be wanted, backed up before it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.backup_folder import Run
from rollback_tasks.drivers.databases import copy_name, left_name, put_aside_by
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.planning.put_aside import DAY, Going, PutAside, going, put_aside
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.drop_put_aside import DropKeptRows, DropPutAside
from tests.builders import NOW, a_backup, a_database, a_project, some_facts

PROJECT = a_project()
OLD, MID, NEW = "20261001T000000Z-0001", "20261010T000000Z-0002", "20261121T000000Z-0003"
MB = 1_000_000


@pytest.mark.parametrize("database", ["comicpile", "my \"б $(x)' db", "x" * 63, "б" * 31])
def test_names_of_what_was_put_aside_are_known_again(database: str) -> None:
    for name in (copy_name(database, OLD), left_name(database, OLD)):
        assert put_aside_by(database, name) == OLD
        assert put_aside_by("another", name) == ""
    assert put_aside_by(database, database) == ""
    assert put_aside_by(database, f"{database}__scratch_{OLD}") == ""


def test_what_is_there_is_told_with_size_and_age_the_youngest_first() -> None:
    database = a_database(
        put_aside={
            f"comicpile__before_{OLD}": 528 * MB,
            f"comicpile__left_{MID}": -1,
            f"other__before_{NEW}": 1,
        },
        kept_schemas={f"rollback_{NEW}": 8192},
    )
    # A run of long ago that was taken back today put its database aside today.
    found = put_aside(database, PROJECT, now=NOW, idle={MID: 3600.0})
    assert [str(one) for one in found] == [
        f"database comicpile__left_{MID} (?, less than a day old)",
        f"schema rollback_{NEW} (8.2 kB, 1 day old)",
        f"database comicpile__before_{OLD} (528.0 MB, 52 days old)",
    ]


def a_thing(run: str, days: float, *, is_schema: bool = False, size_bytes: int = 10 * MB) -> PutAside:
    name = f"rollback_{run}" if is_schema else copy_name("comicpile", run)
    return PutAside(name=name, run_id=run, is_schema=is_schema, size_bytes=size_bytes, age=days * DAY)


def gone(*found: PutAside, runs: tuple[Run, ...] = (), keep_days: int = 7, **changes: object) -> Going:
    facts: HostFacts = replace(some_facts(3), **changes)  # type: ignore[arg-type]
    return going(
        found,
        project=PROJECT,
        facts=facts,
        run_id="20261122T031501Z-4f2a",
        runs=runs,
        local_folder="/l",
        keep_days=keep_days,
    )


def kinds(steps: tuple[Step, ...]) -> list[str]:
    return [step.kind for step in steps]


def test_an_old_database_is_backed_up_by_name_copied_here_and_dropped_and_the_youngest_stays() -> None:
    found = gone(a_thing(MID, 8), a_thing(OLD, 40))
    assert kinds(found.steps) == ["backup_database", "pull_backup", "drop_put_aside"]
    backup, _, drop = found.steps
    assert isinstance(backup, BackupDatabase)
    assert isinstance(drop, DropPutAside)
    assert (backup.project_.database, backup.name) == (f"comicpile__before_{OLD}", f"comicpile-{OLD}-before")
    assert (drop.database, drop.backup, drop.project_) == (backup.project_.database, backup.name, PROJECT)
    assert drop.describe() == f"drop database comicpile__before_{OLD} (10.0 MB, 40 days old)"
    assert list(found.stays.values()) == ["nothing was put aside after it"]


@pytest.mark.parametrize(
    ("found", "runs", "keep_days", "count"),
    [
        ((), (), 7, 0),
        ((a_thing(OLD, 40),), (), 7, 0),  # the only one is the youngest
        ((a_thing(NEW, 1), a_thing(MID, 6.9), a_thing(OLD, 7)), (), 7, 0),
        ((a_thing(NEW, 1), a_thing(MID, 6.9), a_thing(OLD, 7.1)), (), 7, 1),
        ((a_thing(NEW, 1), a_thing(MID, 2), a_thing(OLD, 3)), (), 0, 2),
        # What would be taken back next stays, however old.
        ((a_thing(NEW, 30), a_thing(OLD, 40)), (Run(id=OLD, task="rollback.restore", names=frozenset()),), 7, 0),
        (
            (a_thing(NEW, 30), a_thing(OLD, 40)),
            (
                Run(id=OLD, task="rollback.restore", names=frozenset()),
                Run(id=NEW, task="rollback.full", names=frozenset()),
            ),
            7,
            1,
        ),
        (
            (a_thing(NEW, 30), a_thing(OLD, 40)),
            (
                Run(id=OLD, task="rollback.restore", names=frozenset()),
                Run(id=NEW, task="backup.create", names=frozenset()),
            ),
            7,
            0,
        ),
    ],
)
def test_what_may_still_be_wanted_stays(
    found: tuple[PutAside, ...], runs: tuple[Run, ...], keep_days: int, count: int
) -> None:
    steps = gone(*found, runs=runs, keep_days=keep_days).steps
    assert kinds(steps).count("drop_put_aside") == count


def test_kept_rows_go_only_where_a_proven_backup_holds_them() -> None:
    rows = a_thing(OLD, 40, is_schema=True)
    young = a_thing(NEW, 1)
    without = gone(young, rows)
    assert (without.steps, list(without.stays.values())) == (
        (),
        ["no proven backup holds it: `inv backup.create --host prod1` first"],
    )
    holds = {f"rollback_{OLD}.kept": 3}
    assert gone(young, rows, backups=(a_backup("b", "readable", counts=holds),)).steps == ()
    (step,) = gone(young, rows, backups=(a_backup("b", counts=holds),)).steps
    assert isinstance(step, DropKeptRows)
    assert (step.schema, step.backup) == (f"rollback_{OLD}", "b")


def test_without_room_for_its_backup_a_database_stays_and_that_is_said() -> None:
    found = (a_thing(NEW, 1), a_thing(MID, 30), a_thing(OLD, 40))
    apart = gone(*found, backup_free_bytes=4 * MB)
    assert kinds(apart.steps).count("drop_put_aside") == 1
    assert "no room for its backup" in next(iter(apart.stays.values()))
    # On one disk the first one makes room for the second.
    one_disk = gone(*found, backup_free_bytes=4 * MB, backup_disk="1", database=a_database(disk="1"))
    assert kinds(one_disk.steps).count("drop_put_aside") == 2


def test_a_backup_that_an_earlier_try_left_does_not_stand_for_what_was_written_since() -> None:
    made = a_backup(f"comicpile-{OLD}-before", "restored", database=copy_name("comicpile", OLD))
    again = gone(a_thing(NEW, 1), a_thing(OLD, 40), others=((made, "it"),))
    (backup,) = [step for step in again.steps if isinstance(step, BackupDatabase)]
    (drop,) = [step for step in again.steps if isinstance(step, DropPutAside)]
    assert backup.name == drop.backup
    assert backup.name.startswith(f"{made.name}-")
