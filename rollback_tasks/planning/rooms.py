"""Whether what a plan lays on the disks of a database's host fits there; what lies on one disk is counted together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rollback_tasks.model.plan import Blocker


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Room for one thing.

    :param where: as a sentence says it, e.g. ``in /srv/backups``.
    :param disk: two that are called alike are one; empty = not known, and then it is a disk of its own.
    :param stays: it is there until the end of the run; what does not is gone before the next such thing comes.
    :param hint: what makes room.
    """

    what: str
    where: str
    disk: str
    free_bytes: int
    needed_bytes: int
    stays: bool = False
    hint: str = ""


def short(needs: Iterable[Need]) -> Iterator[Blocker]:
    """Yield a blocker for each thing that has no room, or for those of a disk that have none together."""
    disks: dict[str, list[Need]] = {}
    for need in needs:
        disks.setdefault(need.disk or need.where, []).append(need)
    for there in disks.values():
        alone = [need for need in there if need.free_bytes < need.needed_bytes]
        for need in alone:
            yield Blocker(
                f"no room for {need.what}: {size(need.free_bytes)} free {need.where}, "
                f"about {size(need.needed_bytes)} needed",
                need.hint,
            )
        passing = [need.needed_bytes for need in there if not need.stays]
        together = sum(need.needed_bytes for need in there if need.stays) + max(passing, default=0)
        free = min(need.free_bytes for need in there)
        if not alone and free < together:
            yield Blocker(
                f"no room for {' and '.join(need.what for need in there)}, which lie on one disk: "
                f"{size(free)} free, about {size(together)} needed at once",
                there[0].hint,
            )


def size(count: int) -> str:
    """Return bytes as people read them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
