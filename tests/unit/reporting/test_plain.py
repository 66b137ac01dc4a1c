"""Progress without a terminal."""

from __future__ import annotations

import io
import os
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.model.events import (
    Compensated,
    Event,
    HostDone,
    Note,
    PlanReady,
    RunDone,
    StepDone,
    StepFailed,
    StepStarted,
)
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting import outcome_view, plan_view
from rollback_tasks.reporting.lines import plain
from rollback_tasks.reporting.masking import Masker
from rollback_tasks.reporting.plain import PlainSink


def told(*events: object, shows_outcome: bool = False) -> str:
    stream = io.StringIO()
    sink = PlainSink(stream, clean=Masker(["hunter2"]), shows_outcome=shows_outcome)
    for event in events:
        sink.emit(event)
    sink.close()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Note("", "reading hosts.yaml"), "reading hosts.yaml\n"),
        (Note("prod1", "connected"), "prod1: connected\n"),
        (Note("prod1", "log:\nfirst\nsecond\n"), "prod1: log:\n  first\n  second\n"),
        (Note("prod1", "password hunter2 \x1b[2J"), "prod1: password *** \\x1b[2J\n"),
        (StepStarted("prod1", 3, 9, "stop_services", "stop app"), ""),
        (StepDone("prod1", 3, 9, "stop_services", "stop app", 0.84), "prod1: 3/9 stop app (0.8 s)\n"),
        (
            StepFailed("prod1", 4, 9, "switch_images", "docker ended with exit code 1\nno space"),
            "prod1: 4/9 FAILED switch_images: docker ended with exit code 1\n  no space\n",
        ),
        (Compensated("prod1", "stop_services", True), "prod1: undone: stop_services\n"),
        (Compensated("prod1", "stop_services", False), "prod1: COULD NOT UNDO: stop_services\n"),
        (HostDone(HostReport(host="prod2", outcome=Outcome.NOOP)), "prod2: noop\n"),
        (
            HostDone(HostReport(host="prod2", outcome=Outcome.RESTORED, error="no space\nleft", downtime_seconds=1)),
            "prod2: restored: no space\n",
        ),
        (
            HostDone(
                HostReport(
                    host="prod1",
                    outcome=Outcome.DONE,
                    left={"commit": "a" * 40},
                    reached={"commit": "b" * 40},
                    downtime_seconds=2.44,
                )
            ),
            "prod1: done: aaaaaaa -> bbbbbbb, downtime 2.4 s\n",
        ),
    ],
)
def test_each_event_has_its_line(event: Event, expected: str) -> None:
    assert told(event) == expected


def test_what_is_no_event_is_shown_and_ends_no_run() -> None:
    assert told("a line", 5) == "a line\n5\n"


def test_the_plan_is_shown_whole_and_no_line_is_broken(plan: Plan) -> None:
    assert told(PlanReady(plan)) == plain(plan_view.lines(plan))


def test_the_last_table_is_left_to_standard_output_unless_asked_for(report: RunReport) -> None:
    assert told(RunDone(report)) == ""
    assert told(RunDone(report), shows_outcome=True) == plain(outcome_view.lines(report))


def test_a_reader_that_went_away_does_not_stop_a_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    sink = PlainSink(stream)
    sink.emit(Note("prod1", "x" * 100_000))
    sink.emit(Note("prod1", "still here"))
    sink.close()
    with suppress(BrokenPipeError):
        stream.close()


def test_lines_of_many_threads_stay_whole() -> None:
    stream = io.StringIO()
    sink = PlainSink(stream)

    def talk(name: str) -> None:
        for _ in range(50):
            sink.emit(Note(name, "one\ntwo"))

    threads = [threading.Thread(target=talk, args=(name,)) for name in ("prod1", "prod2", "prod3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = stream.getvalue().split("  two\n")
    assert sorted(pairs) == ["", *["prod1: one\n"] * 50, *["prod2: one\n"] * 50, *["prod3: one\n"] * 50]


@given(st.text(), st.text())
def test_any_foreign_text_gives_printable_lines(host: str, text: str) -> None:
    shown = told(Note(host, text), StepFailed(host, 1, 2, text, text), StepDone(host, 1, 2, "x", text, 1.0))
    assert all(row.isprintable() for row in shown.split("\n"))
