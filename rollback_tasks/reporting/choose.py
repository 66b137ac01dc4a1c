"""Which sink fits where standard error leads."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Protocol, TextIO

from rollback_tasks.ports import EventSink
from rollback_tasks.reporting.lines import Clean
from rollback_tasks.reporting.plain import PlainSink
from rollback_tasks.reporting.stream import SturdyStream


class Sink(EventSink, Protocol):
    """A sink that holds a terminal and gives it back."""

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""


def is_terminal(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """True where somebody looks on and the terminal can move its cursor.

    ``FORCE_COLOR`` and the like do not count: they are set in CI, where cursor codes only spoil the log.
    """
    return SturdyStream(stream).isatty() and environment.get("TERM", "") not in ("", "dumb", "unknown")


def has_colour(environment: Mapping[str, str]) -> bool:
    """False where ``NO_COLOR`` is set to anything but the empty text (https://no-color.org)."""
    return not environment.get("NO_COLOR")


def choose(
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
    clean: Clean = str,
    shows_outcome: bool = False,
) -> Sink:
    """Return a sink for standard error.

    :param stream: None = this process's own.
    :param environment: None = this process's own.
    :param clean: what hides secrets, e.g. a ``Masker``.
    :param shows_outcome: also the last table; only where it does not go to standard output anyway.
    """
    target = sys.stderr if stream is None else stream
    variables = os.environ if environment is None else environment
    if not is_terminal(target, variables):
        return PlainSink(target, clean=clean, shows_outcome=shows_outcome)
    from rollback_tasks.reporting.console import ConsoleSink

    return ConsoleSink(target, clean=clean, shows_outcome=shows_outcome, has_colour=has_colour(variables))
