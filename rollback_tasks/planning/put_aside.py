"""Which of what runs put aside in the server may go: old, backed up, and never what was put aside last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rollback_tasks.drivers.backup_folder import Run
from rollback_tasks.drivers.databases import put_aside_by
from rollback_tasks.drivers.table_rows import schema_name
from rollback_tasks.model.facts import DatabaseFacts, HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup
from rollback_tasks.planning.rooms import size
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.drop_put_aside import DropKeptRows, DropPutAside
from rollback_tasks.steps.pull_backup import PullBackup

DAY = 86_400

# For so long what a run put aside stays, unless somebody says otherwise.
KEEP_DAYS = 7
_DUMP_SHARE = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAside:
    """A database that a run put aside, or a schema of the live one in which it kept rows.

    :param age: seconds since the run last did something.
    """

    name: str
    run_id: str
    is_schema: bool
    size_bytes: int
    age: float

    def __str__(self) -> str:
        kind = "schema" if self.is_schema else "database"
        return f"{kind} {self.name} ({size(self.size_bytes) if self.size_bytes >= 0 else '?'}, {days(self.age)})"


def days(seconds: float) -> str:
    """Return an age as people say it."""
    count = int(max(0.0, seconds) // DAY)
    return "less than a day old" if count == 0 else f"{count} day{'' if count == 1 else 's'} old"


def put_aside(
    database: DatabaseFacts, project: Project, *, now: float, idle: Mapping[str, float]
) -> tuple[PutAside, ...]:
    """Return what runs on this database put aside, the youngest first.

    :param now: seconds since the epoch.
    :param idle: run to the seconds since it last did something; one whose folder is gone is as old as its name says.
    """
    known = [(name, put_aside_by(project.database, name), False, n) for name, n in database.put_aside.items()]
    known += [(name, name.removeprefix(schema_name("")), True, count) for name, count in database.kept_schemas.items()]
    found = [
        PutAside(name=name, run_id=run, is_schema=is_schema, size_bytes=count, age=idle.get(run, now - _begun(run)))
        for name, run, is_schema, count in known
        if run
    ]
    return tuple(sorted(found, key=lambda one: (one.age, one.name)))


def _begun(run_id: str) -> float:
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """What goes, oldest first, by which steps; and what stays, with its reason."""

    steps: tuple[Step, ...] = ()
    stays: Mapping[str, str] = field(default_factory=dict)


def going(
    found: Sequence[PutAside],
    *,
    project: Project,
    facts: HostFacts,
    run_id: str,
    runs: Sequence[Run],
    local_folder: str,
    keep_days: int,
) -> Going:
    """Return what may go: older than ``keep_days`` days, of no run that would be taken back next, and not the youngest.
    A database is backed up by itself first and that backup is copied off the host; rows that a run kept are in a proven
    backup of the live database.

    :param found: the youngest first.
    :param runs: that were done, in the order of their time.
    """
    changing = [run.id for run in runs if not run.task.startswith(("backup.", "drill."))]
    last = changing[-1] if changing else ""
    proven = next((backup for backup in facts.backups if backup.is_proven), None)
    room = facts.backup_free_bytes
    steps: list[Step] = []
    stays: dict[str, str] = {}
    for one in reversed(found):
        if one.age <= keep_days * DAY:
            continue
        if one.run_id == last:
            stays[str(one)] = f"run {one.run_id} can be taken back with it"
        elif one is found[0]:
            stays[str(one)] = "nothing was put aside after it"
        elif one.is_schema:
            if proven is None or not any(table.startswith(f"{one.name}.") for table in proven.counts):
                stays[str(one)] = f"no proven backup holds it: `inv backup.create --host {facts.host}` first"
                continue
            steps.append(_drop_rows(one, project, run_id, proven))
        else:
            needed = round(max(0, one.size_bytes) * _DUMP_SHARE)
            if room < needed:
                stays[str(one)] = f"no room for its backup in {project.backup_folder}: about {size(needed)} needed"
                continue
            # On one disk more room comes back when the database is dropped.
            room -= 0 if facts.database and facts.backup_disk == facts.database.disk != "" else needed
            steps += _drop_database(one, project, run_id, facts, local_folder)
    return Going(steps=tuple(steps), stays=stays)


def _new_name(facts: HostFacts, project: Project, database: str, run_id: str) -> str:
    """Return the name of its backup. One that an earlier try left is no proof of what somebody wrote since."""
    name = project.put_aside_backup_name(database)
    return f"{name}-{run_id}" if any(backup.name == name for backup, _ in facts.others) else name


def _drop_database(
    one: PutAside, project: Project, run_id: str, facts: HostFacts, local_folder: str
) -> tuple[Step, ...]:
    name = _new_name(facts, project, one.name, run_id)
    count = max(0, one.size_bytes)
    return (
        BackupDatabase(
            project_=replace(project, database=one.name),
            run_id=run_id,
            name=name,
            commit="",
            size_bytes=count,
            host=facts.host,
        ),
        PullBackup(project_=project, name=name, local_folder=local_folder),
        DropPutAside(
            project_=project, run_id=run_id, database=one.name, backup=name, size_bytes=count, says=f"drop {one}"
        ),
    )


def _drop_rows(one: PutAside, project: Project, run_id: str, proven: Backup) -> Step:
    return DropKeptRows(
        project_=project,
        run_id=run_id,
        schema=one.name,
        backup=proven.name,
        size_bytes=proven.size_bytes,
        says=f"drop {one}, whose rows backup {proven.name} holds",
    )
