"""How a run ends when it does not end well: undone on the host, and told as the host tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollback_tasks.errors import ConnectionLost, RollbackError, StepFailed
from rollback_tasks.execution import journal
from rollback_tasks.execution.gate import pass_gate
from rollback_tasks.execution.journal import Lead
from rollback_tasks.execution.record import Undone, compensations, not_undone, undone
from rollback_tasks.model import events
from rollback_tasks.model.outcome import Outcome, StepRecord
from rollback_tasks.model.plan import Gate
from rollback_tasks.ports import Clock, EventSink, Host

# Compensations include starting containers; a guard that is at it gets that long to finish.
_WAIT_FOR_OTHERS = 180.0


class Fenced(StepFailed):
    """Somebody else decided how this run ends."""


@dataclass(slots=True, kw_only=True)
class Performed:
    """What became of one host. ``problem`` and ``details`` say why it was put back.

    :param has_problems: it was done, and what was looked at afterwards is not well.
    :param bug: an exception of ours, to be shown after all hosts are settled.
    """

    outcome: Outcome = Outcome.DONE
    steps: list[StepRecord] = field(default_factory=list)
    downtime: float | None = None
    problem: str = ""
    details: str = ""
    hint: str = ""
    was_interrupted: bool = False
    has_problems: bool = False
    bug: Exception | None = None


@dataclass(slots=True, kw_only=True)
class Settling:
    """Puts one host back, or finds out who did.

    :param host: replaced where the connection had to be made again.
    :param reconnect: tries for as long as it makes sense; raises ConnectionLost.
    :param health_after: the gate that a restored host has to pass; None where service was never taken away, or
        was not healthy before.
    :param down_since: monotonic seconds; None where service was never taken away.
    """

    name: str
    host: Host
    reconnect: Callable[[], Host]
    clock: Clock
    sink: EventSink
    lead: Lead
    database_lead: Lead | None = None
    health_after: Gate | None
    down_since: float | None
    result: Performed

    def nothing_done(self, error: BaseException) -> None:
        """The run could not even be opened on the host: there is nothing to undo."""
        self._say_why(error)
        self.result.outcome = Outcome.RESTORED

    def _say_why(self, error: BaseException) -> None:
        self.result.problem = error.brief if isinstance(error, RollbackError) else "interrupted by the operator"
        self.result.details = error.details if isinstance(error, RollbackError) else ""
        # What a step asks for is still true once it was undone; of a lost connection that is not known.
        self.result.hint = error.hint if isinstance(error, StepFailed) else ""

    def put_back(self, error: BaseException) -> None:
        """Undo what was done, whatever the reason, and write down how that went. Never raises."""
        self._say_why(error)
        try:
            if isinstance(error, ConnectionLost):
                self.host = self.reconnect()
            if isinstance(error, Fenced):
                self.report_host(error)
            else:
                self._unwind()
        except ConnectionLost:
            self._unwind_after_loss()
        except (RollbackError, KeyboardInterrupt) as second:
            brief = second.brief if isinstance(second, RollbackError) else "interrupted again"
            self._strand(f"putting the host back did not end either: {brief}", f"put it back with `{self._abort}`.")

    def undo_committed(self, why: str) -> None:
        """Undo a run whose result already stands. Never raises."""
        self.result.problem = why
        try:
            try:
                self._unwind("undo")
            except ConnectionLost:
                # Asked again, the host goes on where that stopped, or waits for it: what is undone stays undone.
                self.host = self.reconnect()
                self._unwind("undo")
        except (RollbackError, KeyboardInterrupt) as error:
            brief = error.brief if isinstance(error, RollbackError) else "interrupted"
            self._strand(f"undoing did not end: {brief}", f"put it back with `{self._abort}`.")

    @property
    def _abort(self) -> str:
        return f"inv rollback.abort --host {self.name}"

    def _unwind_after_loss(self) -> None:
        """The connection broke while the host was being put back: its own guard finishes, and it tells."""
        try:
            self.host = self.reconnect()
            self.report_host(None)
        except (RollbackError, KeyboardInterrupt):
            seconds = f"{self.lead.lease:g} s"
            self._strand(
                f"the connection is gone; the guard on the host undoes the run {seconds} after the last sign of life",
                f"see `inv host.status --host {self.name}` when it answers again, then `{self._abort}` if need be.",
            )

    def _unwind(self, who: str = "laptop") -> None:
        # The database first: the application that comes back has to find what it left.
        self._unwind_database()
        done = self.host.run(journal.unwind(self.lead.project, self.lead.run_id, who, holder=self.lead.holder))
        found = self._take_note(done.text)
        match done.exit_code:
            case 0:
                self._restored()
            case journal.NOT_ALL_UNDONE:
                self._strand(
                    not_undone(found),
                    f"its guard tries again for about an hour; see the logs in {self.lead.folder}/undo on {self.name}, "
                    f"then `{self._abort}`.",
                )
            case journal.FENCED:
                self._strand(
                    "another laptop leads this run, or another run holds the host: it was left alone",
                    f"see `inv host.status --host {self.name}`.",
                )
            case _:
                self.report_host(None)

    def _unwind_database(self) -> None:
        """Undo the run's share on the host that serves the database, also where its result was already committed."""
        there = self.database_lead
        if there is None:
            return
        done = self.host.run(journal.unwind(there.project, there.run_id, "undo", at=there.at))
        found = self._take_note(done.text)
        if done.exit_code == journal.NOT_ALL_UNDONE:
            problem = (
                f"the database could not be put back; see {there.folder}/undo on {there.place}\n{not_undone(found)}"
            )
            self._strand(problem, f"then `inv rollback.abort --host {there.place},{self.name}`.")

    def report_host(self, why: Fenced | None) -> None:
        """Wait until the run is settled by whoever decided, and report what the host says."""
        if why is not None:
            self.result.problem = why.brief
        said = self.host.run(journal.verdict(self.lead.project, self.lead.run_id, wait=_WAIT_FOR_OTHERS)).text
        how, _, lines = said.partition("\n")
        self._take_note(compensations(lines))
        match how:
            case "committed":
                self.result.outcome = Outcome.DONE
            case "restored":
                self.result.details = "the guard on the host, or another laptop, put the host back"
                self._unwind_database()
                self._restored()
            case "undecided":
                self._unwind()
            case _:
                self._strand("somebody else decided to undo the run and has not finished", f"`{self._abort}` goes on.")

    def _strand(self, details: str, hint: str) -> None:
        self.result.outcome = Outcome.STRANDED
        self.result.details = f"{self.result.details}\n{details}".strip()
        self.result.hint = hint

    def _take_note(self, text: str) -> list[Undone]:
        """Note which compensations ran, as the host reported them, and return them."""
        found = undone(text)
        for each in found:
            self.sink.emit(events.Compensated(self.name, each.kind, each.is_done, each.why))
            self.result.steps = [
                StepRecord(record.kind, each.state, record.seconds) if record.kind == each.kind else record
                for record in self.result.steps
            ]
        return found

    def _restored(self) -> None:
        """The host counts as restored when it answers as it did before."""
        result = self.result
        if result.outcome is Outcome.STRANDED:
            return
        result.outcome = Outcome.RESTORED
        if self.health_after is None:
            return
        try:
            passed = pass_gate(self.health_after, self.host, self.clock)
        except (RollbackError, KeyboardInterrupt) as error:
            brief = error.brief if isinstance(error, RollbackError) else "interrupted"
            self._strand(
                f"everything was undone, but the application does not answer: {brief}",
                f"see `inv host.logs --host {self.name}`.",
            )
            return
        if self.down_since is not None:
            result.downtime = passed.first_good - self.down_since
