"""Each event as lines: the same words on a terminal and in a log."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_tasks.model.events import (
    Compensated,
    Event,
    HostDone,
    Note,
    PlanReady,
    RunDone,
    StepDone,
    StepFailed,
    StepStarted,
)
from rollback_tasks.model.outcome import HostReport
from rollback_tasks.reporting import outcome_view, plan_view
from rollback_tasks.reporting.amounts import duration
from rollback_tasks.reporting.foreign import visible_lines
from rollback_tasks.reporting.lines import Line, Span, Tone, line


def lines(event: object, *, width: int | None = None) -> Iterator[Line]:
    """Given an event, yield its lines; a step that only begins has none. What is no event is shown as its text.

    :param width: columns of the terminal, None = any.
    """
    if not isinstance(event, Event):
        yield from _said("", str(event))
        return
    match event:
        case Note():
            yield from _said(event.host, event.text)
        case PlanReady():
            yield from plan_view.lines(event.plan)
        case StepStarted():
            return
        case StepDone():
            steps = f"{event.number}/{event.count}"
            text = " / ".join(visible_lines(event.text))
            took = Span(f" ({duration(event.seconds)})", Tone.FAINT)
            yield line(*_host(event.host), Span(steps, Tone.GOOD), f" {text}", took, hang=2)
        case StepFailed():
            yield from _said(
                event.host, event.problem, Span(f"{event.number}/{event.count} FAILED {event.kind}: ", _BAD)
            )
        case Compensated():
            words = Span("undone: ", Tone.WARN) if event.is_done else Span("COULD NOT UNDO: ", _BAD)
            why = f": {' / '.join(visible_lines(event.why))}" if event.why else ""
            yield line(*_host(event.host), words, f"{event.kind}{why}", hang=2)
        case HostDone():
            yield from _host_done(event.report)
        case RunDone():
            yield from outcome_view.lines(event.report, width=width)


_BAD = Tone.BAD


def _host(name: str) -> tuple[Span, ...]:
    return (Span(f"{name}: ", Tone.STRONG),) if name else ()


def _said(host: str, text: str, *before: Span) -> Iterator[Line]:
    first, *more = visible_lines(text)
    yield line(*_host(host), *before, first, hang=2)
    for rest in more:
        yield line("  ", rest, hang=2)


def _host_done(report: HostReport) -> Iterator[Line]:
    outcome = Span(report.outcome.value, outcome_view.TONES[report.outcome])
    if report.error:
        yield line(*_host(report.host), outcome, f": {visible_lines(report.error)[0]}", hang=2)
        return
    changed = outcome_view.change(report.left, report.reached)
    parts = [] if changed == "-" else [changed]
    if report.downtime_seconds is not None:
        parts.append(f"downtime {duration(report.downtime_seconds)}")
    yield line(*_host(report.host), outcome, f": {', '.join(parts)}" if parts else "", hang=2)
