"""Answers of the checks as values, and what became worse between two of them."""

from __future__ import annotations

import json

import pytest

from rollback_tasks.drivers import consistency
from rollback_tasks.drivers.consistency import Consistency, Difference, Problem
from rollback_tasks.drivers.statements import as_script, errors_of
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.ports import Statement


def lines(*said: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in said)


END = ["end", ""]


def broken(name: str, count: int, check: str = "foreign-key") -> Problem:
    return Problem(check=check, name=name, count=count, says=f"{count} rows")


def test_a_check_without_an_answer_has_the_reason_that_the_server_gave_in_its_turn() -> None:
    text = lines(["rows", "a"], ["rows", "b"], {"count": 2}, ["check", "a.c"], END)
    errors = "psql:<stdin>:9: WARNING:  old\npsql:<stdin>:9: ERROR:  invalid page\nDETAIL: x\nERROR:  no\n"
    assert consistency.read(text, errors) == Consistency(
        rows={"b": 2},
        checked={"rows": 1},
        problems=(
            Problem(check="rows", name="a", count=1, says="could not be checked: invalid page"),
            Problem(check="check", name="a.c", count=1, says="could not be checked: no"),
        ),
    )


def test_what_the_server_refused_beyond_the_checks_is_a_problem_too() -> None:
    found = consistency.read(lines(END), "ERROR:  permission denied for table pg_index\n")
    assert [p.says for p in found.problems] == ["could not be checked: permission denied for table pg_index"]


@pytest.mark.parametrize(
    "text",
    ["", lines(["rows", "a"], {"count": 1}), lines("x", END), lines(["rows", "a"], {"count": "x"}, END), "nonsense\n"],
)
def test_an_answer_that_was_cut_short_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        consistency.read(text)


def test_a_saved_check_comes_back_as_it_was() -> None:
    found = Consistency(rows={"a": 1}, checked={"rows": 1}, problems=(broken("a.fk", 2),), notes=("checksums are off",))
    assert consistency.from_json(json.loads(json.dumps(consistency.to_json(found)))) == found
    with pytest.raises(MalformedAnswer):
        consistency.from_json({"rows": []})


def test_only_what_became_worse_is_worse() -> None:
    old = Consistency(
        rows={"gone": 3, "empty": 0, "emptied": 4, "fewer": 9, "more": 1, "same": 5},
        problems=(broken("a.old", 2), broken("a.worse", 2), broken("a.mended", 1), broken("s", 1, "collation")),
    )
    new = Consistency(
        rows={"emptied": 0, "fewer": 8, "more": 2, "same": 5, "new": 7},
        checked={"foreign-key": 4},
        problems=(broken("a.old", 2), broken("a.worse", 3), broken("a.new", 1)),
    )
    assert consistency.compare(old, new, then="in check x") == Difference(
        worse=(
            "emptied has 0 rows, 4 fewer than in check x",
            "table gone is gone; it had 3 rows in check x",
            "foreign-key a.worse: 3 rows; 2 in check x",
            "foreign-key a.new: 1 rows",
        ),
        fewer=("fewer has 8 rows, 1 fewer than in check x",),
        others=(
            "table empty is gone; it had 0 rows in check x",
            "more has 2 rows, 1 more than in check x",
            "table new is new, with 7 rows",
            "foreign-key a.mended: mended",
        ),
    )


def test_where_only_rows_are_known_no_problem_is_called_new() -> None:
    new = Consistency(rows={"a": 1}, checked={"foreign-key": 1}, problems=(broken("a.fk", 1),))
    assert consistency.compare(Consistency(rows={"a": 1}), new, are_rows_alone=True) == Difference()


def test_statements_become_a_script_that_goes_on_behind_an_error() -> None:
    assert as_script((Statement("begin"), Statement("select 1", runs_answer=True))) == (
        "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK on\n\\set VERBOSITY terse\nbegin;\nselect 1\n\\gexec\n"
    )
    assert errors_of("psql:<stdin>:12: ERROR:  x: y\npsql: error: z\n") == "ERROR:  x: y\npsql: error: z\n"
