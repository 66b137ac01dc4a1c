"""What hosts are, without changing anything: status, backups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import RollbackError
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.release import Release
from rollback_tasks.planning import target


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one check. ``problem`` is empty where it found none."""

    check: str
    says: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What one host is; ``error`` where it could not be asked."""

    host: str
    facts: HostFacts | None = None
    current: Release | None = None
    findings: tuple[Finding, ...] = field(default=())
    error: RollbackError | None = None


def looked_at(configs: Sequence[HostConfig], world: World) -> list[Inspected]:
    """Return what every host is, in the order of the inventory."""
    found = everywhere(configs, world, _inspected)
    return [each.found or Inspected(host=each.host, error=each.error) for each in found]


def _inspected(session: Session) -> Inspected:
    current = target.current_release(session.facts, session.project)
    return Inspected(host=session.config.name, facts=session.facts, current=current)
