"""Which moments a database can be taken back to, and from which base backup. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rollback_tasks.drivers.wal import Segment, lsn, segment
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup, Commits, RestorePoint, Window, said

_MOST_NAMED = 100_000

# How the restore points of runs begin. One that was gone on with may have named its own twice, before any change.
OWN = "rollback-"


def window(base: BaseBackup, archived: Mapping[str, int], live: Iterable[str]) -> Window:
    """Return how far a base backup can be rolled forward along its own timeline.

    :param archived: name to bytes; a file of another size than a segment's is torn and counts as missing.
    :param live: segments that the server still has; they can still be archived.
    """
    size = base.segment_bytes
    first = segment(base.start_wal, size)
    whole = {found for name, count in archived.items() if count == size and (found := segment(name, size))}
    there = whole | {found for name in live if (found := segment(name, size))}
    if first is None or first not in there:
        return Window(base=base, end="", gap=_missing(first, there, size) if first else (base.start_wal,))
    last = archived_last = first
    is_archived = first in whole
    while last.next() in there:
        last = last.next()
        is_archived = is_archived and last in whole
        archived_last = last if is_archived else archived_last
    return Window(
        base=base,
        end=last.name(size),
        archived_end=archived_last.name(size) if first in whole else "",
        gap=_missing(last.next(), there, size),
    )


def _missing(first: Segment, there: set[Segment], size: int) -> tuple[str, ...]:
    """Return the names from ``first`` on that are missing before the next one that is there; none where none is."""
    later = [one.number for one in there if one.timeline == first.timeline and one.number > first.number]
    if not later:
        return ()
    until = min(*later, first.number + _MOST_NAMED)
    return tuple(Segment(first.timeline, number).name(size) for number in range(first.number, until))


def usable(bases: Sequence[BaseBackup], facts: ArchiveFacts) -> tuple[BaseBackup, ...]:
    """Return the base backups of this very cluster, newest first: a log of another one does not fit on them."""
    return tuple(
        base
        for base in sorted(bases, key=lambda base: base.stopped_at, reverse=True)
        if base.system == facts.system and base.server_version // 10000 == facts.version // 10000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a recovery starts from, or why there is none.

    :param closes: what is written now has to be archived first.
    :param notes: the window, and the nearest commits, in sentences.
    """

    base: BaseBackup | None = None
    blockers: tuple[Blocker, ...] = ()
    closes: bool = False
    segments: int = 0
    notes: tuple[str, ...] = ()


def base_for(moment: datetime, bases: Sequence[BaseBackup]) -> BaseBackup | None:
    """Return the newest base backup that had ended at ``moment``: before that a recovery is not consistent, and on a
    quiet database PostgreSQL would open it at its end without a word."""
    return next((base for base in bases if base.stopped_at <= moment), None)


def archiving_problem(facts: ArchiveFacts) -> str:
    """Say why nothing is archived; empty where archiving should work."""
    if facts.mode == "off":
        return "archive_mode is off" + (" until the server is restarted" if "archive_mode" in facts.pending else "")
    if facts.level == "minimal":
        return "wal_level is minimal"
    if not facts.has_command:
        return "neither archive_command nor archive_library is set"
    if facts.archived is None:
        return "the archive's folder is not in the database's container"
    if not facts.mount:
        return "the archive's folder lies in no volume: it is lost with the container"
    if facts.failing:
        return f"the archiver fails at segment {facts.failing}, {facts.waiting} are waiting"
    return ""


def choose_moment(
    moment: datetime, bases: Sequence[BaseBackup], facts: ArchiveFacts, commits: Commits | None, *, host: str
) -> Choice:
    """Return what a recovery to a moment starts from, or why it cannot work.

    :param commits: around ``moment``, in the window of the base backup that is meant; None where there is none.
    """
    if not bases:
        return _no_base(host)
    base = base_for(moment, bases)
    known = base or bases[-1]
    found = window(known, facts.archived or {}, facts.live)
    notes = (*_told(found, facts), *_nearest(commits))
    if moment > facts.now:
        now = f"the database's clock says {said(facts.now)}"
        return _refused(f"{said(moment)} is still to come: {now}", "name a moment that has been.", notes)
    if base is None:
        return _refused(
            f"{said(moment)} is before the oldest base backup, which ended {said(known.stopped_at)}",
            f"name a later moment, or restore a dump: `inv backup.list --host {host}`.",
            notes,
        )
    if not found.end or (commits is not None and commits.after is None and found.gap):
        newest = commits.newest if commits else None
        reach = f"what can be reached ends {said(newest)}" if newest else "nothing can be reached from that base backup"
        return _refused(
            f"the log has a gap before {said(moment)}: {_named(found.gap)} missing in the archive; {reach}",
            f"name an earlier moment; make a new base backup now: `inv backup.base --host {host}`.",
            notes,
        )
    after = commits.after_segment if commits is not None and commits.after is not None else ""
    closes = not after or not found.archived_end or after > found.archived_end
    if closes and (refused := _cannot_close(base, facts, host)):
        newest = commits.newest if commits else None
        reach = f" (the newest commit in it is of {said(newest)})" if newest else ""
        return _refused(f"{said(moment)} is behind the end of the archive{reach}: {refused.brief}", refused.hint, notes)
    return Choice(base=base, closes=closes, segments=_length(base, after or found.end), notes=notes)


def choose_point(
    name: str, bases: Sequence[BaseBackup], facts: ArchiveFacts, points: Sequence[RestorePoint], *, host: str
) -> Choice:
    """Return what a recovery to a restore point starts from, or why it cannot work.

    :param points: what was found in the log, newest segment first.
    """
    if not bases:
        return _no_base(host)
    found = [point for point in points if point.name == name]
    if not found:
        names = ", ".join(point.name for point in points[:8])
        listed = f"the log names {names}" if names else "the log holds no restore point"
        return _refused(f"no restore point {name!r} is in the log", f"{listed}; or give --time.", ())
    if len(found) > 1 and not name.startswith(OWN):
        places = ", ".join(f"{point.lsn}" for point in found)
        return _refused(
            f"restore point {name!r} is in the log {len(found)} times ({places})",
            "give --time instead: which one is meant is not clear.",
            (),
        )
    point = min(found, key=lambda one: lsn(one.lsn))
    base = next((base for base in bases if _is_behind(base, point)), None)
    if base is None:
        oldest = bases[-1]
        return _refused(
            f"restore point {name!r} is before the oldest base backup, which ended {said(oldest.stopped_at)}",
            f"restore a dump: `inv backup.list --host {host}`.",
            (),
        )
    reach = window(base, facts.archived or {}, facts.live)
    notes = _told(reach, facts)
    if not reach.end or point.segment > reach.end:
        return _refused(
            f"the log has a gap before restore point {name!r}: {_named(reach.gap)} missing in the archive",
            f"make a new base backup now: `inv backup.base --host {host}`.",
            notes,
        )
    closes = not reach.archived_end or point.segment > reach.archived_end
    if closes and (refused := _cannot_close(base, facts, host)):
        return _refused(
            f"restore point {name!r} is behind the end of the archive: {refused.brief}", refused.hint, notes
        )
    return Choice(base=base, closes=closes, segments=_length(base, point.segment), notes=notes)


def _is_behind(base: BaseBackup, point: RestorePoint) -> bool:
    place = segment(point.segment, base.segment_bytes)
    return place is not None and place.timeline == base.timeline and lsn(point.lsn) >= lsn(base.stop_lsn)


def _no_base(host: str) -> Choice:
    return _refused(
        "there is no base backup of this database's cluster",
        f"from now on: `inv backup.base --host {host}`; what was before is in dumps: `inv backup.list --host {host}`.",
        (),
    )


def _cannot_close(base: BaseBackup, facts: ArchiveFacts, host: str) -> Blocker | None:
    """Say why what is written now cannot be archived; None where it can."""
    mend = f"see `inv host.doctor --host {host}`."
    if problem := archiving_problem(facts):
        return Blocker(problem, mend)
    current = segment(facts.current, facts.segment_bytes)
    if current is None:
        return Blocker("the server is itself in recovery", mend)
    if current.timeline != base.timeline:
        return Blocker(
            f"the server writes on timeline {current.timeline}, the base backup is of timeline {base.timeline}",
            f"make a new base backup: `inv backup.base --host {host}`.",
        )
    return None


def _length(base: BaseBackup, end: str) -> int:
    first, last = segment(base.start_wal, base.segment_bytes), segment(end, base.segment_bytes)
    return 1 if first is None or last is None else max(1, last.number - first.number + 1)


def _refused(brief: str, hint: str, notes: tuple[str, ...]) -> Choice:
    return Choice(blockers=(Blocker(brief, hint),), notes=notes)


def _told(found: Window, facts: ArchiveFacts) -> tuple[str, ...]:
    since = f"base backup {found.base.name} reaches from {said(found.base.stopped_at)}"
    if not found.end:
        return (f"{since} nowhere: {_named(found.gap or (found.base.start_wal,))} missing in the archive",)
    if found.gap:
        return (f"{since} to segment {found.end}: {_named(found.gap)} missing in the archive",)
    is_live = found.end == facts.current and not archiving_problem(facts)
    return (f"{since} to {'now' if is_live else f'segment {found.end}'}, without a gap",)


def _nearest(commits: Commits | None) -> tuple[str, ...]:
    if commits is None or commits.newest is None:
        return ()
    before = f"the last commit up to then is of {said(commits.before)}" if commits.before else "no commit is before it"
    after = f"the next one of {said(commits.after)}" if commits.after else "none is behind it"
    return (f"{before}, {after}",)


def _named(names: Sequence[str]) -> str:
    if not names:
        return "segments are"
    if len(names) == 1:
        return f"segment {names[0]} is"
    return f"segments {names[0]} to {names[-1]} are"


def read_moment(text: str) -> tuple[datetime, str]:
    """Given what the operator typed, return the moment, and what was assumed; empty where nothing was.

    :raises ValueError: it is no moment; the message says so.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"should be a moment like 2026-11-22T13:22:51+01:00, got {text!r}") from None
    if ":" not in text:
        raise ValueError(f"should have a time of day, like 2026-11-22T13:22:51+01:00, got {text!r}")
    if found.tzinfo is not None:
        return found.astimezone(UTC), ""
    assumed = found.replace(tzinfo=UTC)
    return assumed, f"{text.strip()} has no offset and is taken as UTC: {said(assumed)}"
