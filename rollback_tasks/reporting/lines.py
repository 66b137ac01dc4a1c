"""Lines of output before anybody chose a colour: what a line says, how loud, and where it may break."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from rollback_tasks.reporting.foreign import visible


class Tone(Enum):
    """How a piece of text is meant."""

    PLAIN = "plain"
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    FAINT = "faint"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    :param hang: columns that the rest of a broken line is moved in by.
    """

    spans: tuple[Span, ...] = ()
    hang: int = 0

    @property
    def text(self) -> str:
        """The line without its tones."""
        return "".join(span.text for span in self.spans)


Clean = Callable[[str], str]


def line(*spans: Span | str, hang: int = 0) -> Line:
    """Given pieces, return a line; bare text is plain."""
    return Line(tuple(Span(span) if isinstance(span, str) else span for span in spans), hang)


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def render(lines: Iterable[Line], *, width: int | None, clean: Clean = str) -> Iterator[Line]:
    """Given lines, yield them ready to be shown: masked, harmless, and broken at ``width``.

    :param width: columns; None = lines are never broken, as programs and logs like it.
    :param clean: what hides secrets; it sees the text before anything is replaced.
    """
    for whole in lines:
        safe = Line(tuple(Span(visible(clean(span.text)), span.tone) for span in whole.spans), whole.hang)
        yield from _broken(safe, width) if width is not None else (safe,)


def plain(lines: Iterable[Line], *, width: int | None = None, clean: Clean = str) -> str:
    """Given lines, return them as text without colours; each ends with a newline."""
    return "".join(f"{ready.text.rstrip()}\n" for ready in render(lines, width=width, clean=clean))


def _broken(whole: Line, width: int) -> Iterator[Line]:
    """Break at spaces. A word that is too long stays whole, so that a path can be copied."""
    rest = [(character, span.tone) for span in whole.spans for character in span.text]
    hang = whole.hang if whole.hang <= width // 2 else 2
    while (end := _break_at(rest, width)) is not None:
        yield _joined(rest[:end], whole.hang)
        rest = [(" ", Tone.PLAIN)] * hang + rest[end + 1 :]
    yield _joined(rest, whole.hang)


def _break_at(text: list[tuple[str, Tone]], width: int) -> int | None:
    begin = next((index for index, (character, _) in enumerate(text) if character != " "), len(text))
    used = begin
    last_space = None
    for index in range(begin, len(text)):
        character = text[index][0]
        if character == " " and text[index - 1][0] != " ":
            last_space = index
        used += _cells(character)
        if used > width and last_space is not None:
            # What is only spaces behind the last word is no reason to break.
            return last_space if any(later != " " for later, _ in text[last_space:]) else None
    return None


def _joined(text: list[tuple[str, Tone]], hang: int) -> Line:
    spans: list[Span] = []
    for character, tone in text:
        if spans and spans[-1].tone is tone:
            spans[-1] = Span(spans[-1].text + character, tone)
        else:
            spans.append(Span(character, tone))
    return Line(tuple(spans), hang)
