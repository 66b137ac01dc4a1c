"""Progress on a terminal."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
from rollback_tasks.model.plan import HostPlan, Plan
from rollback_tasks.model.release import Release
from rollback_tasks.reporting import live_table, outcome_view, plan_view
from rollback_tasks.reporting.console import ConsoleSink
from rollback_tasks.reporting.lines import plain
from rollback_tasks.reporting.masking import Masker

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


def told(*events: Event, shows_outcome: bool = True, has_colour: bool = True) -> str:
    stream = io.StringIO()
    sink = ConsoleSink(stream, clean=Masker(["hunter2"]), shows_outcome=shows_outcome, has_colour=has_colour, width=80)
    for event in events:
        sink.emit(event)
    sink.close()
    return stream.getvalue()


def text_of(output: str) -> str:
    """What stays on the screen: the moving part erases itself, so its rows are those that end in no newline."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)


def test_the_words_are_those_of_the_plain_output(plan: Plan, report: RunReport) -> None:
    output = told(PlanReady(plan), Note("prod1", "connected"), RunDone(report))
    assert text_of(output) == (
        plain(plan_view.lines(plan), width=80)
        + "prod1: connected\n"
        + plain(outcome_view.lines(report, width=80), width=80)
    )


def test_tones_have_colours() -> None:
    assert told(Compensated("prod1", "stop_services", False)) == (
        "\x1b[1mprod1: \x1b[0m\x1b[1;31mCOULD NOT UNDO: \x1b[0mstop_services\n"
    )


def test_no_color_keeps_weight_and_drops_colour() -> None:
    assert told(Compensated("prod1", "stop_services", False), has_colour=False) == (
        "\x1b[1mprod1: \x1b[0m\x1b[1mCOULD NOT UNDO: \x1b[0mstop_services\n"
    )


def test_markup_emoji_and_secrets_of_foreign_text_are_nothing_special() -> None:
    text = "[bold]x[/bold] [/foo] :warning: 42 'a' hunter2 \x1b[2J"
    assert told(Note("", text)) == "[bold]x[/bold] [/foo] :warning: 42 'a' *** \\x1b[2J\n"


def test_a_step_under_way_is_seen_and_gone_when_it_is_done() -> None:
    output = told(
        StepStarted("prod1", 3, 9, "stop_services", "stop app"),
        StepDone("prod1", 3, 9, "stop_services", "stop app", 0.84),
        HostDone(HostReport(host="prod1", outcome=Outcome.DONE)),
    )
    assert "3/9 0.0 s  stop app" in text_of(output)
    assert "prod1: 3/9 stop app (0.8 s)\n" in text_of(output)
    assert (output.count("\x1b[?25l"), output.count("\x1b[?25h")) == (1, 1)
    assert text_of(output).endswith("prod1: done\n")


def test_of_several_hosts_good_steps_only_move_and_failures_stay() -> None:
    hosts = tuple(HostPlan(host=name, current=Release(id="i", commit="c")) for name in ("prod1", "prod2"))
    output = told(
        PlanReady(Plan(task="rollback.full", run_id="R", hosts=hosts)),
        StepStarted("prod1", 1, 2, "stop_services", "stop app"),
        StepStarted("prod2", 1, 2, "stop_services", "stop app"),
        StepDone("prod1", 1, 2, "stop_services", "stop app", 0.84),
        StepFailed("prod2", 1, 2, "stop_services", "no answer"),
        HostDone(HostReport(host="prod1", outcome=Outcome.DONE)),
    )
    assert "(0.8 s)" not in output
    assert "prod2: 1/2 FAILED stop_services: no answer\n" in text_of(output)


def fleet(*names: str) -> PlanReady:
    hosts = tuple(HostPlan(host=name, current=Release(id="i", commit="c")) for name in names)
    return PlanReady(Plan(task="rollback.full", run_id="R", hosts=hosts))


def table_after(*events: Event, height: int = 40) -> list[str]:
    rows: tuple[live_table.Row, ...] = ()
    for now, event in enumerate(events):
        if isinstance(event, PlanReady):
            rows = live_table.first_rows(event)
        rows = live_table.followed(rows, event, now=float(now))
    text = plain(live_table.lines(rows, now=float(len(events)), height=height))
    return text.splitlines()


MOVES: tuple[Event, ...] = (
    StepStarted("prod1", 1, 2, "stop_services", "stop app"),
    StepDone("prod1", 1, 2, "stop_services", "stop app", 0.8),
    StepStarted("prod2", 1, 2, "stop_services", "stop app"),
    StepFailed("prod2", 1, 2, "stop_services", "no answer"),
    HostDone(HostReport(host="prod4", outcome=Outcome.UNREACHABLE, error="no way\nto prod4")),
    StepStarted("prod1", 2, 2, "start_services", "start\nthe app"),
)


def test_every_host_of_a_fleet_has_its_row_in_the_order_of_the_plan() -> None:
    assert table_after(fleet("prod1", "prod2", "prod3"), *MOVES) == [
        "HOST   STATE        STEP  TIME",
        "prod1  running      2/2   1.0 s  start / the app",
        "prod2  undoing      1/2   3.0 s  stop_services failed",
        "prod3  waiting",
        "prod4  unreachable               no way / to prod4",
    ]


def test_a_fleet_that_is_longer_than_the_terminal_shows_what_moves_and_counts_the_rest() -> None:
    names = [f"prod{number}" for number in range(1, 31)]
    assert table_after(fleet(*names), *MOVES, height=10) == [
        "HOST   STATE    STEP  TIME",
        "prod1  running  2/2   1.0 s  start / the app",
        "prod2  undoing  1/2   3.0 s  stop_services failed",
        "28 more hosts: 27 waiting, 1 unreachable",
    ]


def test_on_a_terminal_the_table_stands_until_the_run_is_over() -> None:
    done = HostDone(HostReport(host="prod1", outcome=Outcome.DONE, downtime_seconds=2.5))
    report = RunReport(task="rollback.full", run_id="R", hosts=())
    output = text_of(told(fleet("prod1", "prod2"), *MOVES[:2], done, *MOVES[2:4], RunDone(report)))
    assert "prod1  done     1/2          downtime 2.5 s" in output
    assert "prod2  undoing  1/2   0.0 s  stop_services failed" in output


def test_the_cursor_comes_back_where_a_run_ends_in_the_middle_of_a_step() -> None:
    output = told(StepStarted("prod1", 1, 2, "stop_services", "stop app"))
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


def test_closing_twice_is_harmless_and_a_closed_stream_too() -> None:
    stream = io.StringIO()
    sink = ConsoleSink(stream, width=80)
    sink.emit(StepStarted("prod1", 1, 2, "stop_services", "stop app"))
    stream.close()
    sink.emit(StepDone("prod1", 1, 2, "stop_services", "stop app", 0.84))
    sink.close()
    sink.close()


_PROGRAM = """
import sys
from rollback_tasks.model.events import Note, StepDone, StepStarted
from rollback_tasks.reporting.choose import choose
sink = choose()
sink.emit(StepStarted("prod1", 1, 1, "stop_services", "stop app"))
print('{"version": 1}', flush=True)
sink.emit(StepDone("prod1", 1, 1, "stop_services", "stop app", 1.0))
sink.close()
print(type(sink).__name__)
"""


def test_on_a_real_terminal_standard_output_stays_clean_while_a_step_moves() -> None:
    leader, follower = os.openpty()
    try:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=follower,
            env=environment,
            timeout=60,
            check=True,
        )
        terminal = os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.stdout == b'{"version": 1}\nConsoleSink\n'
    assert "prod1: 1/1 stop app (1.0 s)\r\n" in text_of(terminal)
    assert terminal.count("\x1b[?25h") == 1
