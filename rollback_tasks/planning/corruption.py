"""Which backup corrupted data goes back to, and what is told before that. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rollback_tasks.drivers.consistency import Consistency, Difference
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.release import Backup
from rollback_tasks.planning.doctor_backups import age

# A dump is restored with these in force: rows that break one of them end its restore, or the making of an index.
_HELD = ("foreign-key", "check", "unique")
_SHOWN = 5
_OTHERS = 3


def can_be_proven(live: Consistency) -> bool:
    """True where a backup of what is live can be restored as it is."""
    return not any(problem.check in _HELD for problem in live.problems)


def found(live: Consistency, backup: Backup | None, difference: Difference | None) -> Iterator[str]:
    """Yield what is wrong with the data, and what it lacks against the backup.

    :param difference: between the backup and what is live.
    """
    for problem in live.problems[:_SHOWN]:
        yield f"{problem.check} {problem.name}: {problem.says}" if problem.name else problem.says
    if len(live.problems) > _SHOWN:
        yield f"{len(live.problems) - _SHOWN} problems more, as `inv db.check` lists them"
    if not live.problems:
        rows = sum(live.rows.values())
        yield f"no check finds anything wrong in {len(live.rows)} tables with {rows} rows: wrong values are not seen so"
    if backup is None or difference is None:
        return
    told = (*difference.worse, *difference.fewer)
    lacks = [text for text in told if " fewer than " in text or " is gone; it had " in text]
    yield from lacks[:_SHOWN]
    if not lacks:
        yield f"no table has fewer rows than in backup {backup.name}"


def of_backups(chosen: Backup, proven: Sequence[Backup], then: Consistency, *, now: float) -> Iterator[str]:
    """Yield how old the backup is that is gone back to, whether it was whole itself, and which others there are.

    :param proven: every proven backup, newest first.
    :param then: what was known of its data when it was made; without problems where nothing is.
    :param now: seconds since the epoch.
    """
    yield f"backup {chosen.name} is of {chosen.taken_at}, {aged(chosen, now)} old"
    for problem in then.problems[:_SHOWN]:
        yield f"in that backup already: {problem.check} {problem.name}: {problem.says}"
    others = [f"{one.name} ({aged(one, now)} old)" for one in proven if one.name != chosen.name]
    if others:
        more = f" and {len(others) - _OTHERS} more" if len(others) > _OTHERS else ""
        yield f"other proven backups: {', '.join(others[:_OTHERS])}{more}"


def aged(backup: Backup, now: float) -> str:
    """Return a backup's age in words; ``now`` in seconds since the epoch."""
    try:
        taken = datetime.fromisoformat(backup.taken_at)
    except ValueError:
        return "of unknown age"
    return age(now - (taken if taken.tzinfo else taken.replace(tzinfo=UTC)).timestamp())


def unnamed(chosen: Backup, host: str, now: float) -> Blocker:
    """Return the blocker of a restore that nobody looks at before it begins, and that nobody chose a backup for."""
    return Blocker(
        f"no backup was named, and nobody is asked: the newest proven one, {chosen.name}, is {aged(chosen, now)} old",
        f"add --backup {chosen.name}, or another one that `inv backup.list --host {host}` shows; --backup latest takes "
        "the newest proven one of each host.",
    )
