"""What a host can go back to by its log: the server's archive and its base backups."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_tasks.drivers import wal
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup
from rollback_tasks.planning.window import usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What was found.

    :param facts: None where the server cannot say; ``problem`` then tells why.
    :param bases: of this cluster, newest first; ``strange`` of another one.
    """

    facts: ArchiveFacts | None
    problem: str = ""
    bases: tuple[BaseBackup, ...] = ()
    strange: tuple[BaseBackup, ...] = ()


def look(session: Session, world: World) -> Archive:
    """Ask a host for its archive and its base backups; nothing is changed."""
    found = session.facts.bases
    answer = world.read_only(session.host).run(wal.survey(session.project))
    if answer.exit_code != 0:
        lines = answer.error_text.strip().splitlines()
        return Archive(facts=None, problem=lines[-1][:300] if lines else "it does not answer", strange=found)
    facts = wal.read_survey(answer.text)
    bases = usable(found, facts)
    return Archive(facts=facts, bases=bases, strange=tuple(base for base in found if base not in bases))
