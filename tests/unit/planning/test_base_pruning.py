"""Which base backups and which of the log may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.planning import base_pruning
from rollback_tasks.planning.base_pruning import retention
from rollback_tasks.planning.window import window
from rollback_tasks.steps.prune_bases import PruneBases, PruneWal
from tests.builders import a_project
from tests.unit.planning.test_window import MB16, a_base, a_server, name

# Newest first: they begin at segments 11, 9, 7 and 5.
BASES = tuple(a_base(minutes, first) for minutes, first in ((40, 11), (30, 9), (20, 7), (10, 5)))


@pytest.mark.parametrize(
    ("archived", "keep", "removed", "oldest", "count"),
    [
        (range(1, 13), 2, ["base-20", "base-10"], 9, 8),
        (range(1, 13), 1, ["base-30", "base-20", "base-10"], 11, 10),
        (range(1, 13), 0, ["base-30", "base-20", "base-10"], 11, 10),
        (range(1, 13), 9, [], 5, 4),
        (range(5, 13), 9, [], None, 0),
        # Those with a gap behind them do not count, and stay while they are newer than enough good ones.
        ((*range(1, 10), 11, 12), 1, ["base-30", "base-20", "base-10"], 11, 9),
        # The newest one's own log is missing: nothing may go before an older one that is whole, and none is.
        ((*range(1, 11), 12), 2, [], None, 0),
        ((), 1, [], None, 0),
    ],
)
def test_what_is_behind_enough_good_base_backups_goes_and_the_log_before_the_oldest(
    archived: range | tuple[int, ...], keep: int, removed: list[str], oldest: int | None, count: int
) -> None:
    found = retention(BASES, a_server(archived, 13), has_strange=False, keep=keep)
    assert [base.name for base in found.removed] == removed
    assert (found.oldest, found.segments, found.bytes) == ("" if oldest is None else name(oldest), count, count * MB16)


def test_the_log_of_another_cluster_is_not_told_apart() -> None:
    found = retention(BASES, a_server(range(1, 13), 13), has_strange=True, keep=2)
    assert (len(found.removed), found.oldest) == (2, "")
    (said,) = base_pruning.warnings(found, count=4, strange=(a_base(1, name="theirs"),))
    assert "1 base backups are of another cluster (theirs)" in said


def test_a_base_backup_of_an_earlier_timeline_does_not_count_as_one_that_is_kept() -> None:
    found = retention(BASES, a_server(range(1, 13), 13, timeline=2), has_strange=False, keep=1)
    assert (found.removed, found.newest) == ((), None)
    (said,) = base_pruning.warnings(found, count=4, strange=())
    assert said.startswith("no base backup can be rolled forward")


@given(st.sets(st.integers(1, 13)), st.integers(0, 5))
def test_every_base_backup_that_stays_keeps_all_the_log_that_it_had(there: set[int], keep: int) -> None:
    facts = a_server(tuple(there), 13)
    found = retention(BASES, facts, has_strange=False, keep=keep)
    if not found.oldest:
        return
    left = {name: count for name, count in (facts.archived or {}).items() if name[8:] >= found.oldest[8:]}
    for base in BASES:
        if base not in found.removed:
            assert window(base, left, facts.live) == window(base, facts.archived or {}, facts.live)
    assert found.newest is not None
    assert found.newest not in found.removed


def test_base_backups_go_before_the_log() -> None:
    found = retention(BASES, a_server(range(1, 13), 13), has_strange=False, keep=2)
    steps = list(base_pruning.steps(a_project(), found))
    assert [step.kind for step in steps] == ["prune_bases", "prune_bases", "prune_wal"]
    first, last = steps[0], steps[-1]
    assert isinstance(first, PruneBases)
    assert isinstance(last, PruneWal)
    assert (first.names, first.newest, last.oldest) == (("base-20",), "base-40", name(9))
    assert last.describe().startswith(f"remove 8 segments of the archived log before {name(9)} (134.2 MB)")
