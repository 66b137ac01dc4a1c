"""Who holds which host; freeing a lock whose holder is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import LockHeld, RollbackError, UsageError
from rollback_tasks.execution import lock
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.session import Session, close_all, open_all
from rollback_tasks.flows.world import World
from rollback_tasks.model.facts import LockOwner
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.request import RollbackRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLock:
    """One host's lock. ``is_stale`` where its holder gave no sign of life for a lease."""

    host: str
    owner: LockOwner | None = None
    is_stale: bool = False
    unfinished: tuple[str, ...] = ()
    released: bool = False
    error: RollbackError | None = None


def status(configs: Sequence[HostConfig], world: World) -> list[HostLock]:
    """Return every host's lock, in the order of the inventory."""
    return [each.found or HostLock(host=each.host, error=each.error) for each in everywhere(configs, world, _seen)]


def release(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> list[HostLock]:
    """Free the locks of hosts whose holder is gone and whose run needs nothing any more.

    :raises UsageError: no reason was given.
    :raises LockHeld: a holder lives, or its run is unfinished; the locks of the hosts before are freed.
    """
    if not request.reason:
        raise UsageError(
            "--reason is needed: it stands in the host's record of freed locks", hint='add --reason "why".'
        )
    sessions, errors = open_all(configs, world)
    try:
        for error in errors.values():
            raise error
        return [_release(session, request, world) for session in sessions]
    finally:
        close_all(sessions)


def _seen(session: Session, *, released: bool = False) -> HostLock:
    owner = session.facts.lock
    return HostLock(
        host=session.config.name,
        owner=owner,
        is_stale=owner is not None and owner.heartbeat_age > session.config.guard.lease,
        unfinished=session.facts.unfinished,
        released=released,
    )


def _release(session: Session, request: RollbackRequest, world: World) -> HostLock:
    seen = _seen(session)
    name = session.config.name
    if seen.owner is None:
        return seen
    if seen.unfinished:
        raise LockHeld(
            f"run {', '.join(seen.unfinished)} is unfinished: its lock protects a host that is half way",
            details="nothing was changed",
            hint=f"settle it with `inv rollback.abort --host {name}` or `inv rollback.resume --host {name}`.",
            host=name,
        )
    if not seen.is_stale:
        raise lock.held(name, seen.owner)
    if not request.is_dry_run:
        lock.take_away(session.host, session.project, seen.owner.run_id, request, stamp(world.clock.now()))
    return _seen(session, released=not request.is_dry_run)
