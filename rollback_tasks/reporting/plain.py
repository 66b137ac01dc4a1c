"""Progress without a terminal: one line a step, with host and seconds."""

from __future__ import annotations

import threading
from typing import TextIO

from rollback_tasks.model.events import RunDone
from rollback_tasks.reporting import event_lines
from rollback_tasks.reporting.lines import Clean, plain
from rollback_tasks.reporting.stream import SturdyStream


class PlainSink:
    """Writes lines to a stream, whole and in the order of the events, from any thread.

    :param stream: standard error; None where there is none.
    :param clean: what hides secrets.
    :param shows_outcome: also the last table; only where it does not go to standard output anyway.
    """

    def __init__(self, stream: TextIO | None, *, clean: Clean = str, shows_outcome: bool = False) -> None:
        self._stream = SturdyStream(stream)
        self._clean = clean
        self._shows_outcome = shows_outcome
        self._guard = threading.Lock()

    def emit(self, event: object) -> None:
        """Show one event. Never raises for a stream that is closed."""
        if isinstance(event, RunDone) and not self._shows_outcome:
            return
        text = plain(event_lines.lines(event), clean=self._clean)
        with self._guard:
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """Nothing is held open."""
