"""Between the plan and the first step: locks, and whether a host still is what its plan was made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from rollback_tasks.drivers import git
from rollback_tasks.errors import ConnectionLost, PlanRefused, RollbackError
from rollback_tasks.execution import lock
from rollback_tasks.execution.places import Places
from rollback_tasks.flows.session import Session, connected
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.project import Project
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.ports import Host


def still_fits(before: Session, now: Session) -> None:
    """Raise PlanRefused where the host is not what the plan was made from."""
    old, new = before.facts, now.facts
    changed = [
        what
        for what, is_equal in (
            ("the checkout", old.git == new.git),
            ("the containers", [(c.id, c.image) for c in old.containers] == [(c.id, c.image) for c in new.containers]),
            (
                "the schema",
                # What was planned without knowing the schema does not depend on it.
                old.database is None or old.database.schema == (new.database and new.database.schema),
            ),
            ("the ledger of releases", old.ledger == new.ledger),
        )
        if not is_equal
    ]
    if changed:
        raise PlanRefused(
            f"{' and '.join(changed)} changed since the plan was made",
            details="nothing was changed",
            hint="run the command again: it plans anew.",
            host=old.host,
        )


class Locks:
    """The locks that one command holds: one for each host, and for each host that serves a database."""

    def __init__(self, world: World) -> None:
        self._world = world
        # By the host's name: through whose session it is reached, whatever connection that has by then; and the run.
        self._held: dict[str, tuple[Session, str]] = {}

    def take(self, session: Session, request: RollbackRequest) -> None:
        """Lock a host, and the one that serves its database, for ``request.run_id``; what is held stays held.

        :raises LockHeld: another run has one of them.
        """
        for host, project in _lockables(session):
            if host.name not in self._held:
                lock.take(host, project, request, stamp(self._world.clock.now()))
                self._held[host.name] = (session, request.run_id)
                host.run(git.exclude(project.folder, ".rollback/"))

    def give_back(self, *, but: Collection[str] = ()) -> None:
        """Free what is held, but for the hosts ``but``: the next command there has to settle them. Never raises."""
        for name, (session, run_id) in self._held.items():
            if name not in but:
                _give_back(name, session, run_id, self._world)
        self._held = {}


def give_back(session: Session, run_id: str, world: World) -> None:
    """Free one host. Never raises: where that fails, it is said how it is freed by hand."""
    _give_back(session.config.name, session, run_id, world)


def _give_back(name: str, session: Session, run_id: str, world: World) -> None:
    try:
        try:
            _release(name, session, run_id)
        except ConnectionLost:
            session.host = connected(session.config, world)
            _release(name, session, run_id)
    except RollbackError as error:
        told = f"the lock could not be given back ({error.brief}): `inv lock.release --host {name}`"
        world.sink.emit(events.Note(name, told))


def _release(name: str, session: Session, run_id: str) -> None:
    for host, project in _lockables(session):
        if host.name == name:
            lock.release(host, project, run_id)


def with_sites(sessions: Iterable[Session]) -> set[str]:
    """Return the names of hosts, and of those that serve their databases."""
    return {name for session in sessions for name in (session.config.name, session.project.database_site.place)}


def _lockables(session: Session) -> list[tuple[Host, Project]]:
    """Return a host and the one that serves its database, each with the project that its lock lies in."""
    found = [(session.host, session.project)]
    site = session.project.site
    if site is not None and isinstance(session.host, Places):
        found.append((session.host.at(site.place), replace(session.project, folder=site.folder)))
    return found
