"""``scenario.connections``: find out who is in the way of whom, then do the least that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import logs
from rollback_tasks.errors import RollbackError, StepFailed
from rollback_tasks.flows import connections
from rollback_tasks.flows.inspect import Finding
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.run import run
from rollback_tasks.flows.scenario import procedure
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import connection_remedy, diagnosis, target
from rollback_tasks.planning.connection_remedy import Case, Remedy
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.pictures import is_pulled
from rollback_tasks.planning.planner import with_steps

_LOG_SECONDS = 15 * 60
_LOG_LINES = 2000


def trouble(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """End connection trouble on every host by the least that helps, and check it. Raises as ``run``."""
    return run(request, configs, world, procedure(_plan, world, asks="End the connection trouble on", looks=(_look,)))


def _plan(session: Session, request: RollbackRequest, world: World, _share: Share | None) -> HostPlan:
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, goal=described(current))
    found = list(diagnosis.symptoms(facts, project))
    found += [f"{c.name} is {c.state}" for c in facts.service_containers(project.db_service) if not c.is_running]
    try:
        seen = connections.diagnose(session, world)
    except StepFailed as error:
        return diagnosis.with_diagnosis(replace(plan, blockers=(_away(session, error),)), found, "nothing else")
    case = Case(facts=facts, project=project, now=seen.now, holders=seen.holders, lines=_said(session, world))
    remedy, why = connection_remedy.choose(case)
    found += connection_remedy.found(case)
    steps = connection_remedy.steps(
        case, remedy, session.settings, request.run_id, is_pulled=is_pulled(project, session.gathered.services)
    )
    match remedy:
        case Remedy.END:
            plan = replace(plan, does="end sessions", costs=connection_remedy.costs(case))
        case Remedy.RESTART:
            plan = replace(plan, does="start the application anew")
        case Remedy.NOTHING:
            return diagnosis.with_diagnosis(replace(plan, noop_reason=why), found, remedy.value)
    return diagnosis.with_diagnosis(with_steps(plan, project, facts, steps), found, remedy.value, why)


def _away(session: Session, error: StepFailed) -> Blocker:
    """The server itself is away: what is done to its clients does not help, and nobody starts it just so."""
    name, service = session.config.name, session.project.db_service
    return Blocker(
        f"the server cannot be asked: {error.brief}",
        f"see why with `inv host.logs --host {name} --service {service}`; once it runs, run this again.",
    )


def _said(session: Session, world: World) -> tuple[logs.Line, ...]:
    """Return what the application has said lately; nothing where that cannot be read."""
    ours = [c for c in session.facts.containers if c.service in session.project.app_services]
    if not ours:
        return ()
    since = stamp(world.clock.now() + session.facts.clock_skew - _LOG_SECONDS)
    wanted = [(c.name, c.id, max(since, c.started_at)) for c in ours]
    try:
        return logs.read(world.read_only(session.host).run(logs.tail(wanted, lines=_LOG_LINES)).text)
    except RollbackError:
        return ()


def _look(session: Session, world: World) -> Finding:
    """Is the trouble over?"""
    seen = connections.diagnose(session, world)
    slots = seen.now.slots if seen.now else None
    says = f"{slots.used} of {slots.limit} slots used, nobody waits" if slots else ""
    return Finding(check="connections", says=says, problem="; ".join(seen.troubles))
