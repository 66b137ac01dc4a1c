"""Nothing that a terminal obeys is ever printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.reporting.foreign import visible, visible_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("v1.4.2", "v1.4.2"),
        ("Köln 東京 🚑", "Köln 東京 🚑"),
        ("[bold]x[/bold] :warning:", "[bold]x[/bold] :warning:"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\rc\0d\x7f", "a\\x0ab\\x0dc\\x00d\\x7f"),
        ("a\tb", "a b"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("main\u202egnp.exe", "main\\u202egnp.exe"),
        ("a\u2028b\ufeff", "a\\u2028b\\ufeff"),
        ("a\U000e0041", "a\\U000e0041"),
        ("\udc80", "\\udc80"),
    ],
)
def test_what_does_not_print_as_itself_is_replaced(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text() | st.text(st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown


@given(st.text(st.characters(exclude_categories=("C", "Z"))))
def test_text_that_prints_is_kept(text: str) -> None:
    assert visible(text) == text


def test_several_lines_stay_several_lines() -> None:
    assert visible_lines("one\r\ntwo\x1b\n\n three\n\n") == ["one", "two\\x1b", "", " three"]
    assert visible_lines("") == [""]
