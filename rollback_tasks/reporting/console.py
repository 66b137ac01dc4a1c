"""Progress on a terminal: what is done scrolls by, what is under way stands below and moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from rollback_tasks.model.events import HostDone, PlanReady, RunDone, StepDone, StepStarted
from rollback_tasks.reporting import event_lines, live_table
from rollback_tasks.reporting.amounts import duration
from rollback_tasks.reporting.foreign import visible_lines
from rollback_tasks.reporting.lines import Clean, Line, Span, Tone, line, render
from rollback_tasks.reporting.live_table import Row
from rollback_tasks.reporting.painting import console, paint, show
from rollback_tasks.reporting.stream import SturdyStream


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
        self._is_fleet = False
        # Read by the thread that redraws, without the guard: replaced as a whole, never changed.
        self._rows: tuple[Row, ...] = ()

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
        return not (isinstance(event, StepDone) and self._is_fleet)

    def _follow(self, event: object) -> None:
        now = self._console.get_time()
        if isinstance(event, PlanReady):
            self._rows = live_table.first_rows(event)
            self._is_fleet = len(self._rows) > 1
            return
        if isinstance(event, RunDone):
            self._stop()
            return
        self._rows = live_table.followed(self._rows, event, now=now)
        if isinstance(event, StepStarted):
            self._start()
        # What moves for one host only stands there during its steps; of a fleet it shows those that wait as well.
        if isinstance(event, HostDone) and not self._is_fleet and not any(row.is_moving for row in self._rows):
            self._stop()

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
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _moving(self) -> Group:
        rows = [paint(ready) for ready in render(self._now(), width=None, clean=self._clean)]
        for row in rows:
            row.truncate(self._console.width, overflow="ellipsis")
        return Group(*rows) if rows else Group(Text(""))

    def _now(self) -> Iterator[Line]:
        now = self._console.get_time()
        rows = self._rows
        if self._is_fleet:
            # A line is left for what scrolls by above.
            yield from live_table.lines(rows, now=now, height=self._console.height - 1)
            return
        for row in rows:
            if row.is_moving and row.since is not None:
                yield line(
                    Span(f"{row.host}: ", Tone.STRONG),
                    Span(f"{row.steps} ", Tone.WARN),
                    Span(f"{duration(now - row.since)}  ", Tone.FAINT),
                    " / ".join(visible_lines(row.text)),
                )
