"""Which backups may go. Only what was restored counts, and the newest of these never goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rollback_tasks.drivers.backup_folder import Run
from rollback_tasks.model.release import Backup, Release, ReleaseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What a prune does.

    :param removed: newest first.
    :param spared: backup that would go but for its reason.
    :param newest: the newest proven backup; empty where there is none.
    """

    removed: tuple[Backup, ...] = ()
    spared: Mapping[str, str] = field(default_factory=dict)
    newest: str = ""


def retention(backups: Sequence[Backup], *, keep: int, needs: Mapping[str, str]) -> Retention:
    """Return which backups go: proven ones beyond the newest ``keep``, and unproven ones that as many proven ones are
    newer than; but none that is needed.

    :param backups: newest first.
    :param keep: proven backups that stay; one stays in any case.
    :param needs: name of a backup to who needs it.
    """
    removed, spared, newer, newest = [], {}, 0, ""
    for backup in backups:
        goes = newer >= max(keep, 1)
        if backup.is_proven:
            newer += 1
            newest = newest or backup.name
        if goes and backup.name in needs:
            spared[backup.name] = needs[backup.name]
        elif goes:
            removed.append(backup)
    return Retention(removed=tuple(removed), spared=spared, newest=newest)


def needs(
    backups: Sequence[Backup], *, ledger: Sequence[Release], runs: Sequence[Run], databases: Collection[str]
) -> dict[str, str]:
    """Return which backups are needed, and by whom.

    A release needs the newest proven backup of its commit, or else of its schema: where a downgrade is impossible,
    that is the way back to it. A run needs the backups of its plan while it can be undone: the newest one, and those
    whose databases are still there.

    :param backups: newest first.
    :param runs: that were done, in the order of their time.
    :param databases: names of all databases of the server.
    """
    found: dict[str, str] = {}
    for release in ledger:
        if release.status is ReleaseStatus.BAD:
            continue
        proven = [backup for backup in backups if backup.is_proven]
        same = [backup for backup in proven if backup.commit == release.commit]
        same = same or [backup for backup in proven if release.schema and backup.schema == release.schema]
        if same:
            found.setdefault(same[0].name, f"release {release.label} may need it")
    changing = [run for run in runs if not run.task.startswith("backup.")]
    for run in reversed(changing):
        if run is changing[-1] or any(name.endswith(f"_{run.id}") for name in databases):
            for name in run.names:
                found.setdefault(name, f"run {run.id} ({run.task}) can be undone with it")
    return found
