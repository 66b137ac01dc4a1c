"""What hosts are, without changing anything: status, backups, checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import RollbackError
from rollback_tasks.execution import gather_target
from rollback_tasks.flows.session import Session, close_all, open_all
from rollback_tasks.flows.world import World
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.planning import target
from rollback_tasks.planning.migrations import differences


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


def looked_at(configs: Sequence[HostConfig], world: World, *, is_checked: bool = False) -> list[Inspected]:
    """Return what every host is, in the order of the inventory.

    :param is_checked: also run the checks of ``verify.all``.
    """
    sessions, errors = open_all(configs, world)
    try:
        found = {session.config.name: _inspected(session, world, is_checked) for session in sessions}
    finally:
        close_all(sessions)
    return [found.get(c.name) or Inspected(host=c.name, error=errors[c.name]) for c in configs]


def _inspected(session: Session, world: World, is_checked: bool) -> Inspected:
    current = target.current_release(session.facts, session.project)
    findings: tuple[Finding, ...] = ()
    if is_checked:
        try:
            findings = tuple(_checks(session, current, world))
        except RollbackError as error:
            return Inspected(host=session.config.name, error=error)
    return Inspected(host=session.config.name, facts=session.facts, current=current, findings=findings)


def _checks(session: Session, current: Release, world: World) -> Iterator[Finding]:
    """Yield the answer of every check, good or not."""
    facts, project = session.facts, session.project
    for service in (*project.app_services, project.db_service):
        running = [c for c in facts.service_containers(service) if c.is_running]
        states = ", ".join(f"{c.name} is {c.state}" for c in facts.service_containers(service)) or "no container"
        restarts = sum(container.restarts for container in running)
        problem = "" if running else f"{service} does not run: {states}"
        yield Finding(check="containers", says=f"{service}: {states}, {restarts} restarts", problem=problem)
    yield Finding(
        check="health",
        says=f"{session.config.health.url}: {facts.health_detail}",
        problem="" if facts.is_healthy else f"not healthy: {facts.health_detail}",
    )
    yield from _migrations(session, world)
    known = current.status is not ReleaseStatus.UNMARKED
    yield Finding(
        check="release",
        says=f"{current.label} runs, {current.status.value}",
        problem=""
        if current.status is ReleaseStatus.GOOD
        else f"{current.label} is {'marked bad: ' + current.reason if known else 'not marked good in the ledger'}",
    )
    if facts.unfinished:
        yield Finding(
            check="runs",
            says="",
            problem=f"run {', '.join(facts.unfinished)} was left unfinished; `inv rollback.abort --host {facts.host}`",
        )


def _migrations(session: Session, world: World) -> Iterator[Finding]:
    facts = session.facts
    if facts.database is None:
        yield Finding(check="migrations", says="", problem=f"the database cannot be reached: {facts.database_problem}")
        return
    way = gather_target.look_at(world.read_only(session.host), session.project, facts, facts.git.commit)
    heads = way.deployed_scripts.heads
    have = ", ".join(facts.database.schema) or "none"
    wanted = ", ".join(heads) or "none"
    source = "image" if way.is_read_from_image else "checkout"
    problem = way.problem
    if not problem and set(heads) != set(facts.database.schema):
        problem = f"the database is at {have}, the deployed {source} wants {wanted}"
    yield Finding(check="migrations", says=f"the database is at {have}, as the deployed {source}", problem=problem)
    if way.is_read_from_image:
        told = differences(way.deployed_scripts, way.commit_scripts)
        yield Finding(check="scripts", says="the image holds the migrations of the checkout", problem="; ".join(told))
