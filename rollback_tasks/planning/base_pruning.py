"""Which base backups may go, and which of the archived log: what is kept can be rolled forward without a gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_tasks.drivers.wal import segment
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup, said
from rollback_tasks.planning.rooms import size
from rollback_tasks.planning.window import window
from rollback_tasks.steps.prune_bases import PruneBases, PruneWal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """What a prune does with base backups and the log.

    :param removed: newest first.
    :param newest: the newest one that can be rolled forward to now; None where there is none, and then nothing goes.
    :param oldest: the first segment that stays; empty where none goes.
    :param segments: files of the archive before it, and their bytes.
    """

    removed: tuple[BaseBackup, ...] = ()
    newest: BaseBackup | None = None
    oldest: str = ""
    segments: int = 0
    bytes: int = 0


def retention(bases: Sequence[BaseBackup], facts: ArchiveFacts, *, has_strange: bool, keep: int) -> Bases:
    """Return what goes: base backups behind the ``keep`` newest ones that can be rolled forward without a gap, and the
    segments before the oldest one that stays.

    :param bases: of this cluster, newest first.
    :param has_strange: base backups of another cluster are there: its log may lie in the same archive, and is not told
        apart from this one's.
    """
    removed, stays, newest, whole = [], [], None, 0
    for base in bases:
        if whole >= max(keep, 1):
            removed.append(base)
            continue
        stays.append(base)
        reach = window(base, facts.archived or {}, facts.live)
        if reach.end and not reach.gap and base.timeline == facts.timeline:
            whole += 1
            newest = newest or base
    if newest is None:
        return Bases()
    oldest = min((base.start_wal for base in stays), key=_place)
    old = [name for name in facts.archived or {} if _is_log(name, facts) and _place(name) < _place(oldest)]
    if has_strange or not old or oldest not in (facts.archived or {}):
        return Bases(removed=tuple(removed), newest=newest)
    count = sum((facts.archived or {})[name] for name in old)
    return Bases(removed=tuple(removed), newest=newest, oldest=oldest, segments=len(old), bytes=count)


def _place(name: str) -> str:
    return name[8:24]


def _is_log(name: str, facts: ArchiveFacts) -> bool:
    return segment(name.removesuffix(".partial"), facts.segment_bytes) is not None


def steps(project: Project, found: Bases) -> Iterator[Step]:
    """Yield the steps: base backups go first, so that what is left of the log is enough for all that are left."""
    if found.newest is None:
        return
    for base in found.removed:
        yield PruneBases(
            project_=project,
            names=(base.name,),
            newest=found.newest.name,
            says=f"remove base backup {base.name} (of {said(base.stopped_at)}, {size(base.size_bytes)})",
        )
    if found.oldest:
        yield PruneWal(
            project_=project,
            oldest=found.oldest,
            says=f"remove {found.segments} segments of the archived log before {found.oldest} ({size(found.bytes)}); "
            "a standby that still reads them could not catch up any more",
        )


def warnings(found: Bases, *, count: int, strange: Sequence[BaseBackup]) -> Iterator[str]:
    """Yield why base backups or their log stay. ``count``: base backups of this cluster."""
    if strange:
        yield (
            f"{len(strange)} base backups are of another cluster ({', '.join(base.name for base in strange[:3])}): "
            "they and the archived log are left alone; remove them by hand where nobody wants them"
        )
    if count and found.newest is None:
        yield "no base backup can be rolled forward without a gap: base backups and the archived log are left alone"
