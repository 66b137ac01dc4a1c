"""Lines in colour. One of the modules that import rich: imported only when something is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, cast

from rich.console import Console
from rich.text import Text

from rollback_tasks.reporting.lines import Clean, Line, Tone, render
from rollback_tasks.reporting.stream import SturdyStream

_STYLES: Mapping[Tone, str] = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.FAINT: "dim",
}


def console(stream: SturdyStream, *, has_colour: bool, width: int | None = None) -> Console:
    """Return a console that shows text as it is: no markup, no emoji, no guessing of what is a number.

    :param stream: somebody already decided that it is a terminal.
    :param width: columns; None = ask the terminal.
    """
    return Console(
        file=cast(IO[str], stream),
        force_terminal=True,
        no_color=not has_colour,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        width=width,
    )


def paint(ready: Line) -> Text:
    """Given a line that is masked and broken, return it in colour."""
    text = Text(no_wrap=True, overflow="ignore", end="\n")
    for span in ready.spans:
        text.append(span.text, style=_STYLES[span.tone])
    text.rstrip()
    return text


def show(target: Console, lines: Iterable[Line], *, clean: Clean = str) -> None:
    """Print lines, broken at the console's width."""
    for ready in render(lines, width=target.width, clean=clean):
        target.print(paint(ready), soft_wrap=True)
