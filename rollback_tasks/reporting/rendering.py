"""What stands on standard output when a run is over."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting import json_document, outcome_view, plan_view
from rollback_tasks.reporting.choose import has_colour, is_terminal
from rollback_tasks.reporting.lines import Clean, Line, plain
from rollback_tasks.reporting.stream import SturdyStream


class Rendering:
    """Renders reports for one stream.

    :param clean: what hides secrets.
    :param stream: where the text will be written; None = standard output.
    :param environment: None = this process's own.
    """

    def __init__(
        self,
        *,
        clean: Clean = str,
        stream: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._clean = clean
        self._stream = sys.stdout if stream is None else stream
        self._environment = os.environ if environment is None else environment

    def document(self, report: RunReport) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return json_document.document(report, clean=self._clean)

    def text(self, report: RunReport) -> str:
        """Return the report for people: in colour and broken at its width for a terminal, else plain and whole."""
        return self._painted(lambda width: outcome_view.lines(report, width=width))

    def plan(self, plan: Plan) -> str:
        """Return a plan for people, where the plan itself is the result (``rollback.plan``)."""
        return self._painted(lambda _: plan_view.lines(plan))

    def _painted(self, lines: Callable[[int | None], Iterable[Line]]) -> str:
        if not is_terminal(self._stream, self._environment):
            return plain(lines(None), clean=self._clean)
        from rollback_tasks.reporting.painting import console, show

        written = io.StringIO()
        target = console(SturdyStream(written), has_colour=has_colour(self._environment), width=_columns(self._stream))
        show(target, lines(target.width), clean=self._clean)
        return written.getvalue()


def _columns(stream: TextIO) -> int | None:
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
