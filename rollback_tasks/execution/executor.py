"""Perform the plan of one host: condition, journal, act, verify; on any failure undo, newest first.

A step costs one round trip: its compensation and "begins" are on the host's disk before it acts, in the same
script that then acts and checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollback_tasks.errors import CommandFailed, ConnectionLost, RollbackError, StepFailed
from rollback_tasks.execution import journal
from rollback_tasks.execution.asking import all_hold
from rollback_tasks.execution.fetching import move
from rollback_tasks.execution.gate import pass_gate
from rollback_tasks.execution.heartbeat import Pulse
from rollback_tasks.execution.interruption import Interrupted, Interruption
from rollback_tasks.execution.journal import Lead
from rollback_tasks.execution.meeting import Meeting
from rollback_tasks.execution.pending import Pending
from rollback_tasks.execution.settling import Fenced, Performed, Settling
from rollback_tasks.model import events
from rollback_tasks.model.outcome import Outcome, StepRecord, StepState
from rollback_tasks.model.plan import Compensation, Fetch, Forget, Gate, HostPlan, Meet, Send, Step
from rollback_tasks.ports import Clock, EventSink, Host, Laptop
from rollback_tasks.shell import Command, standalone


@dataclass(slots=True, kw_only=True)
class Executor:
    """Performs one host's plan.

    :param reconnect: gives a new connection after one was lost; raises ConnectionLost.
    :param health_after: the gate that the restored host has to pass; None where it was not healthy before.
    :param plan_text: the plan as JSON, so that another laptop can go on with it.
    :param mirror: path of the journal on the laptop.
    :param database_lead: of the run's folder on the host that serves the database, where that is another one and this
        host's plan changes it.
    :param meeting: of the hosts that share the database; None where the host is alone.
    :param completed: steps that an earlier process did, when a run is resumed.
    :param begun: the step that it had begun; empty where there is none.
    """

    plan: HostPlan
    host: Host
    reconnect: Callable[[], Host]
    laptop: Laptop
    clock: Clock
    sink: EventSink
    lead: Lead
    stamp: Callable[[float], str]
    mirror: str
    health_after: Gate | None
    interruption: Interruption
    database_lead: Lead | None = None
    meeting: Meeting | None = None
    plan_text: str = "{}"
    is_resumed: bool = False
    completed: frozenset[str] = frozenset()
    begun: str = ""
    _is_open: bool = False
    _down_since: float | None = None
    _pulse: Pulse = field(default_factory=Pulse)
    _result: Performed = field(default_factory=Performed)

    def perform(self) -> Performed:
        """Perform all steps; never raises for what a host can do to it.

        :returns: outcome ``done``, ``restored`` (the host is as before) or ``stranded``.
        """
        try:
            if not self._open():
                return self._result
            for number, step in enumerate(self.plan.steps, 1):
                self._step(number, step)
            self._commit()
        except (RollbackError, KeyboardInterrupt) as error:
            self._put_back(error)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave the host half way; it is shown later
            self._result.bug = error
            self._put_back(StepFailed(f"a bug in this program: {type(error).__name__}", host=self.plan.host))
        finally:
            self._pulse.stop()
        return self._result

    def _open(self) -> bool:
        """Make or take the run on the host; False where somebody else has it."""
        if not self.is_resumed:
            first = self._line("opened", host=self.plan.host)
            for lead in self._leads():
                self.host.run(lead.open_run(first, self.plan_text))
        else:
            done = self.host.run(self.lead.take(self._line("resumed", host=self.plan.host)))
            if done.exit_code == journal.BUSY:
                self._result.outcome = Outcome.LOCKED
                self._result.problem = "the run is led by another laptop, or what that had begun does not end"
                return False
            if done.exit_code != 0:
                self._settling().report_host(Fenced("the run is led or decided by somebody else"))
                return False
        self._is_open = True
        self._pulse.start(self.host, self._leads())
        return True

    def _leads(self) -> tuple[Lead, ...]:
        """The run's folders, that of the database first: what it is undone with has to stand before the rest acts."""
        return (self.lead,) if self.database_lead is None else (self.database_lead, self.lead)

    def _commit(self) -> None:
        last = self._line("settled", outcome="done")
        try:
            for lead in self._leads():
                self._run_fenced(lead.commit(last))
        except ConnectionLost:
            # The answer was lost, not necessarily the decision: it is taken now, or the host says which it was.
            self._rejoin_connection()
            try:
                for lead in self._leads():
                    if not self._is_committed(lead):
                        self._run_fenced(lead.commit(last))
            except Fenced as fenced:
                self._settling().report_host(None)
                if self._result.outcome is not Outcome.DONE:
                    self._result.problem = fenced.brief

    def _is_committed(self, lead: Lead) -> bool:
        said = self.host.run(journal.verdict(lead.project, lead.run_id, wait=0, at=lead.at)).text
        return said.partition("\n")[0] == "committed"

    def _line(self, event: str, **fields: object) -> str:
        """Return a journal line and mirror it on the laptop."""
        line = journal.line(event, at=self.stamp(self.clock.now()), **fields)
        self.laptop.append(self.mirror, line)
        return line

    def _step(self, number: int, step: Step) -> None:
        count = len(self.plan.steps)
        name = f"{number:03d}-{step.kind}"
        if step.takes_service_away and self._down_since is None:
            self._down_since = self.clock.monotonic()
        if name in self.completed:
            self._result.steps.append(StepRecord(step.kind, StepState.DONE))
            return
        text = step.describe()
        self.sink.emit(events.StepStarted(self.plan.host, number, count, step.kind, text))
        began = self.clock.monotonic()
        try:
            self.interruption.check()
            if step.takes_service_away:
                self._act_surely(name, step)
            else:
                with self.interruption.may_cut(self._cut):
                    self._act_surely(name, step)
        except (RollbackError, KeyboardInterrupt) as error:
            self._result.steps.append(StepRecord(step.kind, StepState.FAILED, self.clock.monotonic() - began))
            problem = error.brief if isinstance(error, RollbackError) else "interrupted"
            self.sink.emit(events.StepFailed(self.plan.host, number, count, step.kind, problem))
            raise
        seconds = self.clock.monotonic() - began
        self._result.steps.append(StepRecord(step.kind, StepState.DONE, seconds))
        self.sink.emit(events.StepDone(self.plan.host, number, count, step.kind, text, seconds))

    def _cut(self) -> None:
        """End what is under way on the host; the step then fails, and what was done is undone."""
        try:
            for lead in self._leads():
                self.host.run(journal.end_session(lead.project, lead.run_id, lead.at))
        except RollbackError as error:
            self.sink.emit(events.Note(self.plan.host, f"what is under way could not be ended: {error.brief}"))

    def _act_surely(self, name: str, step: Step) -> None:
        """Do one step; where the connection breaks, look again instead of trying again."""
        try:
            if name == self.begun and self._is_done_or_undone(name, step):
                return
            self._act(name, step)
        except ConnectionLost as lost:
            self.sink.emit(events.Note(self.plan.host, f"{lost.brief}; connecting again to look"))
            self._rejoin_connection()
            for lead in self._leads():
                rejoined = self.host.run(lead.rejoin(limit=1800))
                if rejoined.exit_code == journal.FENCED:
                    raise Fenced("the host decided while the connection was gone", host=self.plan.host) from lost
                if rejoined.exit_code != 0:
                    raise StepFailed("what was under way does not end", host=self.plan.host) from lost
            # Without its way back on the host a step was not begun, whatever seems to hold.
            begun = self.host.run(journal.has_begun(self.lead.project, self.lead.run_id, name))
            if not step.postcondition() or begun.exit_code != 0:
                self._act(name, step)
            elif not self._holds(name, step):
                undone = "the connection broke in this step, and it was not done"
                raise StepFailed(undone, host=self.plan.host) from lost
        except StepFailed:
            self.interruption.check()
            raise

    def _is_done_or_undone(self, name: str, step: Step) -> bool:
        """Look at the step that an earlier process had begun: True where it was done, else it is undone first."""
        if step.postcondition() and self._holds(name, step):
            return True
        self._run_led(journal.undo_one(self.lead.project, self.lead.run_id, name))
        return False

    def _holds(self, name: str, step: Step) -> bool:
        """True where a step's postconditions hold; then it is written down as done."""
        is_done = all_hold(self.host, [check.command for check in step.postcondition()])
        if is_done:
            self._run_fenced(self.lead.append(self._line("done", step=name)))
        return is_done

    def _act(self, name: str, step: Step) -> None:
        """Do one step. Commands that need no input travel together."""
        undo = step.compensation()
        text = standalone(undo.command) if isinstance(undo, Compensation) else ""
        begun = self._line("started", step=name, says=step.describe(), undo=undo.says)
        is_there = isinstance(undo, Compensation) and bool(undo.command.place) and self.database_lead is not None
        pending = Pending(self.host)
        if self.database_lead is not None:
            pending.add(self.database_lead.begin(name=name, undo=text if is_there else "", begun=begun))
        pending.add(self.lead.begin(name=name, undo="" if is_there else text, begun=begun))
        pending.check(step.precondition(), "no longer true")
        for action in step.forward():
            if isinstance(action, Command) and not action.needs_input:
                pending.add(action)
                continue
            pending.flush()
            match action:
                case Command():
                    self._run_led(action)
                case Fetch() | Send() | Forget():
                    move(action, self.host, self.laptop)
                case Gate():
                    self._pass(action)
                case Meet():
                    if self.meeting is not None:
                        self.meeting.arrive(action.point, self.plan.host, self.interruption.check)
            pending.add(self.lead.hold())
        pending.check(step.postcondition(), "not true afterwards")
        pending.add(self.lead.append(self._line("done", step=name)))
        pending.flush()

    def _run_led(self, command: Command) -> None:
        """Run a command that cannot travel with others, only while the run is still ours."""
        self._run_fenced(self.lead.led(command))

    def _run_fenced(self, command: Command) -> None:
        try:
            self.host.run(command)
        except CommandFailed as error:
            if error.exit_code_seen != journal.FENCED:
                raise
            raise Fenced("another decision was taken on the host", host=self.plan.host) from error

    def _pass(self, gate: Gate) -> None:
        passed = pass_gate(gate, self.host, self.clock, self._check)
        if self._down_since is not None and self._result.downtime is None and self.plan.has_gap:
            self._result.downtime = passed.first_good - self._down_since

    def _check(self) -> None:
        """Raise where somebody asked to stop, or where the host says that waiting is pointless: another one decided."""
        self.interruption.check()
        if self._pulse.is_refused:
            raise Fenced("another decision was taken on the host", host=self.plan.host)

    def _rejoin_connection(self) -> None:
        """Connect again.

        :raises ConnectionLost: it does not come back.
        """
        self._pulse.stop()
        self.host = self.reconnect()
        self._pulse.start(self.host, self._leads())

    def _settling(self) -> Settling:
        return Settling(
            name=self.plan.host,
            host=self.host,
            reconnect=self.reconnect,
            clock=self.clock,
            sink=self.sink,
            lead=self.lead,
            database_lead=self.database_lead,
            health_after=self.health_after if self._down_since is not None else None,
            down_since=self._down_since if self.plan.has_gap else None,
            result=self._result,
        )

    def _put_back(self, error: BaseException) -> None:
        if self.meeting is not None:
            self.meeting.fail(self.plan.host)
        settling = self._settling()
        if not self._is_open and not self.is_resumed:
            settling.nothing_done(error)
            return
        settling.put_back(error)
        self.host = settling.host
        if isinstance(error, Interrupted):
            self._result.was_interrupted = True
