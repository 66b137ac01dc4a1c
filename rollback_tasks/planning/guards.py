"""What makes a rollback impossible, and what the operator should know before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import DatabaseFacts, HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from rollback_tasks.planning import rooms
from rollback_tasks.planning.rooms import Need

# A custom-format dump of text rows is a seventh to a third of the database; indexes are not in it.
_DUMP_SHARE = 0.35
_RESTORE_SHARE = 1.3


def blockers(
    facts: HostFacts, project: Project, verdict: Verdict | None, unaccepted: tuple[Loss, ...]
) -> Iterator[Blocker]:
    """Yield every reason why this host cannot be rolled back like this."""
    if facts.git.unmerged:
        yield Blocker(
            f"the checkout holds an unfinished merge: {', '.join(facts.git.unmerged[:5])}",
            f"finish it or take it back (`git merge --abort` in {project.folder} on {facts.host}), then plan again.",
        )
    if facts.database is None:
        yield Blocker(
            f"the database cannot be reached: {facts.database_problem}",
            f"start it (`docker start` its container on {facts.host}), then plan again; "
            f"`inv rollback.docker --host {facts.host}` needs no database.",
        )
        return
    yield from room(facts, project, copies=2 if verdict and verdict.commands else 1)
    if verdict is None:
        return
    if not verdict.is_possible:
        yield Blocker(f"{verdict.kind.value}: {verdict.explanation}", _restore_hint(facts))
    elif unaccepted:
        names = ",".join(sorted({loss.name for loss in unaccepted}))
        yield Blocker(
            "the downgrade loses " + ", ".join(str(loss) for loss in unaccepted),
            f"to accept exactly that, add --accept-data-loss {names}",
        )
    if verdict.commands and facts.database.prepared:
        yield Blocker(
            f"prepared transactions hold the database: {', '.join(facts.database.prepared)}",
            "commit or roll them back (COMMIT PREPARED, ROLLBACK PREPARED), then plan again.",
        )
    if verdict.commands and facts.database.subscriptions:
        names = ", ".join(facts.database.subscriptions)
        yield Blocker(
            f"subscriptions write to the database: {names}",
            "disable them (ALTER SUBSCRIPTION ... DISABLE), then plan again.",
        )


def room(
    facts: HostFacts, project: Project, *, copies: int, least: int = 0, dumps: int = 1, also: tuple[Need, ...] = ()
) -> Iterator[Blocker]:
    """Yield a blocker where the dumps, or the copies of the database, cannot fit.

    :param copies: that stand beside the live database at the same time.
    :param least: bytes that one of them takes at least.
    :param also: what else needs room.
    """
    assert facts.database is not None
    size = facts.database.size_bytes
    last = next((backup.size_bytes for backup in facts.backups), None)
    dump = round(last * 1.5 if last else size * _DUMP_SHARE)
    backup = Need(
        what="the backup" if dumps == 1 else f"{dumps} backups",
        where=f"in {project.backup_folder}",
        disk=facts.backup_disk,
        free_bytes=facts.backup_free_bytes,
        needed_bytes=dump * dumps,
        stays=True,
        hint=f"free some, or set backups.remote_dir of {facts.host} to a larger disk.",
    )
    yield from rooms.short((backup, _beside(facts.database, copies=copies, least=least), *also))


def room_beside(database: DatabaseFacts, *, copies: int, least: int = 0) -> Iterator[Blocker]:
    """Yield a blocker where copies do not fit where the database lies. Parameters as of ``room``."""
    yield from rooms.short((_beside(database, copies=copies, least=least),))


def _beside(database: DatabaseFacts, *, copies: int, least: int) -> Need:
    return Need(
        what="the scratch copies of the database",
        where="where it lies",
        disk=database.disk,
        free_bytes=database.free_bytes,
        needed_bytes=round(max(database.size_bytes, least) * _RESTORE_SHARE * copies),
        hint="free some on the disk of the database's volume, then plan again.",
    )


def _restore_hint(facts: HostFacts) -> str:
    proven = [backup for backup in facts.backups if backup.level is BackupLevel.RESTORED]
    if not proven:
        return (
            f"the way to that schema is a restore (`inv rollback.restore --host {facts.host} --backup NAME`), "
            "but this host has no proven backup."
        )
    newest = proven[0]
    return (
        f"the way to that schema is a restore: `inv rollback.restore --host {facts.host} --backup {newest.name}` "
        f"(the newest proven backup, of {newest.taken_at}; rows written since would be lost)."
    )


def warnings(
    facts: HostFacts,
    project: Project,
    verdict: Verdict | None,
    services: tuple[Mapping[str, Service], Mapping[str, Service]],
) -> Iterator[str]:
    """Yield what the operator should know. ``services``: of the compose file now, and of the target's."""
    now, then = services
    if facts.git.dirty:
        shown = ", ".join(facts.git.dirty[:5]) + (" ..." if len(facts.git.dirty) > 5 else "")
        yield f"uncommitted changes in the work tree are saved first: {shown}"
    yield from in_builds(facts, project, now)
    before, after = now.get(project.db_service), then.get(project.db_service)
    if before and after and before.image != after.image:
        yield f"the database's image differs ({before.image}, then {after.image}); the database service is left alone"
    if verdict and verdict.commands and facts.database:
        yield from strangers(facts, project, "the copy")
    if verdict:
        yield from verdict.warnings
        if verdict.kind is VerdictKind.DOWNGRADE_LOSSY:
            yield "what the downgrade drops stays in the backup and in the copy of the database"
    if abs(facts.clock_skew) > 30:
        yield f"the host's clock is {abs(facts.clock_skew):.0f} s {'ahead' if facts.clock_skew > 0 else 'behind'}"
    if not facts.is_healthy:
        yield f"the application is not healthy now: {facts.health_detail}"


def in_builds(facts: HostFacts, project: Project, services: Mapping[str, Service]) -> Iterator[str]:
    """Yield a sentence where an image that is built from the checkout may get the backups."""
    contexts = {str(service.build.get("context", "")).rstrip("/") for service in services.values() if service.build}
    if facts.is_in_builds and project.folder in contexts:
        yield (
            f"a build in {project.folder} can copy the backups in .rollback into an image (`COPY . .`): "
            "add a line .rollback to its .dockerignore"
        )


def strangers(facts: HostFacts, project: Project, what: str) -> Iterator[str]:
    """Yield a sentence for sessions that are none of the application's and are ended for ``what``."""
    addresses = {a for c in facts.containers if c.service in project.app_services for a in c.networks.values()}
    sessions = facts.database.sessions if facts.database else ()
    others = [s for s in sessions if s.address not in addresses and not s.application.startswith("rollback")]
    for session in others[:5]:
        yield (
            f"session {session.pid} of {session.user} ({session.application or 'unnamed'}, "
            f"{session.address or 'local'}) is none of the application's; it is ended for {what}"
        )
