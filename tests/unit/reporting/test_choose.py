"""Which sink fits, and what standard output gets."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting import outcome_view, plan_view
from rollback_tasks.reporting.choose import choose, has_colour, is_terminal
from rollback_tasks.reporting.json_document import document
from rollback_tasks.reporting.lines import plain
from rollback_tasks.reporting.masking import Masker
from rollback_tasks.reporting.rendering import Rendering

ROOT = Path(__file__).parents[3]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (Terminal(), {"TERM": "xterm"}, "ConsoleSink"),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, "ConsoleSink"),
        (Terminal(), {"TERM": "dumb"}, "PlainSink"),
        (Terminal(), {}, "PlainSink"),
        (io.StringIO(), {"TERM": "xterm"}, "PlainSink"),
        (io.StringIO(), {"TERM": "xterm", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}, "PlainSink"),
    ],
)
def test_only_a_terminal_that_can_move_its_cursor_gets_the_console(
    stream: io.StringIO, environment: Mapping[str, str], expected: str
) -> None:
    sink = choose(stream=stream, environment=environment)
    sink.close()
    assert type(sink).__name__ == expected


def test_no_stream_is_no_terminal() -> None:
    assert not is_terminal(None, {"TERM": "xterm"})


@pytest.mark.parametrize(("value", "expected"), [(None, True), ("", True), ("1", False), ("0", False)])
def test_no_color_counts_where_it_is_not_empty(value: str | None, expected: bool) -> None:
    assert has_colour({} if value is None else {"NO_COLOR": value}) is expected


def test_rich_is_not_loaded_without_a_terminal() -> None:
    code = (
        "import io, sys\n"
        "from rollback_tasks.reporting import choose, incident, json_document, rendering, tables\n"
        "choose.choose(stream=io.StringIO(), environment={'TERM': 'xterm'})\n"
        "print('rich' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=60)
    assert answer.stdout == b"False\n"


_TALKATIVE = """
from rollback_tasks.model.events import Note
from rollback_tasks.reporting.choose import choose
sink = choose()
for _ in range(3):
    sink.emit(Note("prod1", "x" * 50_000))
sink.close()
print("done")
"""


@pytest.mark.parametrize("redirection", ["2>&-", "2> >(exec true)", "2>/dev/full"])
def test_a_standard_error_that_takes_nothing_changes_neither_result_nor_exit_code(redirection: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f'"$0" -c "$1" {redirection}; echo $?'
    answer = subprocess.run(
        ["bash", "-c", command, sys.executable, _TALKATIVE],
        env=environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout == b"done\n0\n"


def test_standard_output_gets_plain_whole_lines_where_it_is_a_pipe(report: RunReport, plan: Plan) -> None:
    rendering = Rendering(stream=io.StringIO(), environment={"TERM": "xterm"})
    assert rendering.text(report) == plain(outcome_view.lines(report))
    assert rendering.document(report) == document(report)
    assert rendering.plan(plan) == plain(plan_view.lines(plan))


def test_standard_output_gets_colours_on_a_terminal(report: RunReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    single = replace(report, hosts=report.hosts[1:2], report=None, next="inv x --password hunter2")
    text = Rendering(stream=Terminal(), environment={"TERM": "xterm"}, clean=Masker(["hunter2"])).text(single)
    assert text == (
        "\x1b[2mHOST   OUTCOME  FROM -> TO  DOWNTIME  SECONDS  BACKUP\x1b[0m\n"
        "\x1b[1mprod2  \x1b[0m\x1b[32mnoop     \x1b[0munchanged   -         -        -\n"
        "next: \x1b[1minv x --password ***\x1b[0m\n"
    )
