"""What there is to come back from: dumps, base backups and the log. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rollback_tasks.model.recovery import said
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.planning.examination import Examined, Patient
from rollback_tasks.planning.put_aside import KEEP_DAYS
from rollback_tasks.planning.window import archiving_problem, window

_DAY = 86_400
_OLD_BASE = 30 * _DAY


def backups(patient: Patient) -> Iterator[Examined]:
    backups, host = patient.facts.backups, patient.facts.host
    proven = next((backup for backup in backups if backup.level is BackupLevel.RESTORED), None)
    if proven is None:
        newest = f"; the newest is only {backups[0].level.value}" if backups else ""
        yield Examined(
            check="backups",
            warning=f"no backup was ever proven by a restore{newest}",
            next=f"`inv backup.create --host {host}`",
        )
        return
    old = patient.now - datetime.fromisoformat(proven.taken_at).replace(tzinfo=UTC).timestamp()
    is_old = old > _DAY
    yield Examined(
        check="backups",
        says=f"the newest proven one, {proven.name}, is {age(old)} old",
        warning=f"the newest proven backup, {proven.name}, is {age(old)} old" if is_old else "",
        next=f"`inv backup.create --host {host}`" if is_old else "",
    )


def put_aside(patient: Patient) -> Iterator[Examined]:
    """Databases that runs put aside are as large as the live one, and nothing but a prune takes them away."""
    found = patient.put_aside
    if patient.facts.database is None:
        return
    told = ", ".join(str(one) for one in reversed(found[-5:])) + (" ..." if len(found) > 5 else "")
    is_old = len(found) > 1 and found[-1].age > KEEP_DAYS * _DAY
    yield Examined(
        check="put aside",
        says=f"for taking runs back: {told}" if found else "no run left a database or rows in the server",
        warning=f"runs put aside what nobody takes back any more: {told}" if is_old else "",
        next=f"`inv backup.prune --host {patient.facts.host}` shows what can go." if is_old else "",
    )


def archive(patient: Patient) -> Iterator[Examined]:
    facts, host = patient.archive, patient.facts.host
    recipe = 'README, "Write-ahead log archiving".'
    if facts is None:
        return
    off = archiving_problem(facts)
    if facts.mode == "off":
        yield Examined(check="log archive", warning=f"{off}: rollback.pitr cannot work", next=recipe)
        return
    slow = facts.timeout == 0
    last = "never" if facts.last_archived is None else f"{age(facts.last_archived)} ago"
    yield Examined(
        check="log archive",
        says=f"the last segment was stored {last}, {facts.waiting} are waiting",
        problem=off,
        warning="archive_timeout is 0: a quiet database archives nothing for hours" if slow else "",
        next=recipe if off or slow else "",
    )
    if not patient.bases:
        other = f" ({patient.strange} are of another cluster)" if patient.strange else ""
        yield Examined(
            check="window",
            warning=f"there is no base backup of this cluster{other}",
            next=f"`inv backup.base --host {host}`",
        )
        return
    windows = [window(base, facts.archived or {}, facts.live) for base in patient.bases]
    newest, oldest = windows[0], windows[-1]
    torn = next((one for one in windows if one.gap), None)
    old = patient.now - newest.base.stopped_at.timestamp()
    if newest.gap or not newest.end:
        gone = f"{len(newest.gap)} segments from {newest.gap[0]} on are missing" if newest.gap else "its log is missing"
        yield Examined(
            check="window",
            problem=f"the newest base backup leads nowhere: {gone}",
            next=f"`inv backup.base --host {host}`",
        )
        return
    warning = ""
    if torn is not None:
        since = said(newest.base.stopped_at)
        warning = f"a gap: {len(torn.gap)} segments from {torn.gap[0]} on are missing; whole since {since}"
    elif old > _OLD_BASE:
        warning = f"the newest base backup is {age(old)} old: a recovery has to replay all that was written since"
    yield Examined(
        check="window",
        says=f"any moment from {said(oldest.base.stopped_at)} on, without a gap",
        warning=warning,
        next=f"`inv backup.base --host {host}`" if warning else "",
    )


def age(seconds: float) -> str:
    """Return how old something is, as people say it."""
    for unit, length in (("days", _DAY), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
