"""Between the plan and the lock: what has to be locked, and whether a host still is what its plan was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.errors import PlanRefused
from rollback_tasks.execution.places import Places
from rollback_tasks.flows.session import Session
from rollback_tasks.model.project import Project
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


def lockables(sessions: Sequence[Session]) -> list[tuple[Host, Project]]:
    """Return every host to lock with the project that its lock lies in, each once."""
    found: dict[str, tuple[Host, Project]] = {}
    for session in sessions:
        found[session.config.name] = (session.host, session.project)
        site = session.project.site
        if site is not None and isinstance(session.host, Places):
            found.setdefault(site.place, (session.host.at(site.place), replace(session.project, folder=site.folder)))
    return list(found.values())
