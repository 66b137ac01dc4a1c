"""Results and errors become output and exit codes, whatever happens to stdout."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.cli.boundary import Answer, Boundary, Result, visible
from rollback_tasks.cli.state import state_folder
from rollback_tasks.errors import ExitCode, Stranded
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.reporting.masking import Masker
from tests.process.cli.conftest import Inv

NAMES = [code.name.lower() for code in ExitCode]


@pytest.mark.parametrize("name", NAMES)
def test_the_exit_code_is_that_of_the_answer(inv: Inv, name: str) -> None:
    done = inv("sample.end", "--how", name, "--lines", "2")
    assert (done.returncode, done.stdout) == (ExitCode[name.upper()], "line 0\nline 1\n")


def test_an_answer_with_json_is_one_document_on_one_line(inv: Inv) -> None:
    done = inv("sample.end", "--how", "problems", "--lines", "2", "--json")
    document = {"version": 1, "task": "sample.end", "outcome": "problems", "exit_code": 9, "lines": 2}
    assert (done.returncode, done.stdout) == (9, json.dumps(document) + "\n")


def test_a_task_that_says_nothing_prints_nothing(inv: Inv) -> None:
    done = inv("sample.end", "--how", "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "end ran\n")


def test_a_known_error_is_said_on_stderr_with_its_hint(inv: Inv) -> None:
    done = inv("sample.end", "--how", "config")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "end ran\nsample.end: hosts.yaml: 2 problems\n  a: odd\n  b: odd\nHINT: Mend it.\n",
    )


def test_a_known_error_with_json_is_one_document(inv: Inv) -> None:
    done = inv("sample.end", "--how", "config", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (
        2,
        {
            "version": 1,
            "task": "sample.end",
            "outcome": "failed",
            "exit_code": 2,
            "run_id": None,
            "hosts": [],
            "report": None,
            "next": "Mend it.",
            "error": "hosts.yaml: 2 problems\n  a: odd\n  b: odd",
        },
    )


def test_what_a_host_says_cannot_steer_the_terminal(inv: Inv) -> None:
    done = inv("sample.end", "--how", "hostile")
    assert (done.returncode, done.stderr) == (
        4,
        "end ran\nsample.end: prod1: git ended with exit code 3\n\\x1b]0;title\\x07red \\u202eedoc\n",
    )


def test_an_interruption_is_a_refusal_by_the_operator(inv: Inv) -> None:
    done = inv("sample.end", "--how", "interrupt")
    assert (done.returncode, done.stdout, done.stderr) == (8, "", "end ran\nsample.end: interrupted\n")


BUGS = [
    ("zero", "ZeroDivisionError"),
    ("sys.exit", "SystemExit"),
    ("exit", "Exit"),
    ("unexpected", "UnexpectedExit"),
    ("odd", "AttributeError"),
    ("no such error", "KeyError"),
]


@pytest.mark.parametrize(("how", "kind"), BUGS)
def test_anything_else_is_a_bug_with_a_private_log(inv: Inv, folder: Path, how: str, kind: str) -> None:
    done = inv("sample.end", "--how", how)
    (log,) = (folder / "home" / ".local" / "state" / "rollback" / "errors").iterdir()
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"end ran\nsample.end: a bug in this program: {kind}\nthe details are in {log}\n",
    )
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    lines = log.read_text().splitlines()
    assert re.match(r"rollback-tasks \S+, Python \S+, task sample\.end\Z", lines[0])
    assert lines[1] == "Traceback (most recent call last):"
    assert kind in "".join(lines)


def test_a_bug_with_json_is_one_document(inv: Inv) -> None:
    done = inv("sample.end", "--how", "zero", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["outcome"], document["exit_code"]) == (1, "failed", 1)
    assert document["error"].startswith("a bug in this program: ZeroDivisionError\nthe details are in /")


def test_verbose_shows_the_traceback_of_a_bug(inv: Inv) -> None:
    assert "ZeroDivisionError: divided" in inv("sample.end", "--how", "zero", "--verbose").stderr


def test_where_no_log_can_be_written_the_traceback_is_shown(inv: Inv, folder: Path) -> None:
    (folder / "home" / ".local").write_text("a file in the way")
    done = inv("sample.end", "--how", "zero")
    assert done.returncode == 1
    assert "ZeroDivisionError: divided" in done.stderr
    assert "no log could be written: " in done.stderr


def shell(line: str, folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `$inv` is Invoke; every exit code of a pipe is printed at the end."""
    return subprocess.run(
        ["bash", "-c", f'inv="{sys.executable} -m invoke"; {line}; echo "codes ${{PIPESTATUS[*]}}" >&2'],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


PIPES = [
    # More than a pipe holds, so that the writer is still at it when the reader leaves.
    ("$inv sample.end --lines 50000 | head -1", "line 0\n", "end ran\ncodes 0 0\n"),
    ("$inv sample.end --lines 50000 --how problems | head -1", "line 0\n", "end ran\ncodes 9 0\n"),
    ("$inv sample.end --lines 3 | true", "", "end ran\ncodes 0 0\n"),
    ("$inv sample.end --lines 3 --how stranded >&-", "", "end ran\ncodes 5\n"),
    ("$inv sample.end --lines 3 --json | cat", None, "end ran\ncodes 0 0\n"),
    ("$inv sample.end --how config 2>&- | cat", "", "codes 2 0\n"),
    (
        "$inv sample.end --lines 3 > /dev/full",
        "",
        "end ran\nsample.end: the result could not be written to stdout: No space left on device\ncodes 1\n",
    ),
    (
        "$inv sample.end --lines 3 --how locked > /dev/full",
        "",
        "end ran\nsample.end: the result could not be written to stdout: No space left on device\ncodes 6\n",
    ),
]


@pytest.mark.parametrize(("line", "stdout", "stderr"), PIPES, ids=[case[0] for case in PIPES])
def test_a_closed_or_full_output_is_quiet_and_keeps_the_exit_code(
    folder: Path, environ: Mapping[str, str], line: str, stdout: str | None, stderr: str
) -> None:
    done = shell(line, folder, environ)
    assert done.stderr == stderr
    if stdout is None:
        assert json.loads(done.stdout)["lines"] == 3
    else:
        assert done.stdout == stdout


def test_a_reader_of_stderr_who_leaves_changes_nothing(folder: Path, environ: Mapping[str, str]) -> None:
    done = shell("$inv sample.end --bogus 2>&1 >/dev/null | true", folder, environ)
    assert done.stderr == "codes 2 0\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_text_that_the_terminal_cannot_show_is_spelled_out(inv: Inv, encoding: str) -> None:
    done = inv("sample.say", "--host", "прод", env={"PYTHONIOENCODING": encoding})
    expected = "прод" if encoding == "utf-8" else "\\u043f\\u0440\\u043e\\u0434"
    assert (done.returncode, done.stdout.split()[0]) == (0, expected)


def test_json_is_utf8_whatever_the_terminal_is(inv: Inv) -> None:
    done = inv("sample.say", "--host", "прод", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)["hosts"] == ["прод"]


def test_a_real_ctrl_c_is_quiet(folder: Path, environ: Mapping[str, str]) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "invoke", "sample.end", "--how", "wait"],
        cwd=folder,
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with started as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "end ran\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (8, "", "sample.end: interrupted\n")


REPORT = RunReport(task="rollback.full", run_id="r1", hosts=(HostReport(host="a", outcome=Outcome.STRANDED),))


class Plain:
    """A rendering that is easy to compare."""

    def document(self, report: RunReport) -> Mapping[str, Any]:
        return {"run_id": report.run_id}

    def text(self, report: RunReport) -> str:
        return f"report of {report.run_id}"


class Broken(Plain):
    def text(self, report: RunReport) -> str:
        raise ZeroDivisionError


def boundary(folder: Path, *, wants_json: bool = False, rendering: type[Plain] = Plain) -> Boundary:
    return Boundary(task="t", wants_json=wants_json, is_verbose=False, rendering=rendering, state_folder=folder)


@pytest.mark.parametrize(("wants_json", "stdout"), [(False, "report of r1\n"), (True, '{"run_id": "r1"}\n')])
def test_a_runs_report_is_rendered_and_gives_its_code(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, wants_json: bool, stdout: str
) -> None:
    code = boundary(tmp_path, wants_json=wants_json).run(lambda: REPORT)
    assert (code, capfdbinary.readouterr()) == (ExitCode.STRANDED, (stdout.encode(), b""))


def test_a_report_that_cannot_be_shown_keeps_the_runs_code(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    code = boundary(tmp_path, rendering=Broken).run(lambda: REPORT)
    out, err = capfdbinary.readouterr()
    assert (code, out) == (ExitCode.STRANDED, b"")
    assert err.startswith(b"t: a bug in this program: ZeroDivisionError\n")


def test_a_rendering_is_not_even_loaded_for_an_error(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    def body() -> Result:
        raise Stranded("both ways are shut", host="a", hint="`inv rollback.resume --host a` goes on.")

    def load() -> Plain:
        raise AssertionError("loaded")

    asked = Boundary(task="t", wants_json=False, is_verbose=False, rendering=load, state_folder=tmp_path)
    assert asked.run(body) == ExitCode.STRANDED
    assert capfdbinary.readouterr().err == (
        b"t: a: both ways are shut\nHINT: `inv rollback.resume --host a` goes on.\n"
    )


def test_a_log_is_never_written_over_another(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def body() -> Result:
        raise ZeroDivisionError

    for _ in range(5):
        boundary(tmp_path).run(body)
    assert len(list((tmp_path / "errors").iterdir())) == 5


def test_plain_text_stays_as_it_is() -> None:
    assert visible("Прод ok\n\ttab") == "Прод ok\n\ttab"
    assert visible("\r\x1b[2J\x9b\x7f\u2066") == "\\r\\x1b[2J\\x9b\\x7f\\u2066"


FOLDERS = [
    ({"HOME": "/home/a"}, "/home/a/.local/state/rollback"),
    ({"HOME": "/home/a", "XDG_STATE_HOME": "/var/s"}, "/var/s/rollback"),
    ({"HOME": "/home/a", "XDG_STATE_HOME": ""}, "/home/a/.local/state/rollback"),
    ({"HOME": "/home/a", "XDG_STATE_HOME": "relative"}, "/home/a/.local/state/rollback"),
]


@pytest.mark.parametrize(("environ", "path"), FOLDERS)
def test_state_is_where_the_desktop_rules_say(environ: Mapping[str, str], path: str) -> None:
    assert state_folder(environ) == Path(path)


def test_an_answers_fields_cannot_hide_its_exit_code(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    answer = Answer(fields={"exit_code": 0, "outcome": "done"}, exit_code=ExitCode.LOCKED)
    assert boundary(tmp_path, wants_json=True).run(lambda: answer) == ExitCode.LOCKED
    document = json.loads(capfdbinary.readouterr().out)
    assert document == {"version": 1, "task": "t", "outcome": "locked", "exit_code": 6}


def test_errors_beside_an_answer_go_to_stderr_and_cannot_steer_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def never() -> Any:
        raise AssertionError("an answer is no report")

    boundary = Boundary(task="t", wants_json=False, is_verbose=False, rendering=never, state_folder=tmp_path)
    answer = Answer(text="HOST\na", errors="b: gone \x1b[31m", exit_code=ExitCode.UNREACHABLE)
    assert boundary.run(lambda: answer) is ExitCode.UNREACHABLE
    assert capfd.readouterr() == ("HOST\na\n", "b: gone \\x1b[31m\n")


def test_nothing_that_a_task_says_shows_a_known_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def ask(body: Callable[[], Result], *, wants_json: bool = False) -> tuple[str, str]:
        asked = Boundary(
            task="t",
            wants_json=wants_json,
            is_verbose=True,
            rendering=Plain,
            state_folder=tmp_path,
            clean=Masker(["s3cret"]),
        )
        asked.run(body)
        out, err = capfd.readouterr()
        return out, err

    answer = Answer(
        text="ALTER ROLE a PASSWORD 's3cret'\n",
        errors="b: s3cret",
        fields={"hosts": [{"host": "a", "roots": ({"query": "s3cret"},), "number": 3}]},
    )

    def fails() -> Result:
        raise Stranded("s3cret", details="s3cret", hint="type s3cret", host="a")

    def breaks() -> Result:
        raise ValueError("s3cret")

    for body in (lambda: answer, fails, breaks):
        for wants_json in (False, True):
            said = "".join(ask(body, wants_json=wants_json))
            assert ("s3cret" in said, "***" in said) == (False, True)
    assert all("s3cret" not in log.read_text() for log in (tmp_path / "errors").iterdir())
    document = json.loads(ask(lambda: answer, wants_json=True)[0])
    assert document["hosts"] == [{"host": "a", "roots": [{"query": "***"}], "number": 3}]
