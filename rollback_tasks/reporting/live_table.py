"""What every host of a fleet is doing at this moment: one row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rollback_tasks.model.events import Compensated, HostDone, PlanReady, StepDone, StepFailed, StepStarted
from rollback_tasks.model.outcome import Outcome
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.reporting.amounts import count, duration
from rollback_tasks.reporting.foreign import visible, visible_lines
from rollback_tasks.reporting.lines import Line, Span, Tone, cells, line
from rollback_tasks.reporting.outcome_view import TONES

_HEADS = ("HOST", "STATE", "STEP", "TIME")
_WAITING, _RUNNING, _UNDOING = "waiting", "running", "undoing"
_TONES = {_WAITING: Tone.FAINT, _RUNNING: Tone.WARN, _UNDOING: Tone.BAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One host.

    :param state: ``waiting``, ``running``, ``undoing`` or its outcome.
    :param steps: how far it is, e.g. ``3/17``.
    :param since: when the step under way began, by the clock of the terminal; None where none is.
    :param took: seconds of everything that is over.
    """

    host: str
    state: str = _WAITING
    steps: str = ""
    text: str = ""
    since: float | None = None
    took: float | None = None

    @property
    def is_moving(self) -> bool:
        """True while something is done there."""
        return self.state in (_RUNNING, _UNDOING)

    @property
    def tone(self) -> Tone:
        """How the state is meant."""
        return _TONES[self.state] if self.state in _TONES else TONES[Outcome(self.state)]


def first_rows(event: PlanReady) -> tuple[Row, ...]:
    """Return the rows of a plan's hosts before anything is done."""
    return tuple(Row(host=plan.host, state=_state_of(plan)) for plan in event.plan.hosts)


def _state_of(plan: HostPlan) -> str:
    if plan.is_noop:
        return Outcome.NOOP.value
    return Outcome.BLOCKED.value if plan.blockers else _WAITING


def followed(rows: Sequence[Row], event: object, *, now: float) -> tuple[Row, ...]:
    """Return the rows after an event; a host that no plan named gets the last row."""
    match event:
        case StepStarted():
            row = _row(rows, event.host)
            steps = f"{event.number}/{event.count}"
            row = replace(row, state=_RUNNING, steps=steps, text=event.text, since=now)
        case StepDone():
            row = _row(rows, event.host)
            row = replace(row, text="", since=None, took=(row.took or 0.0) + event.seconds)
        case StepFailed():
            row = replace(_row(rows, event.host), state=_UNDOING, text=f"{event.kind} failed", since=now)
        case Compensated():
            text = f"{event.kind} undone" if event.is_done else f"could not undo {event.kind}"
            row = replace(_row(rows, event.host), state=_UNDOING, text=text, since=now)
        case HostDone():
            report = event.report
            took = sum(step.seconds for step in report.steps) if report.steps else None
            down = f"downtime {duration(report.downtime_seconds)}" if report.downtime_seconds is not None else ""
            text = report.error or down
            row = replace(_row(rows, report.host), state=report.outcome.value, text=text, since=None, took=took)
        case _:
            return tuple(rows)
    if any(each.host == row.host for each in rows):
        return tuple(row if each.host == row.host else each for each in rows)
    return (*rows, row)


def _row(rows: Sequence[Row], host: str) -> Row:
    return next((row for row in rows if row.host == host), Row(host=host))


def lines(rows: Sequence[Row], *, now: float, height: int) -> Iterator[Line]:
    """Return the table. Where a terminal has too few lines, only the hosts that move, and how many others there are.

    :param height: lines that there is room for.
    """
    shown = list(rows)
    rest: list[Row] = []
    if len(rows) + 1 > height:
        room = max(1, height - 2)
        shown = [row for row in rows if row.is_moving][:room]
        rest = [row for row in rows if row not in shown]
    grid = [(visible(row.host), row.state, row.steps, _time(row, now)) for row in shown]
    widths = [max(cells(each[index]) for each in (_HEADS, *grid)) for index in range(len(_HEADS))]

    def padded(words: Sequence[str]) -> list[str]:
        return [word + " " * (width - cells(word) + 2) for word, width in zip(words, widths, strict=True)]

    yield line(*(Span(word, Tone.FAINT) for word in padded(_HEADS)))
    for row, words in zip(shown, grid, strict=True):
        host, state, steps, time = padded(words)
        text = " / ".join(visible_lines(row.text)) if row.text else ""
        yield line(Span(host, Tone.STRONG), Span(state, row.tone), steps, Span(time, Tone.FAINT), text)
    if rest:
        states = list(dict.fromkeys(row.state for row in rest))
        told = ", ".join(f"{sum(row.state == state for row in rest)} {state}" for state in states)
        yield line(Span(f"{count(len(rest), 'more host')}: {told}", Tone.FAINT))


def _time(row: Row, now: float) -> str:
    if row.since is not None:
        return duration(now - row.since)
    return duration(row.took) if row.took is not None else ""
