"""``rollback.full`` and ``rollback.plan``: plan every host, show, ask, lock, perform, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import Declined, PlanRefused, RollbackError, UsageError
from rollback_tasks.execution import lock
from rollback_tasks.execution.executor import Executor
from rollback_tasks.flows.planned import plan_session
from rollback_tasks.flows.reports import backup_of, described, planned
from rollback_tasks.flows.session import Session, close_all, look_again, open_all, stamp, untouched
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import HostPlan, Plan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.steps.await_healthy import gate


def full(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Take every host back to its target; no host is touched before all are planned and locked.

    :raises UsageError: nobody can answer and ``--yes`` was not given, or ``--to`` means nothing.
    :raises Declined: the operator said no.
    """
    if not (request.is_confirmed or request.is_dry_run or world.prompt.is_interactive):
        raise UsageError(
            "nobody can answer the question: there is no terminal",
            details="nothing was changed",
            hint="add --yes to go on without a question, or --dry-run to see the plan.",
        )
    sessions, errors = open_all(configs, world, to=request.to)
    try:
        return _with_sessions(request, configs, sessions, errors, world)
    finally:
        close_all(sessions)


def _with_sessions(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    sessions: Sequence[Session],
    errors: dict[str, RollbackError],
    world: World,
) -> RunReport:
    plans: dict[str, HostPlan] = {}
    for session in sessions:
        try:
            if session.facts.lock is not None:
                raise lock.held(session.facts.host, session.facts.lock)
            if session.facts.unfinished:
                raise lock.unfinished_run(session.facts.host, session.facts.unfinished)
            plans[session.config.name] = plan_session(session, request, world)
        except UsageError:
            raise
        except RollbackError as error:
            errors[session.config.name] = error
    plan = Plan(task=request.task, run_id=request.run_id, hosts=tuple(plans.values()))
    if plan.hosts:
        world.sink.emit(events.PlanReady(plan))
    reports = {name: untouched(name, error) for name, error in errors.items()}
    reports |= {name: planned(host_plan) for name, host_plan in plans.items()}
    if errors or plan.is_blocked or plan.is_noop or request.is_dry_run:
        return _report(request, configs, reports, plan, world)
    if not request.is_confirmed:
        _confirm(plan, world)
    going = [s for s in sessions if not plans[s.config.name].is_noop]
    try:
        _lock_all(going, request, world)
    except RollbackError as error:
        reports |= {name: untouched(name, error) for name in (error.host or going[0].config.name,)}
        return _report(request, configs, reports, plan, world)
    try:
        reports |= _perform_all(going, plans, request, world)
    finally:
        for session in going:
            done = reports[session.config.name].outcome
            # The lock of a stranded host stays: the next command there has to be one that settles it.
            if done is not Outcome.STRANDED:
                _unlock(session, request, world)
    return _report(request, configs, reports, plan, world)


def _confirm(plan: Plan, world: World) -> None:
    """Ask, naming hosts and databases. What loses data is confirmed by typing the database's name."""
    hosts = ", ".join(host.host for host in plan.hosts if not host.is_noop)
    lossy = [h for h in plan.hosts if h.verdict is not None and h.verdict.losses and not h.is_noop]
    databases = sorted({host.database for host in plan.hosts if not host.is_noop})
    if lossy:
        lost = sorted({str(loss) for h in lossy for loss in (h.verdict.losses if h.verdict else ())})
        question = f"This loses {', '.join(lost)} on {hosts}. Type the name of the database to go on"
        is_agreed = world.prompt.confirm(question, expect=lossy[0].database)
    else:
        is_agreed = world.prompt.confirm(f"Roll back {hosts} (database {', '.join(databases)})?")
    if not is_agreed:
        raise Declined("declined", details="nothing was changed")


def _lock_all(sessions: Sequence[Session], request: RollbackRequest, world: World) -> None:
    """Lock all hosts or none, then look again: a plan that no longer fits is refused."""
    taken: list[Session] = []
    try:
        for session in sorted(sessions, key=lambda each: each.config.name):
            lock.take(session.host, session.project, request, stamp(world.clock.now()))
            taken.append(session)
            _still_fits(session, look_again(session.config, session.host, world))
    except BaseException:
        for session in taken:
            _unlock(session, request, world)
        raise


def _still_fits(before: Session, now: Session) -> None:
    """Raise PlanRefused where the host is not what the plan was made from."""
    old, new = before.facts, now.facts
    changed = [
        what
        for what, is_equal in (
            ("the checkout", old.git == new.git),
            ("the containers", [(c.id, c.image) for c in old.containers] == [(c.id, c.image) for c in new.containers]),
            (
                "the schema",
                old.database is not None and new.database is not None and old.database.schema == new.database.schema,
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


def _unlock(session: Session, request: RollbackRequest, world: World) -> None:
    try:
        lock.release(session.host, session.project, request.run_id)
    except RollbackError as error:
        hint = f"`inv lock.release --host {session.config.name}`"
        world.sink.emit(events.Note(session.config.name, f"the lock could not be given back ({error.brief}): {hint}"))


def _perform_all(
    sessions: Sequence[Session], plans: Mapping[str, HostPlan], request: RollbackRequest, world: World
) -> dict[str, HostReport]:
    """Perform one host after the other; stop starting hosts once too many have failed."""
    reports: dict[str, HostReport] = {}
    failed = 0
    for session in sessions:
        plan = plans[session.config.name]
        if failed > request.max_failures:
            reports[session.config.name] = HostReport(
                host=session.config.name,
                outcome=Outcome.PLANNED,
                verdict=plan.verdict.kind.value if plan.verdict else None,
                left=described(plan.current),
                error="not started: another host failed before",
            )
            continue
        report = _perform(session, plan, request, world)
        failed += report.outcome is not Outcome.DONE
        reports[session.config.name] = report
        world.sink.emit(events.HostDone(report))
    return reports


def _perform(session: Session, plan: HostPlan, request: RollbackRequest, world: World) -> HostReport:
    settings = session.settings
    executor = Executor(
        plan=plan,
        host=session.host,
        reconnect=lambda: world.connect(session.config),
        laptop=world.laptop,
        clock=world.clock,
        sink=world.sink,
        project=session.project,
        run_id=request.run_id,
        stamp=stamp,
        mirror=f"runs/{request.run_id}/{session.config.name}.jsonl",
        health_after=gate(
            session.project,
            url=settings.health_url,
            timeout=settings.health_timeout,
            interval=settings.health_interval,
            soak=0,
        )
        if session.facts.is_healthy
        else None,
    )
    performed = executor.perform()
    session.host = executor.host
    is_done = performed.outcome is Outcome.DONE
    problem = "\n".join(part for part in (performed.problem, performed.details) if part)
    assert plan.target is not None
    assert plan.verdict is not None
    return HostReport(
        host=session.config.name,
        outcome=performed.outcome,
        verdict=plan.verdict.kind.value,
        left=described(plan.current),
        reached=described(plan.target, schema=plan.verdict.target, images=plan.end.running if plan.end else None)
        if is_done
        else described(plan.current),
        steps=tuple(performed.steps),
        backup=backup_of(session, request, world),
        downtime_seconds=None if performed.downtime is None else round(performed.downtime, 3),
        error=problem or None,
        hint=performed.hint or None,
        warnings=plan.warnings,
    )


def _report(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    reports: Mapping[str, HostReport],
    plan: Plan,
    world: World,
) -> RunReport:
    """Return the run's report, in the order of the inventory, after writing it down where hosts were touched."""
    hosts = tuple(reports[config.name] for config in configs)
    following = next((host.hint for host in hosts if host.hint), None)
    report = RunReport(task=request.task, run_id=request.run_id, hosts=hosts, next=following)
    if any(host.steps for host in hosts):
        path = world.save_report(report, plan)
        report = RunReport(task=request.task, run_id=request.run_id, hosts=hosts, next=following, report=path)
    world.sink.emit(events.RunDone(report))
    return report
