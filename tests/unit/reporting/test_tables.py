"""Aligned text for the tasks that list something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.reporting.tables import Column, table


def test_cells_are_aligned_and_numbers_stand_at_the_right() -> None:
    assert table(
        ["release", Column("rows", is_number=True), "note"],
        [("v1", 5, None), ("日本", 1234, "x\x1b[2J"), ("", 0, "two words")],
    ) == (
        "RELEASE  ROWS  NOTE\n"
        "v1          5  -\n"
        "日本     1234  x\\x1b[2J\n"
        "-           0  two words\n"
    )  # fmt: skip


def test_an_empty_list_still_names_its_columns() -> None:
    assert table(["run", "task"], []) == "RUN  TASK\n"


def test_secrets_are_hidden() -> None:
    assert table(["url"], [["x hunter2"]], clean=lambda text: text.replace("hunter2", "***")) == "URL\nx ***\n"


def test_a_row_that_does_not_fit_the_columns_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table(["a", "b"], [("only one",)])


@given(st.lists(st.tuples(st.text(), st.none() | st.integers() | st.text())))
def test_each_row_is_one_line_whatever_its_cells_hold(rows: list[tuple[str, object]]) -> None:
    text = table(["name", Column("value", is_number=True)], rows)
    assert text.count("\n") == len(rows) + 1
    assert all(row.isprintable() for row in text.split("\n"))
