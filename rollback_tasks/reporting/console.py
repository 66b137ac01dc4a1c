"""Progress on a terminal: what is done scrolls by, what is under way stands below and moves."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from rollback_tasks.model.events import (
    HostDone,
    PlanReady,
    RunDone,
    StepDone,
    StepFailed,
    StepStarted,
)
from rollback_tasks.reporting import event_lines
from rollback_tasks.reporting.amounts import duration
from rollback_tasks.reporting.foreign import visible_lines
from rollback_tasks.reporting.lines import Clean, Line, Span, Tone, line, render
from rollback_tasks.reporting.painting import console, paint, show
from rollback_tasks.reporting.stream import SturdyStream


@dataclass(frozen=True, slots=True)
class _UnderWay:
    host: str
    number: int
    count: int
    text: str
    since: float


class ConsoleSink:
    """Shows events on a terminal with rich.

    The live part never redirects standard output: rich would send what a task prints for a program there
    (``--json``) to standard error. It exists only while steps run, so that questions are asked on a quiet terminal.

    :param stream: standard error, a terminal.
    :param clean: what hides secrets.
    :param shows_outcome: also the last table; only where it does not go to standard output anyway.
    :param has_colour: False where ``NO_COLOR`` is set.
    :param width: columns; None = ask the terminal.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        clean: Clean = str,
        shows_outcome: bool = False,
        has_colour: bool = True,
        width: int | None = None,
    ) -> None:
        self._console = console(SturdyStream(stream), has_colour=has_colour, width=width)
        self._clean = clean
        self._shows_outcome = shows_outcome
        self._guard = threading.Lock()
        self._live: Live | None = None
        self._host_count = 1
        # Read by the thread that redraws, without the guard: replaced as a whole, never changed.
        self._under_way: tuple[_UnderWay, ...] = ()

    def emit(self, event: object) -> None:
        """Show one event. Never raises for a stream that is closed."""
        with self._guard:
            self._follow(event)
            if self._is_shown(event):
                show(self._console, event_lines.lines(event, width=self._console.width), clean=self._clean)

    def close(self) -> None:
        """Give the terminal back with its cursor; safe to call twice."""
        with self._guard:
            self._stop()

    def _is_shown(self, event: object) -> bool:
        if isinstance(event, RunDone):
            return self._shows_outcome
        # With several hosts the steps that went well are seen in the moving part.
        return not (isinstance(event, StepDone) and self._host_count > 1)

    def _follow(self, event: object) -> None:
        match event:
            case PlanReady():
                self._host_count = len(event.plan.hosts)
            case StepStarted():
                row = _UnderWay(event.host, event.number, event.count, event.text, self._console.get_time())
                self._under_way = (*self._others(event.host), row)
                self._start()
            case StepDone() | StepFailed():
                self._under_way = self._others(event.host)
            case HostDone():
                self._under_way = self._others(event.report.host)
                if not self._under_way:
                    self._stop()
            case RunDone():
                self._stop()
            case _:
                pass

    def _others(self, host: str) -> tuple[_UnderWay, ...]:
        return tuple(row for row in self._under_way if row.host != host)

    def _start(self) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._moving,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _stop(self) -> None:
        self._under_way = ()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _moving(self) -> Group:
        rows = [paint(ready) for ready in self._rows()]
        for row in rows:
            row.truncate(self._console.width, overflow="ellipsis")
        return Group(*rows) if rows else Group(Text(""))

    def _rows(self) -> list[Line]:
        now = self._console.get_time()
        rows = [
            line(
                Span(f"{row.host}: ", Tone.STRONG),
                Span(f"{row.number}/{row.count} ", Tone.WARN),
                Span(f"{duration(now - row.since)}  ", Tone.FAINT),
                " / ".join(visible_lines(row.text)),
            )
            for row in self._under_way
        ]
        return list(render(rows, width=None, clean=self._clean))
