"""``rollback.resume``: go on with a run that a laptop left, from any laptop, from where its journal ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import containers
from rollback_tasks.errors import CommandFailed, LockHeld, PlanRefused, RollbackError
from rollback_tasks.execution import record as records
from rollback_tasks.execution.fleet import run_fleet
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.record import Record
from rollback_tasks.execution.settling import Performed
from rollback_tasks.flows import consent, locking, performing
from rollback_tasks.flows.reports import concluded, described
from rollback_tasks.flows.session import Session, close_all, open_all, untouched
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import target
from rollback_tasks.shell import Secret
from rollback_tasks.steps.codec import from_json, is_withheld


def resume(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Go on with the unfinished run of every host.

    :raises UsageError: nobody can answer and ``--yes`` was not given.
    """
    consent.require(request, world)
    sessions, errors = open_all(configs, world)
    reports = {name: untouched(name, error) for name, error in errors.items()}
    interruption = Interruption()
    work = {}
    plans: dict[str, HostPlan] = {}
    read: dict[str, Record] = {}
    by_name = {session.config.name: session for session in sessions}
    try:
        for name, session in by_name.items():
            try:
                found = _plan(session, world)
                if found is None:
                    reports[name] = _nothing(session)
            except RollbackError as error:
                reports[name] = untouched(name, error)
                continue
            if found is None:
                continue
            plan, record = found
            text = ", ".join(step.kind for step in plan.steps)
            if request.is_dry_run:
                extra = {"done": sorted(record.done), "steps_in_all": text}
                reports[name] = HostReport(
                    host=name, outcome=Outcome.PLANNED, left=described(plan.current), extra=extra
                )
                continue
            question = f"Go on with run {plan.run_id} on {name}: {len(plan.steps) - len(record.done)} steps are left?"
            if not request.is_confirmed and not world.prompt.confirm(question):
                reports[name] = HostReport(host=name, outcome=Outcome.DECLINED, left=described(plan.current))
                continue
            plans[name], read[name] = plan, record
            performer = performing.executor(
                session,
                plan,
                request,
                world,
                interruption,
                was_healthy=bool(record.plan.get("was_healthy")),
                record=record,
            )
            work[name] = partial(_alone, name, partial(performing.perform, performer, session))
        with world.catching(interruption.request):
            result = run_fleet(
                (tuple(work),),
                work,
                parallel=request.parallel,
                max_failures=len(work),
                failed_before=0,
                interruption=interruption,
                ended=lambda name, performed: reports.update(
                    {name: _told(by_name[name], plans[name], read[name], performed, request, world)}
                ),
            )
        for name, performed in result.done.items():
            # Where it was undone, the host gave the lock back itself; a stranded one keeps it.
            if performed.outcome is Outcome.DONE:
                locking.give_back(by_name[name], plans[name].run_id, world)
        bugs = [performed.bug for performed in result.done.values() if performed.bug is not None]
        if bugs:
            raise bugs[0]
        for name in set(work) - set(result.done):
            reports[name] = HostReport(
                host=name,
                outcome=Outcome.STRANDED,
                error="left at once; the host undoes the run by itself",
                hint=f"see `inv host.status --host {name}`.",
            )
    finally:
        close_all(sessions)
    return concluded(request, configs, reports, world)


def _alone(name: str, work: Callable[[], Performed]) -> dict[str, Performed]:
    return {name: work()}


def _told(
    session: Session, plan: HostPlan, record: Record, performed: Performed, request: RollbackRequest, world: World
) -> HostReport:
    """Return a host's report; where it went is told as the laptop that made the plan wrote it down."""
    report = performing.report(session, plan, performed, request, world)
    reached = record.plan.get("target") if performed.outcome is Outcome.DONE else None
    return replace(report, verdict=record.plan.get("verdict"), reached=reached or report.reached)


def _nothing(session: Session) -> HostReport:
    """Return the report of a host without an unfinished run.

    :raises LockHeld: a lock is left there all the same.
    """
    owner = session.facts.lock
    if owner is not None:
        name = session.config.name
        raise LockHeld(
            f"no run is unfinished, but {owner.operator} on {owner.laptop} holds the lock since {owner.taken_at}",
            details=f"run {owner.run_id}; last sign of life {owner.heartbeat_age:.0f} s ago; nothing was changed",
            hint=f"if that laptop is gone, `inv rollback.abort --host {name}` frees the host.",
            host=name,
        )
    current = described(target.current_release(session.facts, session.project))
    why = {"noop_reason": "no run is unfinished"}
    return HostReport(host=session.config.name, outcome=Outcome.NOOP, left=current, reached=current, extra=why)


def _plan(session: Session, world: World) -> tuple[HostPlan, Record] | None:
    """Return the unfinished run's plan and record; None where there is none.

    :raises LockHeld: somebody still leads the run.
    :raises PlanRefused: it is being undone, so it cannot be gone on with.
    """
    facts, project, name = session.facts, session.project, session.config.name
    if not facts.unfinished:
        return None
    run_id = facts.unfinished[0]
    host = world.read_only(session.host)
    record = records.read(host.run(records.reading(project, run_id)).text)
    if record.state != "undecided":
        raise PlanRefused(
            f"run {run_id} is being undone, so nobody can go on with it",
            details="nothing was changed by this command",
            hint=f"`inv rollback.abort --host {name}` finishes the undoing.",
            host=name,
        )
    if record.seconds_left > 0:
        raise LockHeld(
            f"run {run_id} is led by another laptop, whose last sign of life holds for {record.seconds_left} s more",
            details="nothing was changed",
            hint=f"wait for it, or put the host back with `inv rollback.abort --host {name}`.",
            host=name,
        )
    if any(step["kind"] == "meet_others" for step in record.plan["steps"]):
        raise PlanRefused(
            f"run {run_id} takes several hosts that share a database; it can only be undone",
            details="nothing was changed",
            hint=f"`inv rollback.abort` with the same hosts, and {project.database_site.place}.",
            host=name,
        )
    for number, said in enumerate(record.plan["steps"], 1):
        if is_withheld(said) and f"{number:03d}-{said['kind']}" not in record.done:
            raise PlanRefused(
                f"run {run_id} had not built the target's image yet, and build arguments are not written down",
                details="nothing was changed",
                hint=f"put the host back with `inv rollback.abort --host {name}`, then begin anew.",
                host=name,
            )
    environment: tuple[tuple[str, Secret], ...] = ()
    if (container := _deployed_container(record)) is not None:
        try:
            environment = containers.read_environment(host.run(containers.environment(container)).text)
        except CommandFailed as error:
            raise PlanRefused(
                f"run {run_id} cannot go on: the container that its next steps need is gone",
                details=f"{error.details}\nnothing was changed by this command",
                hint=f"`inv rollback.abort --host {name}` puts the host back.",
                host=name,
            ) from error
        for _, value in environment:
            world.hide(value)
    steps = tuple(from_json(said, environment) for said in record.plan["steps"])
    current = record.plan["current"]
    release = Release(
        id=str(current["id"]),
        commit=str(current["commit"]),
        images=dict(current["images"]),
        schema=tuple(current["schema"]),
        names=(str(current["release"]),),
    )
    plan = HostPlan(host=name, current=release, steps=steps, database=project.database, run_id=run_id)
    return plan, record


def _deployed_container(record: Record) -> str | None:
    """Return the container whose variables the steps that are left need; None where none of them needs any. A new
    container has taken its place once those steps are done."""
    for number, step in enumerate(record.plan["steps"], 1):
        if "deployed" in step and f"{number:03d}-{step['kind']}" not in record.done:
            return str(step["deployed"]["container"])
    return None
