"""Between the plan and the first step: locks, and whether a host still is what its plan was made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from rollback_tasks.drivers import git
from rollback_tasks.errors import PlanRefused, RollbackError
from rollback_tasks.execution import lock
from rollback_tasks.execution.places import Places
from rollback_tasks.flows.session import Session
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
                (old.database and old.database.schema) == (new.database and new.database.schema),
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
        self._held: list[tuple[Host, Project, str]] = []

    def take(self, session: Session, request: RollbackRequest) -> None:
        """Lock a host, and the one that serves its database, for ``request.run_id``; what is held stays held.

        :raises LockHeld: another run has one of them.
        """
        for host, project in _lockables(session):
            if host.name not in {held.name for held, _, _ in self._held}:
                lock.take(host, project, request, stamp(self._world.clock.now()))
                self._held.append((host, project, request.run_id))
                host.run(git.exclude(project.folder, ".rollback/"))

    def give_back(self, *, but: Collection[str] = ()) -> None:
        """Free what is held, but for the hosts ``but``: the next command there has to settle them. Never raises."""
        for host, project, run_id in self._held:
            if host.name in but:
                continue
            try:
                lock.release(host, project, run_id)
            except RollbackError as error:
                told = f"the lock could not be given back ({error.brief}): `inv lock.release --host {host.name}`"
                self._world.sink.emit(events.Note(host.name, told))
        self._held = []


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
