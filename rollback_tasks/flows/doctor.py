"""``host.doctor``: everything that a rollback would need, checked before it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import backup_folder, prerequisites, swap, wal
from rollback_tasks.errors import ExitCode, PlanRefused, RollbackError
from rollback_tasks.flows import archive
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.planning.doctor import examine
from rollback_tasks.planning.examination import Examined, Patient
from rollback_tasks.planning.put_aside import PutAside, put_aside


@dataclass(frozen=True, slots=True, kw_only=True)
class HostExamined:
    """The answers of one host; ``error`` where it could not be asked."""

    host: str
    checks: tuple[Examined, ...] = ()
    error: RollbackError | None = None


def examined(configs: Sequence[HostConfig], world: World, *, proves_archive: bool = False) -> list[HostExamined]:
    """Return the answers of every host, in the order of the inventory.

    :param proves_archive: also finish the current segment of the log and wait until it is archived: this writes.
    """
    found = everywhere(configs, world, lambda session: _examined(session, world, proves_archive))
    return [each.found or _failed(each.host, each.error) for each in found]


def _failed(name: str, error: RollbackError | None) -> HostExamined:
    """A host that lacks a tool was reached, and that is an answer."""
    if isinstance(error, PlanRefused):
        return HostExamined(host=name, checks=(Examined(check="tools", problem=error.brief, next=error.hint),))
    return HostExamined(host=name, error=error)


def _examined(session: Session, world: World, proves_archive: bool) -> HostExamined:
    host, project = world.read_only(session.host), session.project
    missing, is_writable = prerequisites.read_look(host.run(prerequisites.look(project)).text)
    found = archive.look(session, world)
    obstacles = None
    if session.facts.database is not None:
        obstacles = swap.read_obstacles(host.run(swap.obstacles(project)).text)
    checks = examine(
        Patient(
            facts=session.facts,
            project=project,
            health_url=session.config.health.url,
            services=session.gathered.services,
            missing=missing,
            is_writable=is_writable,
            archive=found.facts,
            bases=found.bases,
            strange=len(found.strange),
            obstacles=obstacles,
            damaged=session.gathered.damaged,
            now=world.clock.now(),
            put_aside=_put_aside(session, world),
        )
    )
    if proves_archive:
        checks = (*checks, _proof(session))
    return HostExamined(host=session.config.name, checks=checks)


def _put_aside(session: Session, world: World) -> tuple[PutAside, ...]:
    project, database = session.project, session.facts.database
    if database is None or not (database.put_aside or database.kept_schemas):
        return ()
    folder = backup_folder.read_survey(world.read_only(session.host).run(backup_folder.survey(project)).text)
    return put_aside(database, project, now=world.clock.now(), idle=folder.idle)


def _proof(session: Session) -> Examined:
    """Archive what is written now, and see it arrive."""
    check = "archive proof"
    try:
        name, seconds = session.host.run(wal.close(session.project, run_id="doctor")).text.split()
    except RollbackError as error:
        if error.exit_code is not ExitCode.RESTORED:
            raise
        return Examined(
            check=check,
            problem=f"a finished segment does not arrive in {session.project.wal_archive}: "
            f"{(error.details or error.brief).splitlines()[0]}",
            next='README, "Write-ahead log archiving".',
        )
    return Examined(check=check, says=f"segment {name} was stored within {seconds} s")
