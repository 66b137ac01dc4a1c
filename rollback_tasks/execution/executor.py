"""Perform the plan of one host: condition, journal, act, verify; on any failure undo, newest first.

A step costs one round trip: its compensation and "begins" are on the host's disk before it acts, in the same
script that then acts and checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollback_tasks.errors import (
    CommandFailed,
    CommandTimedOut,
    ConnectionLost,
    RollbackError,
    StepFailed,
    Unreachable,
)
from rollback_tasks.execution import journal
from rollback_tasks.execution.asking import ask
from rollback_tasks.execution.fetching import fetch
from rollback_tasks.execution.gate import pass_gate
from rollback_tasks.model import events
from rollback_tasks.model.outcome import Outcome, StepRecord, StepState
from rollback_tasks.model.plan import Compensation, Fetch, Gate, HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Clock, EventSink, Host, Laptop
from rollback_tasks.shell import Command, standalone


@dataclass(slots=True, kw_only=True)
class Performed:
    """What became of one host. ``problem`` and ``details`` say why it was put back."""

    outcome: Outcome = Outcome.DONE
    steps: list[StepRecord] = field(default_factory=list)
    downtime: float | None = None
    problem: str = ""
    details: str = ""
    hint: str = ""


@dataclass(slots=True, kw_only=True)
class Executor:
    """Performs one host's plan.

    :param reconnect: gives a new connection after one was lost; raises Unreachable.
    :param health_after: the gate that the restored host has to pass; None where it was not healthy before.
    :param mirror: path of the journal on the laptop.
    """

    plan: HostPlan
    host: Host
    reconnect: Callable[[], Host]
    laptop: Laptop
    clock: Clock
    sink: EventSink
    project: Project
    run_id: str
    stamp: Callable[[float], str]
    mirror: str
    health_after: Gate | None
    _down_since: float | None = None
    _result: Performed = field(default_factory=Performed)

    def perform(self) -> Performed:
        """Perform all steps; never raises for what a host can do to it.

        :returns: outcome ``done``, ``restored`` (the host is as before) or ``stranded``.
        """
        try:
            self._note_all(journal.open_run(self.project, self.run_id, self._line("opened", host=self.plan.host)))
            for number, step in enumerate(self.plan.steps, 1):
                self._step(number, step)
            self._note_all(journal.commit(self.project, self.run_id, self._line("settled", outcome="done")))
        except (RollbackError, KeyboardInterrupt) as error:
            self._put_back(error)
        return self._result

    def _note_all(self, command: Command) -> None:
        self.host.run(command)

    def _line(self, event: str, **fields: object) -> str:
        """Return a journal line and mirror it on the laptop."""
        line = journal.line(event, at=self.stamp(self.clock.now()), **fields)
        self.laptop.append(self.mirror, line)
        return line

    def _step(self, number: int, step: Step) -> None:
        count = len(self.plan.steps)
        text = step.describe()
        self.sink.emit(events.StepStarted(self.plan.host, number, count, step.kind, text))
        began = self.clock.monotonic()
        if step.takes_service_away and self._down_since is None:
            self._down_since = began
        name = f"{number:03d}-{step.kind}"
        try:
            self._act(name, step)
        except (RollbackError, KeyboardInterrupt) as error:
            seconds = self.clock.monotonic() - began
            self._result.steps.append(StepRecord(step.kind, StepState.FAILED, seconds))
            problem = error.brief if isinstance(error, RollbackError) else "interrupted"
            self.sink.emit(events.StepFailed(self.plan.host, number, count, step.kind, problem))
            raise
        seconds = self.clock.monotonic() - began
        self._result.steps.append(StepRecord(step.kind, StepState.DONE, seconds))
        self.sink.emit(events.StepDone(self.plan.host, number, count, step.kind, text, seconds))

    def _act(self, name: str, step: Step) -> None:
        """Do one step. Commands that need no input travel together."""
        undo = step.compensation()
        text = standalone(undo.command) if isinstance(undo, Compensation) else ""
        begun = self._line("started", step=name, says=step.describe(), undo=undo.says)
        pending: list[tuple[str, Command]] = [
            ("", journal.begin(self.project, self.run_id, name=name, undo=text, begun=begun))
        ]
        pending += [(f"no longer true: {check.says}", check.command) for check in step.precondition()]
        for action in step.forward():
            match action:
                case Command():
                    if action.stdin or action.secret_env or action.secret_stdin is not None:
                        self._flush(pending)
                        self.host.run(action)
                    else:
                        pending.append(("", action))
                case Fetch():
                    self._flush(pending)
                    fetch(action, self.host, self.laptop)
                case Gate():
                    self._flush(pending)
                    passed = pass_gate(action, self.host, self.clock)
                    if self._down_since is not None and self._result.downtime is None:
                        self._result.downtime = passed.first_good - self._down_since
        pending += [(f"not true afterwards: {check.says}", check.command) for check in step.postcondition()]
        pending.append(("", journal.append(self.project, self.run_id, self._line("done", step=name))))
        self._flush(pending)

    def _flush(self, pending: list[tuple[str, Command]]) -> None:
        """Run what is pending in one round trip; raise for the first that failed."""
        if not pending:
            return
        answers = ask(self.host, [command for _, command in pending])
        said, command = pending[min(len(answers), len(pending)) - 1]
        count = len(pending)
        pending.clear()
        if not answers:
            raise StepFailed("the host did not answer the step's script", host=self.plan.host)
        last = answers[-1]
        if last.exit_code not in command.ok_codes:
            if last.exit_code == journal.FENCED:
                raise Fenced("another decision was taken on the host while this run was away", host=self.plan.host)
            if last.exit_code == 124:
                raise CommandTimedOut(f"a command ran longer than {command.timeout:g} s", host=self.plan.host)
            failed = CommandFailed(_readable(command), last.exit_code, last.error_text, host=self.plan.host)
            raise StepFailed(said or failed.brief, details=failed.details, host=self.plan.host) from failed
        if len(answers) < count:
            raise StepFailed("the step's script ended early", host=self.plan.host)

    def _put_back(self, error: BaseException) -> None:
        """Undo what was done, whatever the reason, and say how that went."""
        result = self._result
        if isinstance(error, RollbackError):
            result.problem, result.details = error.brief, error.details
        else:
            result.problem = "interrupted by the operator"
        again = f"inv rollback.abort --host {self.plan.host}"
        try:
            if isinstance(error, ConnectionLost):
                self.host = self.reconnect()
            done = self.host.run(journal.unwind(self.project, self.run_id, "laptop"))
        except (RollbackError, KeyboardInterrupt) as second:
            brief = second.brief if isinstance(second, RollbackError) else "interrupted again"
            result.outcome = Outcome.STRANDED
            result.details = f"putting the host back did not end either: {brief}"
            result.hint = f"put it back with `{again}`"
            if isinstance(second, Unreachable | ConnectionLost):
                result.details = "the connection is gone; what the host did since is not known"
            return
        if done.exit_code == journal.DECIDED_ELSEWHERE:
            result.outcome = Outcome.STRANDED
            result.details = "the host was already put back, or is being put back, by somebody else"
            result.hint = f"see `inv host.status --host {self.plan.host}`"
            return
        self._take_note(done.text)
        if done.exit_code != 0:
            result.outcome = Outcome.STRANDED
            result.details = f"{result.details}\nnot every step could be undone".strip()
            result.hint = f"see the logs in {self.project.run_folder(self.run_id)}/undo, then `{again}`"
            return
        self._line("settled", outcome="restored")
        self._await_restored()

    def _take_note(self, text: str) -> None:
        """Note which compensations ran, as the host reported them."""
        for line in text.splitlines():
            state, _, kind = line.partition(" ")
            is_done = state == "compensated"
            self.sink.emit(events.Compensated(self.plan.host, kind, is_done))
            after = StepState.COMPENSATED if is_done else StepState.COMPENSATION_FAILED
            self._result.steps = [
                StepRecord(record.kind, after, record.seconds) if record.kind == kind else record
                for record in self._result.steps
            ]

    def _await_restored(self) -> None:
        """The host counts as restored when it answers as it did before."""
        result = self._result
        result.outcome = Outcome.RESTORED
        if self._down_since is None or self.health_after is None:
            return
        try:
            passed = pass_gate(self.health_after, self.host, self.clock)
            result.downtime = passed.first_good - self._down_since
        except (RollbackError, KeyboardInterrupt) as error:
            brief = error.brief if isinstance(error, RollbackError) else "interrupted"
            result.outcome = Outcome.STRANDED
            unwell = f"everything was undone, but the application does not answer: {brief}"
            result.details = f"{result.details}\n{unwell}".strip()
            result.hint = f"see `inv host.logs --host {self.plan.host}`"


class Fenced(StepFailed):
    """Somebody else decided how this run ends."""


def _readable(command: Command) -> tuple[str, ...]:
    """Return a command's words as a person may read them: a script by its values, not by its text."""
    if command.argv[:2] == ("sh", "-c"):
        return ("a script on the host",)
    return command.argv
