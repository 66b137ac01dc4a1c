"""Which backup corrupted data goes back to, and what is told before."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers.consistency import Consistency, Problem, compare
from rollback_tasks.planning import corruption
from tests.builders import NOW, a_backup

BACKUP = a_backup("good", counts={"users": 10, "tasks": 5, "gone": 3})
ORPHANS = Problem(check="foreign-key", name="threads.fk", count=2, says="2 rows point at nothing in users, e.g. 9")
WRECK = Consistency(rows={"users": 7, "tasks": 6}, problems=(ORPHANS,))


def found(live: Consistency) -> list[str]:
    then = f"in backup {BACKUP.name}"
    difference = compare(Consistency(rows=BACKUP.counts), live, then=then, are_rows_alone=True)
    return list(corruption.found(live, BACKUP, difference))


def test_what_is_broken_and_what_is_missing_is_told() -> None:
    assert found(WRECK) == [
        "foreign-key threads.fk: 2 rows point at nothing in users, e.g. 9",
        "table gone is gone; it had 3 rows in backup good",
        "users has 7 rows, 3 fewer than in backup good",
    ]


def test_where_no_check_finds_anything_that_is_said_and_what_it_means() -> None:
    assert found(Consistency(rows=BACKUP.counts)) == [
        "no check finds anything wrong in 3 tables with 18 rows: wrong values are not seen so",
        "no table has fewer rows than in backup good",
    ]


def test_many_problems_are_counted() -> None:
    told = list(corruption.found(Consistency(problems=(ORPHANS,) * 8), None, None))
    assert (len(told), told[-1]) == (6, "3 problems more, as `inv db.check` lists them")


@pytest.mark.parametrize(
    ("check", "is_provable"),
    [("foreign-key", False), ("check", False), ("unique", False), ("sequence", True), ("index", True)],
)
def test_what_breaks_a_constraint_cannot_be_restored_as_a_proof(check: str, is_provable: bool) -> None:
    problem = Problem(check=check, name="x", count=1, says="y")
    assert corruption.can_be_proven(Consistency(problems=(problem,))) is is_provable


def test_a_backup_is_told_with_its_age_what_was_wrong_in_it_already_and_the_other_ones() -> None:
    older = a_backup("older", taken_at="2026-11-02T03:15:01Z")
    told = list(corruption.of_backups(BACKUP, [BACKUP, older], WRECK, now=NOW))
    assert told == [
        "backup good is of 2026-11-20T00:00:00Z, 2 days old",
        "in that backup already: foreign-key threads.fk: 2 rows point at nothing in users, e.g. 9",
        "other proven backups: older (20 days old)",
    ]


def test_nobody_restores_a_backup_that_he_did_not_name_and_was_not_shown() -> None:
    said = corruption.unnamed(BACKUP, "prod1", NOW)
    assert said.brief.endswith("the newest proven one, good, is 2 days old")
    assert said.hint.startswith("add --backup good, or another one that `inv backup.list --host prod1` shows")
