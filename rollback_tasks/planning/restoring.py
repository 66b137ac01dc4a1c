"""Whether a backup can become the live database, and what that costs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rollback_tasks.drivers.alembic import ScriptGraph
from rollback_tasks.drivers.databases import copy_name
from rollback_tasks.drivers.swap import Obstacles
from rollback_tasks.errors import UsageError
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, BackupLevel, Release, ReleaseStatus
from rollback_tasks.planning import guards
from rollback_tasks.planning.rooms import Need

# Tables that hold nothing of the application: what earlier runs kept, and alembic's own.
_OWN = re.compile(r"alembic_version\Z|rollback_\d{8}T\d{6}Z-")

# What a restored database takes of its compressed dump, at least.
_UNPACKED = 3

# A plan is written down, shown and agreed to: nobody reads thousands of lines.
_MOST_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFacts:
    """What was asked of the host once the backup was chosen.

    :param damage: why the files of the backup are not what its manifest says; empty where they are.
    :param is_here: this machine has a whole copy of the backup.
    :param counts: exact rows of every live table.
    :param broken: what is wrong with foreign keys of the live database, as sentences.
    :param deployed: the scripts of the release that runs.
    """

    damage: str = ""
    is_here: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    obstacles: Obstacles = field(default_factory=Obstacles)
    deployed: ScriptGraph | None = None


def choose(facts: HostFacts, name: str) -> Backup | None:
    """Return the backup that the operator means: by its name, by that of its file, or the ``latest`` proven one."""
    if name == "latest":
        return next((backup for backup in facts.backups if backup.level is BackupLevel.RESTORED), None)
    known = (*facts.backups, *(backup for backup, _ in facts.others))
    return next((backup for backup in known if backup.name == bare(name)), None)


def bare(name: str) -> str:
    """Return a backup's name where its file was named, here or there."""
    return name.rpartition("/")[2].removesuffix(".dump").removesuffix(".manifest.json")


def missing(facts: HostFacts, name: str, *, is_here: bool) -> Blocker:
    """Return the blocker for a backup that the host does not have.

    :param is_here: this machine has it.
    :raises UsageError: nobody has a backup of that name.
    """
    host, name = facts.host, bare(name)
    if is_here:
        return Blocker(
            f"backup {name} is only on this machine, not on {host}",
            f"send it there: `inv backup.push --host {host} --backup {name}`, then plan again.",
        )
    if name == "latest":
        return Blocker(f"{host} has no proven backup", f"`inv backup.list --host {host}` shows what there is.")
    near = difflib.get_close_matches(name, [backup.name for backup in facts.backups], n=1)
    raise UsageError(
        f"no backup on {host} is called {name!r}",
        details="nothing was changed",
        hint=(f"did you mean {near[0]!r}? " if near else "") + f"`inv backup.list --host {host}` shows them.",
        host=host,
    )


def usable(
    facts: HostFacts, project: Project, backup: Backup, found: RestoreFacts, *, is_foreign_meant: bool = False
) -> Iterator[Blocker]:
    """Yield every reason why a backup is no good, or not for this server.

    :param is_foreign_meant: the operator knows that it is of another deployment.
    """
    database, host = facts.database, facts.host
    if foreign := of_other(facts, backup):
        if not is_foreign_meant:
            yield Blocker(
                f"backup {backup.name} is of {foreign}",
                f"add --foreign where just that is meant; `inv backup.list --host {host}` shows those of this one.",
            )
    elif backup.database != project.database:
        yield Blocker(
            f"backup {backup.name} is of database {backup.database}, not of {project.database}",
            f"`inv backup.list --host {host}` shows those of {project.database}.",
        )
    if found.damage:
        again = f"send this machine's copy again: `inv backup.push --host {host} --backup {backup.name}`"
        yield Blocker(
            f"backup {backup.name} is damaged: {found.damage}",
            again if found.is_here else f"name another one; `inv backup.list --host {host}` shows them.",
        )
    elif backup.level in (BackupLevel.WRITTEN, BackupLevel.HASHED):
        yield Blocker(
            f"backup {backup.name} was never read back, it is only {backup.level.value}",
            f"prove it first: `inv backup.verify --host {host} --backup {backup.name}`",
        )
    if database is not None and backup.server_version // 10000 > database.version // 10000:
        yield Blocker(
            f"backup {backup.name} was made by PostgreSQL {backup.server_version // 10000}, "
            f"the server is {database.version // 10000}: an older server cannot restore it",
            "name a backup that was made before the server's upgrade was taken back.",
        )


def of_other(facts: HostFacts, backup: Backup) -> str:
    """Say what a backup is of, where that is not the live database of this deployment; empty where it is."""
    return next((other for known, other in facts.others if known == backup), "")


def possible(
    facts: HostFacts,
    project: Project,
    backup_size: int,
    found: RestoreFacts,
    *,
    dumps: int = 1,
    also: tuple[Need, ...] = (),
) -> Iterator[Blocker]:
    """Yield every reason why the live database cannot be put aside, whatever is to take its place.

    :param backup_size: bytes of the dump.
    :param dumps: that are made; ``also``: what else needs room.
    """
    database = facts.database
    if database is None:
        yield Blocker(
            f"the database cannot be reached: {facts.database_problem}",
            f"start it (`docker start` its container on {facts.host}), then plan again.",
        )
        return
    yield from room(facts, project, backup_size, found, dumps=dumps, also=also)
    if database.prepared:
        yield Blocker(
            f"prepared transactions hold the database: {', '.join(database.prepared)}",
            "commit or roll them back (COMMIT PREPARED, ROLLBACK PREPARED), then plan again.",
        )
    if database.subscriptions:
        yield Blocker(
            f"subscriptions write to the database: {', '.join(database.subscriptions)}",
            "disable them (ALTER SUBSCRIPTION ... DISABLE), then plan again.",
        )
    if found.obstacles.slots:
        yield Blocker(
            f"replication slots stay with the old database, and what reads them breaks: "
            f"{', '.join(found.obstacles.slots)}",
            "stop what reads them and drop them (SELECT pg_drop_replication_slot('NAME')), then plan again.",
        )
    if found.obstacles.protected:
        yield Blocker(
            f"sessions of a superuser, which {project.database_user} may not end: "
            f"{'; '.join(found.obstacles.protected)}",
            "end them, then plan again.",
        )


def room(
    facts: HostFacts,
    project: Project,
    backup_size: int,
    found: RestoreFacts,
    *,
    dumps: int = 1,
    also: tuple[Need, ...] = (),
) -> Iterator[Blocker]:
    """Yield every reason why a backup cannot be restored beside the live database. Parameters as of ``possible``."""
    yield from guards.room(facts, project, copies=1, least=backup_size * _UNPACKED, dumps=dumps, also=also)
    if not found.obstacles.may_create:
        yield Blocker(
            f"role {project.database_user} may not make databases",
            f"ALTER ROLE {project.database_user} CREATEDB, or set database.user to a superuser.",
        )


def fit(facts: HostFacts, schema: tuple[str, ...], deployed: ScriptGraph | None, *, flag: str) -> Iterator[Blocker]:
    """Yield a blocker where the code that runs cannot work with a schema.

    :param schema: alembic heads of what is restored.
    :param flag: of the command, that takes the code to a release as well.
    """
    live = facts.database.schema if facts.database else ()
    needed = deployed.heads if deployed else ()
    if set(schema) in (set(live), set(needed)):
        return
    said = f"the backup is at {_names(schema)}"
    unknown = [revision for revision in schema if deployed is None or revision not in deployed]
    if unknown:
        problem = f"{said}, which the code that runs does not have: it could not start"
    else:
        problem = (
            f"{said}, the code that runs needs {_names(needed)}: it would fail, or migrate the restored database anew"
        )
    release = fitting(facts, schema)
    where = f"--{flag} RELEASE"
    hint = f"name the release that it belongs to with {where}; `inv release.list --host {facts.host}` shows them."
    if release is not None:
        hint = f"take the code back to the release that it belongs to as well: add --{flag} {release.label}"
    yield Blocker(problem, hint)


def fitting(facts: HostFacts, schema: tuple[str, ...]) -> Release | None:
    """Return the newest release whose code has exactly this schema: a good one before an unjudged one."""
    found = [r for r in facts.ledger if set(r.schema) == set(schema) and r.status is not ReleaseStatus.BAD]
    good = [release for release in found if release.status is ReleaseStatus.GOOD]
    return next(reversed(good or found), None)


def lost(backup: Mapping[str, int], live: Mapping[str, int]) -> dict[str, int]:
    """Return the tables that have more rows now than in the backup, and how many more."""
    more = {name: rows - backup.get(name, 0) for name, rows in live.items() if not _OWN.match(name)}
    return {name: rows for name, rows in sorted(more.items()) if rows > 0}


def costs(
    project: Project, run_id: str, *, since: str, backup: Mapping[str, int], live: Mapping[str, int]
) -> tuple[str, ...]:
    """Return what leaves the live database, as the operator has to agree to it.

    :param since: ISO time of the moment that is gone back to.
    :param backup: rows by table then; ``live``: now.
    """
    rows = [
        f"{count} row{'' if count == 1 else 's'} of {name}" if name in backup else f"table {name} with {count} rows"
        for name, count in lost(backup, live).items()
    ]
    if len(rows) > _MOST_TOLD:
        rows = [*rows[:_MOST_TOLD], f"and rows of {len(rows) - _MOST_TOLD} tables more"]
    kept = f"it stays in database {copy_name(project.database, run_id)}"
    return (*rows, f"whatever was changed since {since} ({kept})")


def unaccepted(names: Mapping[str, int], accepted: frozenset[str]) -> Iterator[Blocker]:
    """Yield the blocker of a run that nobody confirms by hand and whose losses were not named."""
    left = sorted(set(names) - accepted)
    if left:
        told = ", ".join(f"{name} ({names[name]} rows more now than in the backup)" for name in left)
        yield Blocker(f"rows would leave the live database: {told}", f"add --accept-data-loss {','.join(left)}")


def warnings(facts: HostFacts, project: Project, backup: Backup | None) -> Iterator[str]:
    """Yield what the operator should know."""
    if backup is not None and (foreign := of_other(facts, backup)):
        yield f"backup {backup.name} is of {foreign}: that becomes the live database {project.database}"
    if backup is not None and backup.level is BackupLevel.READABLE:
        yield f"backup {backup.name} was read back but never restored; it is compared before anything stops"
    yield from guards.strangers(facts, project, "the swap")
    ran = facts.up(project.app_services)
    if not ran:
        yield f"{', '.join(project.app_services)} does not run now, and is not started"
    elif not facts.is_healthy:
        yield (
            f"the application is not healthy now ({facts.health_detail}); "
            "where it does not become healthy on the restored data, everything is put back"
        )
    if abs(facts.clock_skew) > 30:
        yield f"the host's clock is {abs(facts.clock_skew):.0f} s {'ahead' if facts.clock_skew > 0 else 'behind'}"


def broken(found: RestoreFacts, *, proves: bool) -> Iterator[str]:
    """Yield what may keep the backup of what is live from being proven: broken data cannot be restored as it is."""
    if found.broken and proves:
        yield (
            f"{'; '.join(found.broken[:5])}: where what is live cannot be proven for that, add --skip-proof; "
            "its dump is then read back only, and the database itself is kept"
        )


def _names(revisions: tuple[str, ...]) -> str:
    return f"revision{'' if len(revisions) == 1 else 's'} {', '.join(revisions)}" if revisions else "no revision"
