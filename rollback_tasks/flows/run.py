"""Every command that changes hosts: plan all of them, show, ask, lock, perform, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import Declined, RollbackError, UsageError
from rollback_tasks.execution.fleet import FleetResult, run_fleet, together
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.meeting import Meeting
from rollback_tasks.execution.settling import Performed
from rollback_tasks.flows import consent, performing
from rollback_tasks.flows.locking import Locks, still_fits, with_sites
from rollback_tasks.flows.planned import PlanSession, groups, plan_all
from rollback_tasks.flows.reports import concluded, planned
from rollback_tasks.flows.session import Session, close_all, look_again, open_all, untouched
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning.waves import waves


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """What one command does with hosts.

    :param plan: gives the plan of one host; runs only READ commands.
    :param asks: the verb of the question, e.g. ``Roll back``.
    :param judge: says of a host that was done what came of it.
    :param is_checked: ``judge`` looks at the host itself: it does so too where nothing was to be done, and a host with
        problems counts as failed when it comes to the next ones.
    """

    plan: PlanSession
    asks: str = "Roll back"
    judge: Callable[[Session, HostReport], HostReport] = lambda _session, report: report
    is_checked: bool = False


def run(request: RollbackRequest, configs: Sequence[HostConfig], world: World, procedure: Procedure) -> RunReport:
    """Do with every host what the procedure plans; no host is touched before all are planned and locked.

    A host that cannot be reached is left out where others can go. A host that is locked or refused counts as
    failed: nothing is touched unless ``max_failures`` allows for it.

    :raises UsageError: nobody can answer and ``--yes`` was not given, a flag does not fit the fleet, or ``--to``
        means nothing.
    :raises Declined: the operator said no.
    """
    consent.require(request, world)
    if request.canary > len(configs) > 1:
        raise UsageError(
            f"--canary {request.canary}: only {len(configs)} hosts are meant",
            hint="name fewer canary hosts than hosts; 0 for none.",
        )
    sessions, errors = open_all(configs, world, to=request.to)
    try:
        return _Run(request, configs, sessions, errors, world, procedure).go()
    finally:
        close_all(sessions)


class _Run:
    """The story of one command, told once."""

    def __init__(
        self,
        request: RollbackRequest,
        configs: Sequence[HostConfig],
        sessions: Sequence[Session],
        errors: Mapping[str, RollbackError],
        world: World,
        procedure: Procedure,
    ) -> None:
        self.request = request
        self.procedure = procedure
        self.configs = configs
        self.sessions = {session.config.name: session for session in sessions}
        self.world = world
        self.locks = Locks(world)
        self.leaders: set[str] = set()
        self.plans, refused = plan_all(sessions, request, world, procedure.plan)
        self.errors = {**errors, **refused}
        self.reports: dict[str, HostReport] = {
            **{name: untouched(name, error) for name, error in self.errors.items()},
            **{name: planned(plan) for name, plan in self.plans.items()},
        }
        self.plan = Plan(
            task=request.task,
            run_id=request.run_id,
            hosts=tuple(self.plans.values()),
            notes=tuple(f"{name}: {error.brief}" for name, error in self.errors.items()),
        )

    def go(self) -> RunReport:
        """Show, ask, lock, perform."""
        if self.plan.hosts:
            self.world.sink.emit(events.PlanReady(self.plan))
        for name in self.errors:
            self.world.sink.emit(events.HostDone(self.reports[name]))
        going = [name for name, plan in self.plans.items() if not plan.is_noop and not plan.blockers]
        if self.request.is_dry_run or not going or self._budget_is_spent():
            return self.report()
        if not self.request.is_confirmed:
            self._confirm(going)
        try:
            self._lock_all(going)
        except RollbackError as error:
            name = error.host or going[0]
            self.reports[name] = untouched(name, error)
            self.world.sink.emit(events.HostDone(self.reports[name]))
            return self.report()
        try:
            self._perform(going)
        finally:
            stranded = [self.sessions[name] for name in going if self.reports[name].outcome is Outcome.STRANDED]
            self.locks.give_back(but=with_sites(stranded))
        return self.report()

    def _failed_before(self) -> int:
        """Hosts that count as failed before any is touched. Unreachable is not failed."""
        kinds = (Outcome.LOCKED, Outcome.BLOCKED, Outcome.FAILED)
        return sum(report.outcome in kinds for report in self.reports.values())

    def _budget_is_spent(self) -> bool:
        return self._failed_before() > self.request.max_failures

    def _confirm(self, going: Sequence[str]) -> None:
        """Ask, naming hosts and databases. What loses data is confirmed by typing the database's name."""
        plans = [self.plans[name] for name in going]
        hosts = ", ".join(going)
        left_out = [name for name in self.reports if name in self.errors]
        without = f", without {', '.join(left_out)}" if left_out else ""
        losses = sorted({text for plan in plans for text in plan.losses})
        databases = sorted({plan.database for plan in plans})
        if losses:
            question = f"This loses {', '.join(losses)} on {hosts}{without}. Type the name of the database to go on"
            is_agreed = self.world.prompt.confirm(question, expect=databases[0])
        else:
            question = f"{self.procedure.asks} {hosts}{without} (database {', '.join(databases)})?"
            is_agreed = self.world.prompt.confirm(question)
        if not is_agreed:
            raise Declined("declined", details="nothing was changed")

    def _lock_all(self, going: Sequence[str]) -> None:
        """Lock all hosts or none, then look again: a plan that no longer fits is refused."""
        sessions = [self.sessions[name] for name in sorted(going)]
        try:
            for session in sessions:
                self.locks.take(session, self.request)
            for session in sessions:
                still_fits(session, look_again(session.config, session.host, self.world))
        except BaseException:
            self.locks.give_back()
            raise

    def _perform(self, going: Sequence[str]) -> None:
        """Canary, batches, budget; then, where it was asked for, take back what was switched."""
        interruption = Interruption()
        units = [unit for unit in groups([self.sessions[name] for name in going]) if unit]
        work: dict[str, Callable[[], Mapping[str, Performed]]] = {}
        self.leaders = {unit[0] for unit in units}
        for unit in units:
            meeting = Meeting(unit) if len(unit) > 1 else None
            members = {name: self._work(name, interruption, meeting, leads=name == unit[0]) for name in unit}
            work[unit[0]] = partial(together, members)
        order = waves([unit[0] for unit in units], canary=self.request.canary, batch=self.request.batch)
        with self.world.catching(interruption.request):
            result = run_fleet(
                order,
                work,
                parallel=self.request.parallel,
                max_failures=self.request.max_failures,
                failed_before=self._failed_before(),
                interruption=interruption,
                ended=self._ended,
            )
            if result.is_stopped and self.request.undoes_on_failure and not result.is_left:
                # What is red afterwards may have been red before: it is no reason to bring bad releases back.
                ends = result.done.values()
                is_well = any(one.has_problems for one in ends) and all(one.outcome is Outcome.DONE for one in ends)
                if not is_well or interruption.is_requested:
                    self._undo_all(result)
        for name in going:
            if name not in result.done:
                self.reports[name] = self._left_out(name, result)
        bugs = [performed.bug for performed in result.done.values() if performed.bug is not None]
        if bugs:
            raise bugs[0]

    def _work(
        self, name: str, interruption: Interruption, meeting: Meeting | None, *, leads: bool
    ) -> Callable[[], Performed]:
        """Return what performs one host's plan."""
        session = self.sessions[name]
        performer = performing.executor(
            session,
            self.plans[name],
            self.request,
            self.world,
            interruption,
            was_healthy=session.facts.is_healthy,
            meeting=meeting,
            leads_database=leads,
        )
        return partial(performing.perform, performer, session)

    def _ended(self, name: str, performed: Performed) -> None:
        report = performing.report(self.sessions[name], self.plans[name], performed, self.request, self.world)
        if report.outcome is Outcome.DONE:
            report = self.procedure.judge(self.sessions[name], report)
            performed.has_problems = self.procedure.is_checked and report.outcome is Outcome.PROBLEMS
        self.reports[name] = report
        self.world.sink.emit(events.HostDone(report))

    def _undo_all(self, result: FleetResult) -> None:
        """Put back the hosts that were already switched, last one first."""
        for name, performed in reversed(list(result.done.items())):
            if performed.outcome is Outcome.DONE:
                session = self.sessions[name]
                was_healthy = session.facts.is_healthy
                self._ended(
                    name,
                    performing.undo(
                        session,
                        performed,
                        self.request.run_id,
                        self.world,
                        why="undone because other hosts of the fleet failed",
                        was_healthy=was_healthy,
                        leads_database=name in self.leaders,
                    ),
                )

    def _left_out(self, name: str, result: FleetResult) -> HostReport:
        """Return the report of a host that was not started, or was left while it was worked on."""
        before = self.reports[name]
        if not result.is_left:
            return replace(before, error="not started: the fleet stopped before its turn")
        seconds = self.sessions[name].config.guard.lease
        return HostReport(
            host=name,
            outcome=Outcome.STRANDED,
            verdict=before.verdict,
            left=before.left,
            error=f"left at once: where a step was under way, the host undoes the run by itself after {seconds:g} s",
            hint=f"`inv rollback.abort --host {name}` undoes it now, `inv rollback.resume --host {name}` goes on.",
        )

    def report(self) -> RunReport:
        """Return what is said of all hosts."""
        if self.procedure.is_checked and not self.request.is_dry_run:
            for name, report in self.reports.items():
                if report.outcome is Outcome.NOOP:
                    self.reports[name] = self.procedure.judge(self.sessions[name], report)
        return concluded(self.request, self.configs, self.reports, self.world, self.plan)
