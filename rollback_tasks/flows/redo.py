"""``rollback.redo``: take a finished run back; ``rollback.history``: what was done to hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import compose, databases, git, git_checkout, postgres
from rollback_tasks.errors import Declined, PlanRefused, RollbackError, UsageError
from rollback_tasks.execution import lock, runs
from rollback_tasks.execution.runs import PastRun, RunState
from rollback_tasks.execution.settling import Performed
from rollback_tasks.flows import consent, performing
from rollback_tasks.flows.everywhere import OfHost, everywhere
from rollback_tasks.flows.locking import Locks, still_fits, with_sites
from rollback_tasks.flows.reports import concluded, planned
from rollback_tasks.flows.session import Session, close_all, look_again, open_all, untouched
from rollback_tasks.flows.volume import gone
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport, StepRecord, StepState
from rollback_tasks.model.plan import Blocker, HostPlan, Plan, Step
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import redo as decisions
from rollback_tasks.planning import target
from rollback_tasks.steps.codec import from_json
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.undo import Undo, undos


def history(configs: Sequence[HostConfig], world: World) -> list[OfHost[tuple[PastRun, ...]]]:
    """Return every host's runs, newest first, in the order of the inventory."""
    return everywhere(configs, world, lambda session: _past(session, world, is_whole=True))


def redo(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, run_id: str | None) -> RunReport:
    """Take the newest finished run of every host back, newest step first, with the scripts that lie on the host.

    :param run_id: the run that is meant; None = the newest that changed the host.
    :raises UsageError: nobody can answer and ``--yes`` was not given, or no run has that name.
    :raises Declined: the operator said no.
    """
    consent.require(request, world)
    sessions, errors = open_all(configs, world)
    try:
        return _Redo(request, configs, world, sessions, errors, run_id).go()
    finally:
        close_all(sessions)


class _Redo:
    """The story of one ``rollback.redo``."""

    def __init__(
        self,
        request: RollbackRequest,
        configs: Sequence[HostConfig],
        world: World,
        sessions: Sequence[Session],
        errors: dict[str, RollbackError],
        run_id: str | None,
    ) -> None:
        self.request, self.configs, self.world = request, configs, world
        self.sessions = {session.config.name: session for session in sessions}
        self.reports: dict[str, HostReport] = {name: untouched(name, error) for name, error in errors.items()}
        self.plans: dict[str, HostPlan] = {}
        self.past: dict[str, PastRun] = {}
        self.moving: dict[str, bool] = {}
        self.locks = Locks(world)
        for name, session in self.sessions.items():
            try:
                self._plan(session, run_id)
                self.reports[name] = planned(self.plans[name])
            except UsageError:
                raise
            except RollbackError as error:
                self.reports[name] = untouched(name, error)
        self.plan = Plan(task=request.task, run_id=request.run_id, hosts=tuple(self.plans.values()))

    def _plan(self, session: Session, run_id: str | None) -> None:
        facts, project, name = session.facts, session.project, session.config.name
        if facts.lock is not None:
            raise lock.held(name, facts.lock)
        if facts.unfinished:
            raise lock.unfinished_run(name, facts.unfinished)
        current = target.current_release(facts, project)
        run = _meant(_past(session, self.world), run_id, name)
        if run is None:
            reason = "no run is left that could be taken back"
            self.plans[name] = HostPlan(host=name, current=current, noop_reason=reason, does="take back a run")
            return
        self.past[name] = run
        steps = _steps(run)
        protected = session.config.git.protected_branches
        found = tuple(decisions.blockers(facts, current, run.plan, steps, self._missing(steps), protected))
        found += self._refused(session, run.run_id, steps)
        found += gone(session, self.world, run.run_id, steps)
        lost = () if found else self._lost(session, run.run_id)
        self.plans[name] = decisions.plan(
            facts,
            current,
            run_id=run.run_id,
            said=run.plan,
            steps=steps,
            found=found,
            lost=lost,
            database=project.database,
            saved_as=self.request.run_id,
        )
        self.moving[name] = decisions.moves_checkout(steps)

    def _missing(self, steps: Sequence[Step]) -> tuple[str, ...]:
        """Return the hosts that went through the run together with this one and were not named."""
        met = {name for step in steps if isinstance(step, MeetOthers) for name in step.others}
        return tuple(sorted(met - self.sessions.keys()))

    def _refused(self, session: Session, run_id: str, steps: tuple[Step, ...]) -> tuple[Blocker, ...]:
        """Return why compose could not make the containers anew that come back."""
        host, project = self.world.read_only(session.host), session.project
        saved = git_checkout.saved_tree(run_id)
        if (
            not decisions.needs_containers(session.facts, steps)
            or host.run(git.resolve(project.folder, saved)).exit_code
        ):
            return ()
        answer = host.run(compose.config(project, saved))
        return () if answer.exit_code == 0 else (decisions.unstartable(session.facts, saved, answer.error_text),)

    def _lost(self, session: Session, run_id: str) -> tuple[str, ...]:
        """Return what leaves the live database; nothing where the run kept no other one."""
        project, facts = session.project, session.facts
        copy = databases.copy_name(project.database, run_id)
        if facts.database is None or copy not in facts.database.databases:
            return ()
        host = self.world.read_only(session.host)
        live = postgres.read_counts(host.run(postgres.counts(project)).text)
        then = postgres.read_counts(host.run(postgres.counts(project, database=copy)).text)
        return decisions.costs(live, then, databases.left_name(project.database, run_id))

    def go(self) -> RunReport:
        """Show, ask, lock, take back."""
        if self.plan.hosts:
            self.world.sink.emit(events.PlanReady(self.plan))
        for name in self.reports.keys() - self.plans.keys():
            self.world.sink.emit(events.HostDone(self.reports[name]))
        going = [name for name, plan in self.plans.items() if plan.steps]
        failed = [r for r in self.reports.values() if r.outcome in (Outcome.BLOCKED, Outcome.LOCKED, Outcome.FAILED)]
        if self.request.is_dry_run or not going or failed:
            return self._report()
        if not self.request.is_confirmed:
            self._confirm(going)
        try:
            for name in going:
                self._lock(self.sessions[name])
        except BaseException as error:
            self.locks.give_back()
            if not isinstance(error, RollbackError):
                raise
            failing = error.host or going[0]
            self.reports[failing] = untouched(failing, error)
            self.world.sink.emit(events.HostDone(self.reports[failing]))
            return self._report()
        self._take_all_back(going)
        return self._report()

    def _take_all_back(self, going: Sequence[str]) -> None:
        """One after the other; where one needs a person, the next is not begun."""
        stranded: list[Session] = []
        try:
            for number, name in enumerate(going):
                if stranded:
                    told = f"not begun: {stranded[0].config.name} needs a person first"
                    self.reports[name] = replace(self.reports[name], error=told)
                    continue
                self._take_back(name, leads=self._leads(name, going[:number]))
                if self.reports[name].outcome is Outcome.STRANDED:
                    stranded.append(self.sessions[name])
        finally:
            self.locks.give_back(but=with_sites(stranded))

    def _leads(self, name: str, before: Sequence[str]) -> bool:
        """True for the first of the hosts that share a database: it takes the database back for all."""
        site = self.sessions[name].project.site
        return site is not None and all(self.sessions[other].project.site != site for other in before)

    def _confirm(self, going: Sequence[str]) -> None:
        plans = [self.plans[name] for name in going]
        costs = sorted({cost for plan in plans for cost in plan.costs})
        what = ", ".join(f"run {plan.run_id} on {plan.host}" for plan in plans)
        if costs:
            question = f"Taking back {what}: {'; '.join(costs)}. Type the name of the database to go on"
            is_agreed = self.world.prompt.confirm(question, expect=plans[0].database)
        else:
            is_agreed = self.world.prompt.confirm(f"Take back {what}?")
        if not is_agreed:
            raise Declined("declined", details="nothing was changed")

    def _lock(self, session: Session) -> None:
        """Lock in the name of the run that is taken back, look again, and save what its checkout would lose."""
        run_id = self.past[session.config.name].run_id
        self.locks.take(session, replace(self.request, run_id=run_id))
        still_fits(session, look_again(session.config, session.host, self.world))
        if self.moving[session.config.name]:
            # What was changed since is no part of the run that goes: it must not go with it.
            was = git_checkout.saved_tree(run_id)
            session.host.run(git_checkout.save(session.project.folder, self.request.run_id, was))

    def _take_back(self, name: str, *, leads: bool) -> None:
        session, plan, run = self.sessions[name], self.plans[name], self.past[name]
        performed = Performed(
            steps=[StepRecord(each.of, StepState.DONE) for each in plan.steps if isinstance(each, Undo)]
        )
        performing.undo(
            session,
            performed,
            run.run_id,
            self.world,
            why=self.request.reason or "taken back by the operator",
            was_healthy=bool(run.plan.get("was_healthy")),
            is_away=plan.has_gap and any(step.takes_service_away for step in plan.steps),
            leads_database=leads,
        )
        if performed.outcome is Outcome.RESTORED:
            performed = replace(performed, outcome=Outcome.DONE, problem="", details="")
        self.reports[name] = performing.report(session, plan, performed, self.request, self.world)
        self.world.sink.emit(events.HostDone(self.reports[name]))

    def _report(self) -> RunReport:
        return concluded(self.request, self.configs, self.reports, self.world, self.plan)


def newest(session: Session, world: World) -> PastRun | None:
    """Return the run that would be taken back first; None where there is none."""
    return next(iter(_open(_past(session, world))), None)


def _past(session: Session, world: World, *, is_whole: bool = False) -> tuple[PastRun, ...]:
    asked = runs.reading(session.project, is_whole=is_whole)
    return runs.read(world.read_only(session.host).run(asked).text)


def _steps(run: PastRun) -> tuple[Step, ...]:
    return tuple(from_json(said, ()) for said in run.plan.get("steps", ()))


def _open(past: Sequence[PastRun]) -> list[PastRun]:
    """Return the runs that were done and left something to take back, newest first."""
    return [run for run in past if run.state is RunState.DONE and undos(_steps(run))]


def _meant(past: Sequence[PastRun], run_id: str | None, host: str) -> PastRun | None:
    """Return the run to take back; None where there is none.

    :raises UsageError: no run has that name.
    :raises PlanRefused: it cannot be taken back before another one is, or was not done.
    """
    done = _open(past)
    if run_id is None:
        return done[0] if done else None
    hint = f"`inv rollback.history --host {host}` lists the runs."
    named = next((run for run in past if run.run_id == run_id), None)
    if named is None:
        raise UsageError(f"no run is called {run_id!r}", details="nothing was changed", hint=hint, host=host)
    if named.state is not RunState.DONE:
        raise PlanRefused(
            f"run {run_id} was {named.state.value}: there is nothing to take back",
            details="nothing was changed",
            hint=hint,
            host=host,
        )
    if done and named in done and named is not done[0]:
        newer = done[0].run_id
        raise PlanRefused(
            f"run {newer} came after {run_id} and builds upon it",
            details="nothing was changed",
            hint=f"take that one back first: `inv rollback.redo --host {host} --run {newer}`.",
            host=host,
        )
    return named
