"""Which moments can be reached, and which are refused before anything starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers.wal import Segment
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup, Commits, RestorePoint, said
from rollback_tasks.planning import window
from rollback_tasks.planning.window import choose_moment, choose_point

MB16 = 16 * 1024 * 1024
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def name(number: int, timeline: int = 1) -> str:
    return Segment(timeline, number).name(MB16)


def a_base(minutes: float = 0, first: int = 5, **changes: object) -> BaseBackup:
    base = BaseBackup(
        name=f"base-{minutes:g}",
        path=f"/b/base/base-{minutes:g}.tar.gz",
        sha256="0" * 64,
        size_bytes=1,
        unpacked_bytes=10,
        started_at=at(minutes - 1),
        stopped_at=at(minutes),
        timeline=1,
        start_lsn=f"0/{first:X}000028",
        stop_lsn=f"0/{first:X}000100",
        start_wal=name(first),
        system="77",
        server_version=150020,
        segment_bytes=MB16,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def a_server(archived: range | tuple[int, ...] = range(5, 8), current: int = 8, **changes: object) -> ArchiveFacts:
    facts = ArchiveFacts(
        now=at(60),
        version=150020,
        system="77",
        timeline=1,
        segment_bytes=MB16,
        data_folder="/data",
        current=name(current),
        live=(name(current),),
        archived={name(number): MB16 for number in archived},
        mount="wal",
        mounted_at="/wal_archive",
        mode="on",
        has_command=True,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("archived", "live", "expected"),
    [
        # the last one that follows, the last of them in the archive, what is missing behind
        ((5, 6, 7), (8,), (8, 7, ())),
        ((5, 6, 7), (), (7, 7, ())),
        ((5, 7), (8,), (5, 5, (6,))),
        ((5, 8, 9), (), (5, 5, (6, 7))),
        ((6, 7), (8,), (None, None, (5,))),
        ((5,), (6, 7, 8), (8, 5, ())),
        ((4, 5), (7,), (5, 5, (6,))),
        ((), (5, 6), (6, None, ())),
        ((), (), (None, None, ())),
        ((254, 255, 256, 257, 5), (), (5, 5, tuple(range(6, 254)))),
    ],
)
def test_a_window_ends_at_the_first_gap(
    archived: tuple[int, ...], live: tuple[int, ...], expected: tuple[int | None, int | None, tuple[int, ...]]
) -> None:
    found = window.window(a_base(), {name(n): MB16 for n in archived}, [name(n) for n in live])
    end, archived_end, gap = expected
    assert found.end == ("" if end is None else name(end))
    assert found.archived_end == ("" if archived_end is None else name(archived_end))
    assert found.gap == tuple(name(n) for n in gap)


def test_a_torn_segment_and_those_of_another_timeline_do_not_count() -> None:
    archived = {name(5): MB16, name(6): MB16 - 1, name(7): MB16, name(6, timeline=2): MB16, "junk": 3}
    found = window.window(a_base(), archived, ())
    assert (found.end, found.gap) == (name(5), (name(6),))


@given(there=st.sets(st.integers(1, 600), max_size=80), first=st.integers(1, 600))
def test_a_window_holds_only_what_is_there_and_its_gap_only_what_is_not(there: set[int], first: int) -> None:
    found = window.window(a_base(first=first), {name(n): MB16 for n in there}, ())
    numbers = {name(n): n for n in range(1, 700)}
    assert all(numbers[missing] not in there for missing in found.gap)
    if not found.end:
        assert first not in there
        return
    end = numbers[found.end]
    assert set(range(first, end + 1)) <= there
    assert end + 1 not in there
    assert bool(found.gap) == any(n > end for n in there)
    assert found.archived_end == found.end


AROUND = Commits(before=at(29), after=at(31), after_segment=name(6), oldest=at(0.5), newest=at(45))


def blocked(choice: window.Choice) -> str:
    (blocker,) = choice.blockers
    assert choice.base is None
    assert blocker.hint
    return blocker.brief


def test_a_moment_in_the_window_starts_from_the_newest_base_backup_before_it() -> None:
    bases = (a_base(40, first=7), a_base(20, first=6), a_base(0, first=5))
    choice = choose_moment(at(30), bases, a_server(), AROUND, host="prod1")
    assert (choice.base, choice.closes, choice.blockers) == (bases[1], False, ())
    assert any(said(at(29)) in note and said(at(31)) in note for note in choice.notes)


def test_a_moment_behind_the_archive_needs_what_the_server_still_has() -> None:
    in_live = replace(AROUND, after_segment=name(8))
    nothing_behind = replace(AROUND, after=None, after_segment="")
    for commits in (in_live, nothing_behind, Commits()):
        choice = choose_moment(at(59), (a_base(),), a_server(), commits, host="prod1")
        assert (choice.base, choice.closes) == (a_base(), True), commits


@pytest.mark.parametrize(
    ("moment", "facts", "commits", "says"),
    [
        (at(-5), a_server(), AROUND, "before the oldest base backup"),
        (at(61), a_server(), AROUND, "still to come"),
        (at(50), a_server((5, 7)), replace(AROUND, after=None), f"segment {name(6)} is missing"),
        (at(50), a_server((6, 7)), None, f"segment {name(5)} is missing"),
        (at(50), a_server(mode="off"), replace(AROUND, after=None), "archive_mode is off"),
        (at(50), a_server(failing=name(7), waiting=3), replace(AROUND, after=None), "the archiver fails"),
        (at(50), a_server(current=8, live=()), replace(AROUND, after_segment=name(8)), ""),
    ],
)
def test_what_cannot_be_reached_is_refused(
    moment: datetime, facts: ArchiveFacts, commits: Commits | None, says: str
) -> None:
    choice = choose_moment(moment, (a_base(),), facts, commits, host="prod1")
    if says:
        assert says in blocked(choice)
    else:
        assert choice.closes


def test_a_server_on_another_timeline_cannot_archive_what_is_missing() -> None:
    facts = a_server(current=9, live=(name(9, timeline=2),), timeline=2)
    facts = replace(facts, current=name(9, timeline=2))
    choice = choose_moment(at(50), (a_base(),), facts, replace(AROUND, after=None), host="prod1")
    assert "timeline 2" in blocked(choice)


def test_without_a_base_backup_there_is_no_window() -> None:
    assert "no base backup" in blocked(choose_moment(at(1), (), a_server(), None, host="prod1"))
    assert "no base backup" in blocked(choose_point("x", (), a_server(), (), host="prod1"))


def test_base_backups_of_another_cluster_or_version_do_not_count() -> None:
    good, other, older = a_base(), a_base(system="78"), a_base(server_version=140001)
    assert window.usable((other, good, older), a_server()) == (good,)


POINT = RestorePoint(name="before the import", lsn="0/6000060", segment=name(6))


def test_a_restore_point_is_reached_from_the_newest_base_backup_before_it() -> None:
    bases = (a_base(40, first=7), a_base(20, first=6, stop_lsn="0/6000050"), a_base(0, first=5))
    choice = choose_point(POINT.name, bases, a_server(), (POINT,), host="prod1")
    assert (choice.base, choice.closes, choice.segments) == (bases[1], False, 1)
    late = replace(POINT, segment=name(8), lsn="0/8000060")
    assert choose_point(POINT.name, bases, a_server(), (late,), host="prod1").closes


@pytest.mark.parametrize(
    ("points", "facts", "says"),
    [
        ((), a_server(), "is in the log"),
        ((POINT, replace(POINT, lsn="0/6000070")), a_server(), "2 times"),
        ((replace(POINT, segment=name(4), lsn="0/4000060"),), a_server(), "before the oldest base backup"),
        ((replace(POINT, segment=name(7), lsn="0/7000060"),), a_server((5, 7)), f"segment {name(6)} is missing"),
        ((replace(POINT, segment=name(8), lsn="0/8000060"),), a_server(mode="off"), "archive_mode is off"),
    ],
)
def test_a_restore_point_that_cannot_be_reached_is_refused(
    points: tuple[RestorePoint, ...], facts: ArchiveFacts, says: str
) -> None:
    assert says in blocked(choose_point(POINT.name, (a_base(),), facts, points, host="prod1"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T13:00:00+01:00", NOON),
        ("2026-11-22 12:00:00Z", NOON),
        ("2026-11-22T12:00:00.000001+00:00", NOON + timedelta(microseconds=1)),
        (" 2026-11-22 14:00+02:00 ", NOON),
    ],
)
def test_a_moment_with_an_offset_is_read_as_it_is(text: str, expected: datetime) -> None:
    assert window.read_moment(text) == (expected, "")


def test_a_moment_without_an_offset_is_utc_and_said_so() -> None:
    moment, assumed = window.read_moment("2026-11-22 12:00")
    assert moment == NOON
    assert "taken as UTC" in assumed


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22", "2026-13-01 12:00", "12:00", "20261122"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should "):
        window.read_moment(text)
