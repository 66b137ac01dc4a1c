"""One host's share of a run: perform its plan, go on with it, or take it back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollback_tasks.drivers import consistency, containers, table_rows
from rollback_tasks.errors import RollbackError
from rollback_tasks.execution.executor import Executor
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.journal import Lead
from rollback_tasks.execution.meeting import Meeting
from rollback_tasks.execution.reconnection import Reconnection
from rollback_tasks.execution.record import Record
from rollback_tasks.execution.settling import Performed, Settling
from rollback_tasks.flows.reports import backup_of, described, diagnosed
from rollback_tasks.flows.session import Session, connected
from rollback_tasks.flows.world import World
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.outcome import HostReport, Outcome
from rollback_tasks.model.plan import Gate, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.steps.await_healthy import gate
from rollback_tasks.steps.codec import to_json
from rollback_tasks.steps.exchange_volumes import ExchangeVolumes
from rollback_tasks.steps.merge_table import MergeTable


def executor(
    session: Session,
    plan: HostPlan,
    request: RollbackRequest,
    world: World,
    interruption: Interruption,
    *,
    was_healthy: bool,
    record: Record | None = None,
    meeting: Meeting | None = None,
    leads_database: bool = True,
) -> Executor:
    """Return what performs a host's plan.

    :param record: of the run that is gone on with; None for a new one.
    :param meeting: of the hosts that share the database.
    :param leads_database: this host's plan holds the database's steps.
    """
    lead = Lead(
        project=session.project,
        run_id=plan_run(plan, request),
        holder=secrets.token_hex(8),
        lease=session.config.guard.lease,
    )
    site = session.project.site
    return Executor(
        plan=plan,
        host=session.host,
        reconnect=_reconnection(session, world, lead),
        laptop=world.laptop,
        clock=world.clock,
        sink=world.sink,
        lead=lead,
        database_lead=replace(lead, at=site) if site is not None and leads_database else None,
        meeting=meeting,
        stamp=stamp,
        mirror=f"runs/{plan_run(plan, request)}/{session.config.name}.jsonl",
        health_after=_gate(session) if was_healthy else None,
        interruption=interruption,
        plan_text=_plan_text(plan, request, was_healthy=was_healthy),
        is_resumed=record is not None,
        completed=record.done if record else frozenset(),
        begun=record.begun if record else "",
    )


def _reconnection(session: Session, world: World, lead: Lead) -> Reconnection:
    return Reconnection(
        name=session.config.name,
        dial=lambda: connected(session.config, world),
        clock=world.clock,
        sink=world.sink,
        lease=lead.lease,
    )


def plan_run(plan: HostPlan, request: RollbackRequest) -> str:
    """Return the run that a plan belongs to: its own where it is gone on with, else the request's."""
    return plan.run_id or request.run_id


def perform(performer: Executor, session: Session) -> Performed:
    """Perform, and keep the connection that is the host's now. Never raises."""
    performed = performer.perform()
    session.host = performer.host
    return performed


def undo(
    session: Session,
    performed: Performed,
    run_id: str,
    world: World,
    *,
    why: str,
    was_healthy: bool,
    is_away: bool = True,
    leads_database: bool = True,
) -> Performed:
    """Take a committed run back. Never raises.

    :param why: stands in the report as the reason.
    :param is_away: taking it back stops the application, so that there is a downtime to tell.
    """
    performed.steps = list(performed.steps)
    lead = Lead(project=session.project, run_id=run_id, holder="", lease=session.config.guard.lease)
    settling = Settling(
        name=session.config.name,
        host=session.host,
        reconnect=_reconnection(session, world, lead),
        clock=world.clock,
        sink=world.sink,
        lead=lead,
        database_lead=replace(lead, at=session.project.site) if session.project.site and leads_database else None,
        health_after=_gate(session) if was_healthy else None,
        down_since=world.clock.monotonic() if is_away else None,
        result=performed,
    )
    settling.undo_committed(why)
    session.host = settling.host
    return performed


def report(
    session: Session, plan: HostPlan, performed: Performed, request: RollbackRequest, world: World
) -> HostReport:
    """Return what is said of a host that was worked on."""
    is_done = performed.outcome is Outcome.DONE
    problem = "\n".join(part for part in (performed.problem, performed.details) if part)
    left = described(plan.current)
    reached = (_goal(plan, _running(session, plan)) if is_done else None) or left
    return HostReport(
        host=session.config.name,
        outcome=performed.outcome,
        verdict=plan.verdict.kind.value if plan.verdict else None,
        left=left,
        reached=reached,
        steps=tuple(performed.steps),
        backup=backup_of(session, plan_run(plan, request), world),
        downtime_seconds=None if performed.downtime is None else round(performed.downtime, 3),
        error=problem or None,
        hint=performed.hint or None,
        warnings=_said(session, plan, plan_run(plan, request)) if is_done else (),
        extra=diagnosed(plan),
    )


def _running(session: Session, plan: HostPlan) -> Mapping[str, str | None] | None:
    """Return what really runs, by digest: an image that was built in the run has a name only in the plan."""
    try:
        found = containers.read_containers(session.host.run(containers.containers(session.project.name)).text)
    except RollbackError:
        return plan.end.running if plan.end else None
    return {c.service: c.image for c in found if c.service in session.project.app_services}


def _said(session: Session, plan: HostPlan, run_id: str) -> tuple[str, ...]:
    """Return what a run has to tell of the data: what it did to a table or put aside, what is less than it was."""
    told = tuple(step.told(session.config.name) for step in plan.steps if isinstance(step, ExchangeVolumes))
    if any(step.kind == MergeTable.kind for step in plan.steps):
        try:
            told = tuple(session.host.run(table_rows.told(session.project, run_id)).text.splitlines())
        except RollbackError as error:
            told = (f"what was done to the table cannot be told: {error.brief}",)
    return (*told, *_compared(session, run_id))


def _compared(session: Session, run_id: str) -> tuple[str, ...]:
    """Return what the data lost or broke since it was backed up, as sentences."""
    try:
        text = session.host.run(consistency.before(session.project, run_id)).text
        if not text:
            return ()
        old = consistency.read(text)
        done = session.host.run(consistency.check(session.project))
        found = consistency.compare(old, consistency.read(done.text, done.error_text), then="in the backup")
    except RollbackError as error:
        return (f"the data was not compared with the backup: {error.brief}",)
    return (*found.fewer, *found.worse)


def _goal(plan: HostPlan, images: Mapping[str, str | None] | None) -> dict[str, Any] | None:
    """Return what the host is once the plan was performed, with these images; None where the plan does not say."""
    if plan.goal is not None:
        return dict(plan.goal)
    if plan.target is None or plan.verdict is None:
        return None
    return described(plan.target, schema=plan.verdict.target, images=images)


def _gate(session: Session) -> Gate:
    """Return the gate that a restored host has to pass: it answers, no soak."""
    health = session.config.health
    # A target may be given little time on purpose; what ran before gets what a busy host needs to start it again.
    patience = max(health.timeout, 60.0)
    return gate(session.project, url=health.url, timeout=patience, interval=health.interval, soak=0)


def _plan_text(plan: HostPlan, request: RollbackRequest, *, was_healthy: bool) -> str:
    """Return the plan as one line of JSON, for another laptop."""
    said: Mapping[str, object] = {
        "version": 1,
        "task": request.task,
        "run_id": plan_run(plan, request),
        "host": plan.host,
        "operator": request.operator,
        "reason": request.reason,
        "was_healthy": was_healthy,
        "current": described(plan.current),
        "target": _goal(plan, plan.end.running if plan.end else None),
        "verdict": plan.verdict.kind.value if plan.verdict else None,
        "steps": [to_json(step) for step in plan.steps],
    }
    return json.dumps(said)
