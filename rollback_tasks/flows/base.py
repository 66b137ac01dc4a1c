"""``backup.base``: a physical base backup, from which a recovery to any later moment can start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.flows import archive
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.recovery import ArchiveFacts
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import rooms, target
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.rooms import Need
from rollback_tasks.planning.window import archiving_problem
from rollback_tasks.steps.archive_wal import ArchiveWal
from rollback_tasks.steps.take_base import TakeBase

# Tables and indexes without their gaps, lightly compressed, come to less than half.
_ARCHIVE_SHARE = 0.5
_CHECK_SHARE = 1.2


def take(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Make a base backup on every host. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=plan_session, asks="Make a base backup on"))


def plan_session(session: Session, request: RollbackRequest, world: World, share: Share | None = None) -> HostPlan:
    """Return the plan of a host; only READ commands are run."""
    facts, project = session.facts, session.project
    plan = HostPlan(
        host=facts.host,
        current=target.current_release(facts, project),
        database=project.database,
        does="make a base backup",
        goal={},
    )
    if share is not None and not share.leads:
        return replace(plan, noop_reason=f"{share.others[0]} makes the base backup of the database that they share")
    found = archive.look(session, world)
    if found.facts is None:
        return replace(plan, blockers=(Blocker(f"the database cannot be asked: {found.problem}"),))
    blockers = tuple(_blockers(session, found.facts))
    if blockers:
        return replace(plan, blockers=blockers)
    return replace(
        plan,
        steps=(
            ArchiveWal(project_=project, run_id=request.run_id),
            TakeBase(
                project_=project,
                run_id=request.run_id,
                name=f"base-{request.run_id}",
                segment_bytes=found.facts.segment_bytes,
                cluster_bytes=found.facts.cluster_bytes,
            ),
        ),
    )


def _blockers(session: Session, facts: ArchiveFacts) -> Iterator[Blocker]:
    """Yield why a base backup would be of no use, or cannot be made."""
    host, size = session.facts.host, facts.cluster_bytes
    if problem := archiving_problem(facts):
        yield Blocker(
            f"{problem}: without the log a base backup leads nowhere",
            f'see README, "Write-ahead log archiving"; a dump needs none of it: `inv backup.create --host {host}`.',
        )
    if facts.version < 130000:
        yield Blocker("the server is older than PostgreSQL 13: its base backups cannot be checked")
    if not facts.current:
        yield Blocker("the server is itself in recovery", "make the base backup where the primary runs.")
    if not facts.may_replicate:
        yield Blocker(
            f"role {session.project.database_user} may not take base backups", "give it REPLICATION (ALTER ROLE)."
        )
    if facts.tablespaces:
        yield Blocker(f"the cluster has {facts.tablespaces} tablespaces of its own; a single archive cannot hold them")
    yield from rooms.short(_needs(session, size))


def _needs(session: Session, size: int) -> Iterator[Need]:
    """Yield the room for the archive, and for what is unpacked to be checked."""
    facts = session.facts
    yield Need(
        what="the base backup",
        where=f"in {session.project.backup_folder}",
        disk=facts.backup_disk,
        free_bytes=facts.backup_free_bytes,
        needed_bytes=round(size * _ARCHIVE_SHARE),
        stays=True,
        hint=f"free some, or set backups.remote_dir of {facts.host} to a larger disk.",
    )
    if facts.docker_free_bytes:
        yield Need(
            what="its check, which unpacks it",
            where="where Docker keeps its data",
            disk=facts.docker_disk,
            free_bytes=facts.docker_free_bytes,
            needed_bytes=round(size * _CHECK_SHARE),
            hint="free some on the disk of Docker's data, then try again.",
        )
