"""Where lines break, and what becomes of the text on its way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.reporting.lines import Line, Span, Tone, cells, line, plain, render


@pytest.mark.parametrize(
    ("text", "hang", "expected"),
    [
        ("", 0, "\n"),
        ("short", 0, "short\n"),
        ("one two three four", 0, "one two\nthree four\n"),
        ("  one two three four", 4, "  one two\n    three\n    four\n"),
        ("a/path/that/is/too/long b", 2, "a/path/that/is/too/long\n  b\n"),
        ("exactly 10", 0, "exactly 10\n"),
        ("exactly 10 ", 0, "exactly 10\n"),
        ("a b", 9, "a b\n"),
        ("one two three four", 9, "one two\n  three\n  four\n"),
        ("日本語 日本語", 0, "日本語\n日本語\n"),
    ],
)
def test_lines_break_at_spaces_and_long_words_stay_whole(text: str, hang: int, expected: str) -> None:
    assert plain([line(text, hang=hang)], width=10) == expected


def test_without_a_width_no_line_breaks() -> None:
    assert plain([line("word " * 100)]) == ("word " * 100).rstrip() + "\n"


def test_tones_survive_a_break() -> None:
    whole = line(Span("good ", Tone.GOOD), Span("bad news", Tone.BAD))
    assert list(render([whole], width=8)) == [
        Line((Span("good ", Tone.GOOD), Span("bad", Tone.BAD))),
        Line((Span("news", Tone.BAD),)),
    ]


def test_secrets_are_hidden_before_control_characters_are_replaced() -> None:
    assert plain([line("a\x1bsecret\x1bb")], clean=lambda text: text.replace("\x1bsecret\x1b", "***")) == "a***b\n"


_TEXTS = st.text(st.sampled_from("ab 日é"), max_size=60)


@given(st.lists(_TEXTS, max_size=4), st.integers(0, 12), st.integers(4, 40))
def test_a_broken_line_loses_no_word_and_fits_where_it_can(texts: list[str], hang: int, width: int) -> None:
    broken = plain([line(*texts, hang=hang)], width=width)
    assert broken.split() == "".join(texts).split()
    assert all(cells(row) <= width or len(row.split()) == 1 for row in broken.splitlines())


@given(st.text(), st.integers(1, 20))
def test_any_text_gives_printable_lines(text: str, width: int) -> None:
    assert all(row.isprintable() for row in plain([line(text)], width=width).split("\n"))
