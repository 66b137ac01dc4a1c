"""The tasks as `inv` runs them: flags, chains, help, and nothing of the user's Invoke settings."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Shape
from rollback_tasks.cli.task import rollback_task
from tests.process.cli.conftest import ROOT, Inv

SAID = "a {'word': 'hello', 'count': 3} dry=False yes=False\n"


def test_a_task_gets_its_flags_as_values(inv: Inv) -> None:
    done = inv(
        "sample.say", "--host", "a", "--host", "b,c*", "--word", "hi", "--count=7", "--share", "0.5", "--to", "v1",
        "--tag", "x", "--tag", "y", "--loud", "--yes", "--dry-run",
    )  # fmt: skip
    own = "{'word': 'hi', 'count': 7, 'share': 0.5, 'to': 'v1', 'tag': ('x', 'y'), 'loud': True}"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"a,b,c* {own} dry=True yes=True\n", "body ran\n")


def test_flags_that_are_not_given_have_their_defaults(inv: Inv) -> None:
    done = inv("sample.say", "--host", "a")
    assert (done.returncode, done.stdout) == (0, SAID)


WRONG = [
    (["sample.say"], "--host: is needed: name a host, a group or a glob (the whole inventory is '*')"),
    (["sample.say", "--host", "a,,b"], "--host: has an empty name in it"),
    (["sample.say", "--host"], "--host: is needed: name a host, a group or a glob (the whole inventory is '*')"),
    (["sample.say", "--host", ""], "--host: has an empty name in it"),
    (["sample.say", "--host", "a", "--count", "abc"], "--count: should be a whole number, got 'abc'"),
    (["sample.say", "--host", "a", "--count", "-1"], "--count: should be a whole number, got '-1'"),
    (["sample.say", "--host", "a", "--count", "²"], "--count: should be a whole number, got '²'"),
    (["sample.say", "--host", "a", "--share", "1.2.3"], "--share: should be a number, got '1.2.3'"),
    (["sample.say", "--host", "a", "--to", ""], "--to: was given an empty value"),
    (["sample.say", "--host", "a", "--hosts-file", ""], "--hosts-file: was given an empty value"),
]


@pytest.mark.parametrize(("words", "problem"), WRONG)
def test_a_wrong_value_is_a_sentence_and_exit_code_2(inv: Inv, words: list[str], problem: str) -> None:
    done = inv(*words)
    expected = f"sample.say: {problem}\nHINT: `inv sample.say --help` shows the flags.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_every_wrong_value_is_named_at_once(inv: Inv) -> None:
    done = inv("sample.fleet", "--batch", "x", "--parallel", "0", "--on-failure", "pray")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            "sample.fleet: --host: is needed: name a host, a group or a glob (the whole inventory is '*')",
            "--batch: should be a number of hosts or a share like 25%, got 'x'",
            "--parallel: should be 1 or more, got 0",
            "--on-failure: should be undo or stop, got 'pray'",
            "HINT: `inv sample.fleet --help` shows the flags.",
        ],
    )


UNKNOWN = [
    (["sample.sya"], "no idea what 'sample.sya' is", "Did you mean `sample.say`?"),
    (["sample.say", "--host", "a", "--hots", "b"], "no idea what '--hots' is", "Did you mean `--host`?"),
    (
        ["sample.say", "--host", "a", "prod1"],
        "no idea what 'prod1' is",
        "`inv --list` shows the tasks, `inv TASK --help` the flags of one.",
    ),
    (
        ["sample.say", "--host", "a", "--to"],
        "flag '--to' needed value and was not given one",
        "`inv --list` shows the tasks, `inv TASK --help` the flags of one.",
    ),
    (["--help", "sample.sya"], "no idea what 'sample.sya' is", "Did you mean `sample.say`?"),
    (["sample.say", "-x"], "no idea what '-x' is", "`inv --list` shows the tasks, `inv TASK --help` the flags of one."),
]


@pytest.mark.parametrize(("words", "problem", "hint"), UNKNOWN)
def test_a_word_that_is_no_flag_is_exit_code_2_and_runs_nothing(
    inv: Inv, words: list[str], problem: str, hint: str
) -> None:
    done = inv(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"inv: {problem}\nHINT: {hint}\n")


def test_an_unknown_flag_is_found_before_an_earlier_task_of_the_chain_runs(inv: Inv) -> None:
    done = inv("sample.say", "--host", "a", "sample.end", "--how", "done", "--nonsense")
    assert (done.returncode, done.stdout, "ran" in done.stderr) == (2, "", False)


def test_an_unknown_flag_with_json_is_one_document(inv: Inv) -> None:
    done = inv("sample.say", "--host", "a", "--json", "--bogus")
    assert (done.returncode, json.loads(done.stdout)) == (
        2,
        {
            "version": 1,
            "task": "inv",
            "outcome": "failed",
            "exit_code": 2,
            "run_id": None,
            "hosts": [],
            "report": None,
            "next": "`inv --list` shows the tasks, `inv TASK --help` the flags of one.",
            "error": "no idea what '--bogus' is",
        },
    )


@pytest.mark.parametrize(
    "words",
    [["sample.say", "--help"], ["sample.say", "-h"], ["--help", "sample.say"], ["sample.say", "--host", "a", "--help"]],
)
def test_help_is_help_and_runs_nothing(inv: Inv, words: list[str]) -> None:
    done = inv(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: inv[oke] [--core-opts] sample.say" in done.stdout
    for line in (
        "The second paragraph is for --help.",
        "--count=STRING",
        "a number (default: 3)",
        "host, group, glob or",
    ):
        assert line in done.stdout


def test_the_list_shows_the_first_line_of_each_task(inv: Inv) -> None:
    done = inv("--list")
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines() if "sample." in line] == [
        ["sample.build-up", "Build, with no way to rehearse."],
        ["sample.end", "End as it is told."],
        ["sample.fleet", "Show how a fleet is walked."],
        ["sample.say", "Say what it was told."],
    ]


def test_equal_tasks_in_a_chain_all_run(inv: Inv) -> None:
    done = inv(*["sample.say", "--host", "a"] * 3)
    assert (done.returncode, done.stdout) == (0, SAID * 3)


def test_a_chain_stops_at_the_first_failure_with_its_code(inv: Inv) -> None:
    done = inv("sample.say", "--host", "a", "sample.end", "--how", "locked", "sample.say", "--host", "a")
    assert (done.returncode, done.stdout, done.stderr) == (6, SAID, "body ran\nend ran\n")


DRY = [
    ["sample.say", "--host", "a", "--dry-run"],
    ["--dry", "sample.say", "--host", "a"],
    ["-R", "sample.say", "--host", "a"],
    ["sample.say", "--host", "a", "--dry"],
]


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_can_be_asked_for_in_invokes_words_too(inv: Inv, words: list[str]) -> None:
    assert inv(*words).stdout == SAID.replace("dry=False", "dry=True")


@pytest.mark.parametrize("words", [["--dry", "sample.build-up"], ["sample.build-up", "--dry-run"]])
def test_a_task_without_a_dry_run_refuses_to_act(inv: Inv, words: list[str]) -> None:
    done = inv(*words)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "sample.build-up: sample.build-up has no dry run\nHINT: `inv sample.build-up --help` says what it does.\n",
    )


AMBIENT: list[tuple[str, dict[str, str], list[str]]] = [
    ("a plain one", {}, []),
    ("warn, echo, pty and hide from the environment", {f"INVOKE_RUN_{n}": "1" for n in ("WARN", "ECHO", "PTY")}, []),
    ("dedupe from the environment", {"INVOKE_TASKS_DEDUPE": "1"}, []),
    ("flags", {}, ["--warn-only", "--echo", "--pty", "--hide", "both", "--no-dedupe"]),
    ("a file that is not there", {}, ["--config", "nosuch.yaml"]),
]


@pytest.mark.parametrize(("env", "flags"), [case[1:] for case in AMBIENT], ids=[case[0] for case in AMBIENT])
def test_invokes_own_settings_change_nothing(inv: Inv, env: Mapping[str, str], flags: list[str]) -> None:
    words = ["sample.say", "--host", "a"] * 2 + ["sample.end", "--how", "stranded", "sample.say", "--host", "b"]
    done = inv(*flags, *words, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (5, SAID * 2, "body ran\nbody ran\nend ran\n")


@pytest.mark.parametrize("where", ["home/.invoke.yaml", "invoke.yaml"])
def test_invokes_settings_in_files_change_nothing(inv: Inv, folder: Path, where: str) -> None:
    (folder / where).write_text("run: {warn: true, echo: true, pty: true, hide: both}\ntasks: {dedupe: true}\n")
    done = inv(*["sample.say", "--host", "a"] * 2, "sample.end", "--how", "stranded", "sample.end")
    assert (done.returncode, done.stdout, done.stderr) == (5, SAID * 2, "body ran\nbody ran\nend ran\n")


@pytest.mark.parametrize("env", [{"INVOKE_RUN_DRY": "1"}, {}], ids=["environment", "file"])
def test_a_dry_run_that_is_set_for_good_stays_one(inv: Inv, folder: Path, env: Mapping[str, str]) -> None:
    """Taking "dry" for "real" could not be undone; the other mistake shows in the first line of output."""
    if not env:
        (folder / "home" / ".invoke.yaml").write_text("run: {dry: true}\n")
    assert inv("sample.say", "--host", "a", env=env).stdout == SAID.replace("dry=False", "dry=True")


def test_a_shell_loop_over_hosts_runs_for_every_host(folder: Path, environ: Mapping[str, str]) -> None:
    loop = 'while read -r host; do "$0" -m invoke sample.say --host "$host"; done'
    done = subprocess.run(
        ["sh", "-c", loop, sys.executable],
        input="a\nb\nc\n",
        cwd=folder,
        env=dict(environ),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.stdout == "".join(SAID.replace("a ", f"{name} ", 1) for name in "abc")


def test_listing_the_tasks_loads_no_slow_library(environ: Mapping[str, str]) -> None:
    code = (
        "import sys, runpy; sys.argv = ['inv', '--list']\n"
        "try: runpy.run_module('invoke', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "slow = {'fabric', 'paramiko', 'psycopg', 'rich', 'cryptography', 'alembic',"
        " 'rollback_tasks.transport', 'rollback_tasks.reporting.console'}\n"
        "print(sorted(slow & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(environ), capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.stderr == "[] 0\n"


def test_the_project_itself_lists_its_tasks_from_any_folder_below(environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"],
        cwd=ROOT / "tests" / "unit",
        env={name: value for name, value in environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def body_with(**parameters: Any) -> Any:
    """A task's body whose own flags are given as (annotation, default)."""

    def body(context: object, options: object, **flags: object) -> Answer:
        return Answer()

    keyword = inspect.Parameter.KEYWORD_ONLY
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("context", "options")),
            *(inspect.Parameter(n, keyword, annotation=kind, default=value) for n, (kind, value) in parameters.items()),
        ]
    )
    return body


MISTAKES: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    ("no help", {"word": (str, "x")}, {}, "needs a line of help"),
    ("help for nothing", {}, {"word": "x"}, "help for no flag"),
    ("a kind that cannot be typed", {"word": (dict, {})}, {"word": "x"}, "a flag cannot be"),
    ("a shared flag again", {"yes": (bool, False)}, {"yes": "x"}, "shared flags are not its own"),
]


@pytest.mark.parametrize(
    ("own", "help", "problem"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_task_that_is_written_wrong_is_refused_at_once(
    own: dict[str, Any], help: dict[str, str], problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        rollback_task("sample.x", shape=Shape.LOCAL, help=help)(body_with(**own))
