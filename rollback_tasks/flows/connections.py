"""Connection trouble: look first, then end only the sessions that all others wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import sessions
from rollback_tasks.drivers.sessions import Connections, Root
from rollback_tasks.errors import Declined, StepFailed
from rollback_tasks.execution import lock
from rollback_tasks.execution.places import serving
from rollback_tasks.flows import consent
from rollback_tasks.flows.everywhere import OfHost, database_of, everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.events import Note
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning.connection_trouble import count, described, troubles
from rollback_tasks.shell import Effect

_FULL = ("too many clients", "remaining connection slots", "too many connections")
_ENDS_WITHIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """The sessions of one server.

    :param now: None where the server takes no more clients; ``holders`` then says who has the slots.
    :param troubles: what is wrong, as sentences.
    :param ended: what ``--terminate`` did to each root, as sentences.
    """

    now: Connections | None
    holders: tuple[Mapping[str, Any], ...] = ()
    troubles: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


def diagnosed(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, terminates: bool
) -> list[OfHost[Diagnosed]]:
    """Ask every host's server for its sessions.

    :param terminates: end those that all others wait for, after asking; then look again.
    :raises UsageError: nobody can be asked and nobody said yes beforehand.
    """
    if terminates:
        consent.require(request, world)
    found = everywhere(configs, world, lambda session: diagnose(session, world))
    if not terminates or request.is_dry_run:
        return found
    # One after the other: each is a question to the operator.
    return [_terminated(each, config, request, world) for each, config in zip(found, configs, strict=True)]


def diagnose(session: Session, world: World) -> Diagnosed:
    """Ask one host's server for its sessions; where it takes no more clients, its processes tell.

    :raises StepFailed: it cannot be asked for another reason.
    """
    name = session.config.name
    try:
        now = _look(session, world)
    except StepFailed as error:
        if not any(word in str(error) for word in _FULL):
            raise
        return _full(session, world, error)
    return Diagnosed(now=now, troubles=troubles(now, name))


def _look(session: Session, world: World, *, effect: Effect = Effect.READ) -> Connections:
    with database_of(session, world, effect=effect) as database:
        done = database.ask(sessions.DIAGNOSIS)
    return sessions.read(done.text, done.error_text)


def _full(session: Session, world: World, error: StepFailed) -> Diagnosed:
    """The server takes nobody in: its processes say whom it serves, the containers' addresses who that is."""
    host = world.read_only(serving(session.host, session.project))
    rows = sessions.read_processes(host.run(sessions.processes(session.project)).text)
    names = {ip: c.service for c in session.facts.containers for ip in c.networks.values() if ip}
    holders = tuple({**row, "service": names.get(str(row["address"]), "")} for row in rows)
    most = next((str(row["service"]) for row in holders if row["service"]), "")
    apps = [c.name for c in session.facts.containers if c.service == most] if most else []
    name = session.config.name
    told = (
        f"{error.brief}: nothing can be asked until a slot is free",
        f"stop who holds most of them, for example `docker stop {' '.join(apps)}` on {name}"
        if apps
        else f"stop the clients that hold them on {name}",
        f"then look again: `inv db.connections --host {name}`",
    )
    return Diagnosed(now=None, holders=holders, troubles=told)


def _terminated(
    seen: OfHost[Diagnosed], config: HostConfig, request: RollbackRequest, world: World
) -> OfHost[Diagnosed]:
    """End the roots of one host, if it has any and the operator agrees."""
    if seen.found is None or seen.found.now is None or not seen.found.now.roots:
        return seen
    name = config.name
    meant = [root for root in seen.found.now.roots if root.is_endable]
    told = tuple(
        f"left alone, as it is no client's: {described(root)}" for root in seen.found.now.roots if not root.is_endable
    )
    if not meant:
        return replace(seen, found=replace(seen.found, ended=told))
    for root in meant:
        world.sink.emit(Note(name, f"{root.waiting} waiting for {described(root)}; its last statement: {root.query}"))
    question = f"{name}: end {count(len(meant), 'session')} and lose what was not committed?"
    if not request.is_confirmed and not world.prompt.confirm(question):
        return replace(seen, error=Declined("no session was ended", host=name))
    (answer,) = everywhere((config,), world, lambda session: _end(session, meant, told, world))
    return answer


def _end(session: Session, meant: Sequence[Root], told: tuple[str, ...], world: World) -> Diagnosed:
    owner = session.facts.lock
    if owner is not None and owner.heartbeat_age <= session.config.guard.lease:
        raise lock.held(session.config.name, owner)
    ended = tuple(_end_one(session, root, world) for root in meant)
    now = _look(session, world)
    return Diagnosed(now=now, troubles=troubles(now, session.config.name), ended=(*told, *ended))


def _end_one(session: Session, root: Root, world: World) -> str:
    """Cancel what it runs; where it is idle in its transaction, end it."""
    with database_of(session, world, effect=Effect.WRITE) as database:
        database.ask((sessions.cancel(root),))
        was_ended = database.ask((sessions.terminate(root),)).text.strip() == "true"
        until = world.clock.monotonic() + _ENDS_WITHIN
        while True:
            done = database.ask(sessions.DIAGNOSIS)
            left = [r for r in sessions.read(done.text, done.error_text).roots if _is_same(r, root)]
            if not left or world.clock.monotonic() >= until:
                break
            if not was_ended and left[0].is_idle:
                was_ended = database.ask((sessions.terminate(root),)).text.strip() == "true"
            world.clock.sleep(0.1)
    who = described(root)
    if left:
        return f"still there: {who}; it runs a statement, so it was cancelled and not ended"
    return f"ended: {who}" if was_ended else f"no longer in the way: {who}"


def _is_same(one: Root, other: Root) -> bool:
    return (one.pid, one.started) == (other.pid, other.started)
