"""What lies on one disk is counted together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.planning import guards, recovery_sequence, restoring, rooms
from rollback_tasks.planning.restoring import RestoreFacts
from rollback_tasks.planning.rooms import Need
from tests.builders import a_database, a_project, some_facts
from tests.unit.planning.test_window import a_base

GB = 1_000_000_000


def need(what: str, needed: int, *, disk: str = "", free: int = 10, stays: bool = False) -> Need:
    return Need(what=what, where=f"where {what} lies", disk=disk, free_bytes=free, needed_bytes=needed, stays=stays)


@pytest.mark.parametrize(
    ("needs", "briefs"),
    [
        ((need("a", 10), need("b", 10)), []),
        ((need("a", 10, disk="1", stays=True), need("b", 10, disk="2")), []),
        ((need("a", 11), need("b", 1)), ["no room for a: 10 B free where a lies, about 11 B needed"]),
        # What passes is gone before the next comes; what stays is there with each.
        ((need("a", 10, disk="1"), need("b", 10, disk="1")), []),
        ((need("a", 4, disk="1", stays=True), need("b", 6, disk="1"), need("c", 5, disk="1")), []),
        (
            (need("a", 5, disk="1", stays=True), need("b", 6, disk="1")),
            ["no room for a and b, which lie on one disk: 10 B free, about 11 B needed at once"],
        ),
        (
            (need("a", 6, disk="1", stays=True), need("b", 5, disk="1", stays=True)),
            ["no room for a and b, which lie on one disk: 10 B free, about 11 B needed at once"],
        ),
        # What has no room by itself is said, and that is enough.
        (
            (need("a", 5, disk="1", stays=True), need("b", 11, disk="1")),
            ["no room for b: 10 B free where b lies, about 11 B needed"],
        ),
        # Unknown disks are never taken for one.
        ((need("a", 6, stays=True), need("b", 6)), []),
    ],
)
def test_needs_are_added_up_disk_by_disk(needs: tuple[Need, ...], briefs: list[str]) -> None:
    assert [blocker.brief for blocker in rooms.short(needs)] == briefs


@pytest.mark.parametrize(("disk", "is_short"), [("1", True), ("2", False), ("", False)])
def test_a_dump_and_the_copies_beside_it_share_a_disk(disk: str, is_short: bool) -> None:
    database = a_database(size_bytes=2 * GB, free_bytes=3 * GB, disk="1")
    facts = replace(some_facts(3), database=database, backup_disk=disk, backup_free_bytes=3 * GB, backups=())
    assert bool(list(guards.room(facts, a_project(), copies=1))) is is_short


def test_a_recovery_needs_the_room_of_two_dumps_and_lies_where_docker_keeps_its_data() -> None:
    base = replace(a_base(), unpacked_bytes=2 * GB)
    database = a_database(size_bytes=GB, free_bytes=100 * GB)
    facts = replace(some_facts(3), database=database, backups=(), backup_free_bytes=GB, docker_free_bytes=3 * GB)
    also = recovery_sequence.room(facts, base)

    def briefs(**changes: object) -> list[str]:
        changed = replace(facts, **changes)  # type: ignore[arg-type]
        there = recovery_sequence.room(changed, base)
        found = restoring.possible(changed, a_project(), 0, RestoreFacts(), dumps=2, also=there)
        return [blocker.brief for blocker in found]

    assert [(one.needed_bytes, one.free_bytes) for one in also] == [(2_600_000_000, 3 * GB)]
    assert briefs() == []
    (dumps,) = briefs(backup_free_bytes=600_000_000)
    assert dumps.startswith("no room for 2 backups: 600.0 MB free in ")
    (beside,) = briefs(docker_free_bytes=GB)
    assert beside.startswith("no room for the recovery beside the live database: 1.0 GB free where Docker keeps")
    (together,) = briefs(backup_free_bytes=3 * GB, backup_disk="7", docker_disk="7")
    assert together.startswith("no room for 2 backups and the recovery beside the live database, which lie on one disk")
    assert briefs(docker_free_bytes=0) == []
