"""Flags become values, or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollback_tasks.cli.options import (
    Batch,
    FleetOptions,
    OnFailure,
    Options,
    Shape,
    batch,
    given,
    number,
    on_failure,
    parse,
    shared_flags,
    whole_number,
)

READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (whole_number, "0", 0),
    (whole_number, "12", 12),
    (number, "3", 3.0),
    (number, "0.25", 0.25),
    (number, ".5", 0.5),
    (batch, "1", Batch(1)),
    (batch, "25%", Batch(25, is_percent=True)),
    (batch, "100%", Batch(100, is_percent=True)),
    (on_failure, "undo", OnFailure.UNDO),
    (given, "v1", "v1"),
]


@pytest.mark.parametrize(("read", "text", "value"), READ)
def test_what_is_typed_becomes_a_value(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (whole_number, "", "should be a whole number, got ''"),
    (whole_number, "1_000", "should be a whole number, got '1_000'"),
    (whole_number, " 1", "should be a whole number, got ' 1'"),
    (whole_number, "٣", "should be a whole number, got '٣'"),
    (number, ".", "should be a number, got '.'"),
    (number, "inf", "should be a number, got 'inf'"),
    (number, "nan", "should be a number, got 'nan'"),
    (number, "1e3", "should be a number, got '1e3'"),
    (number, "-1", "should be a number, got '-1'"),
    (batch, "0", "should be a number of hosts or a share like 25%, got '0'"),
    (batch, "0%", "should be a number of hosts or a share like 25%, got '0%'"),
    (batch, "101%", "should be at most 100%, got 101%"),
    (batch, "25%%", "should be a number of hosts or a share like 25%, got '25%%'"),
    (on_failure, "UNDO", "should be undo or stop, got 'UNDO'"),
    (given, " ", "was given an empty value"),
]


@pytest.mark.parametrize(("read", "text", "problem"), REFUSED)
def test_what_cannot_be_a_value_is_said_so(read: Callable[[str], Any], text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"should|was") as caught:
        read(text)
    assert str(caught.value) == problem


def test_a_batch_is_never_empty_and_never_rounds_up() -> None:
    quarter = Batch(25, is_percent=True)
    assert [quarter.size(hosts) for hosts in (1, 3, 4, 7, 8, 100)] == [1, 1, 1, 1, 2, 25]
    assert [Batch(3).size(hosts) for hosts in (1, 100)] == [3, 3]


def test_the_flags_defaults_are_the_values_defaults() -> None:
    """`--help`, the flags and the dataclass each say what holds without a flag: they say the same."""
    flags = {flag.name: flag.default for flag in shared_flags(Shape.FLEET)} | {"host": ["prod"]}
    assert parse(Shape.FLEET, flags, task="t", is_dry=False) == Options(task="t", hosts=("prod",), fleet=FleetOptions())


def test_every_default_that_help_names_is_the_flags_own() -> None:
    named = {flag.name: flag.help.partition("(default: ")[2].rstrip(")") for flag in shared_flags(Shape.FLEET)}
    flags = {flag.name: flag.default for flag in shared_flags(Shape.FLEET)}
    assert {name: text for name, text in named.items() if text} == {
        name: default for name, default in flags.items() if isinstance(default, str) and default
    }


def test_invokes_dry_is_our_dry_run() -> None:
    flags = {flag.name: flag.default for flag in shared_flags(Shape.LOCAL)}
    assert parse(Shape.LOCAL, flags, task="t", is_dry=True) == Options(task="t", is_dry_run=True)
