"""Names of segments, and what a server says of its log."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import wal, wal_commits
from rollback_tasks.drivers.wal import Segment
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.recovery import ArchiveFacts, Commits, RestorePoint

MB16 = 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("000000010000000000000001", MB16, Segment(1, 1)),
        ("0000000100000000000000FF", MB16, Segment(1, 255)),
        ("000000010000000100000000", MB16, Segment(1, 256)),
        ("0000000A0000000000000E22", 1024 * 1024, Segment(10, 0xE22)),
        ("000000010000000200000003", 1024 * 1024 * 1024, Segment(1, 11)),
        ("000000010000000000000100", MB16, None),  # no such name at this size
        ("00000002.history", MB16, None),
        ("000000010000000000000001.partial", MB16, None),
        ("000000010000000000000002.00000028.backup", MB16, None),
        ("00000001000000000000000g", MB16, None),
        ("000000010000000000000001\n", MB16, None),
    ],
)
def test_a_name_is_a_segment_or_none(name: str, size: int, expected: Segment | None) -> None:
    assert wal.segment(name, size) == expected


@given(
    timeline=st.integers(1, 2**32 - 1),
    number=st.integers(0, 2**31),
    size=st.sampled_from([2**power for power in range(20, 31)]),
)
def test_a_segment_is_named_and_read_back_and_names_sort_as_segments_do(timeline: int, number: int, size: int) -> None:
    one = Segment(timeline, number)
    assert wal.segment(one.name(size), size) == one
    assert one.name(size) < one.next().name(size)


def test_a_place_in_the_log_is_a_number() -> None:
    assert wal.lsn("16/B374D848") == 0x16B374D848
    assert wal.lsn("0/2000028") < wal.lsn("1/0")
    with pytest.raises(ValueError, match="not a place"):
        wal.lsn("2000028")


SERVER = {
    "now": 1795780803.25,
    "version": 150020,
    "system": "77",
    "timeline": 1,
    "segment": MB16,
    "data": "/var/lib/postgresql/data",
    "current": "000000010000000000000007",
    "live": ["000000010000000000000006", "000000010000000000000007", "000000010000000000000008"],
    "mode": "on",
    "level": "replica",
    "command": True,
    "timeout": 300,
    "failing": "",
    "waiting": 0,
    "last": 12.5,
    "pending": [],
    "tablespaces": 0,
    "cluster": 1000,
    "replicates": True,
    "names": True,
    "settings": {"max_connections": "100"},
}


def test_a_survey_is_read_and_recycled_segments_of_the_future_are_left_out() -> None:
    text = (
        "mount\t/wal_archive\tcomicpile_wal_archive\nimage\tsha256:1\n"
        f"server\t{json.dumps(SERVER)}\nfolder\t1024\n"
        "file\t16777216\t./000000010000000000000005\nfile\t5\t./odd\tname\nfile\t7\t./00000002.history\n"
    )
    assert wal.read_survey(text) == ArchiveFacts(
        now=datetime.fromtimestamp(1795780803.25, UTC),
        version=150020,
        system="77",
        timeline=1,
        segment_bytes=MB16,
        data_folder="/var/lib/postgresql/data",
        image="sha256:1",
        current="000000010000000000000007",
        live=("000000010000000000000006", "000000010000000000000007"),
        archived={"000000010000000000000005": MB16, "00000002.history": 7},
        mount="comicpile_wal_archive",
        mounted_at="/wal_archive",
        mode="on",
        has_command=True,
        timeout=300,
        last_archived=12.5,
        cluster_bytes=1000,
        free_bytes=1024 * 1024,
        settings={"max_connections": "100"},
    )


def test_a_folder_that_is_not_there_is_told_from_an_empty_one() -> None:
    text = f"image\tsha256:1\nserver\t{json.dumps(SERVER)}\n"
    assert wal.read_survey(text).archived is None
    assert wal.read_survey(text + "folder\t1\n").archived == {}


@pytest.mark.parametrize("text", ["", "server\t{}\n", "image\t1\nserver\t{\n", "server\t[]\nimage\tx\n"])
def test_an_answer_in_an_unknown_form_is_an_error(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        wal.read_survey(text)


def test_commits_are_read() -> None:
    text = (
        "before 2026-11-22 13:22:51.293097\nafter 2026-11-22 13:22:52.000001 000000010000000000000003\n"
        "oldest 2026-11-22 13:00:00.000000\nnewest 2026-11-22 14:00:00.000000\n"
    )
    assert wal_commits.read_commits(text) == Commits(
        before=datetime(2026, 11, 22, 13, 22, 51, 293097, UTC),
        after=datetime(2026, 11, 22, 13, 22, 52, 1, UTC),
        after_segment="000000010000000000000003",
        oldest=datetime(2026, 11, 22, 13, tzinfo=UTC),
        newest=datetime(2026, 11, 22, 14, tzinfo=UTC),
    )
    assert wal_commits.read_commits("") == Commits()
    with pytest.raises(MalformedAnswer):
        wal_commits.read_commits("before yesterday noon")


def test_restore_points_may_have_any_name() -> None:
    text = "000000010000000000000003 0/3000060 before the import\n000000010000000000000002 0/2000060 a\n"
    assert wal_commits.read_points(text) == (
        RestorePoint(name="before the import", lsn="0/3000060", segment="000000010000000000000003"),
        RestorePoint(name="a", lsn="0/2000060", segment="000000010000000000000002"),
    )
    with pytest.raises(MalformedAnswer):
        wal_commits.read_points("x")
