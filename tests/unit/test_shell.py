"""Words reach a program as they are, through a real shell, and secrets never show."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.shell import Command, Effect, Rendered, Secret, batch, quote, render, script, standalone, unbatch

NASTY = [
    "",
    " ",
    "plain",
    "two words",
    "it's",
    '"double"',
    "'",
    "''",
    "$HOME",
    "$(touch pwned)",
    "`touch pwned`",
    "${IFS}",
    "a;b",
    "a && b || c",
    "a|b>c<d&",
    "*",
    "?[a-z]",
    "~",
    "~root",
    "!history",
    "#comment",
    "back\\slash",
    "\\",
    "trailing\\",
    "new\nline",
    "\n",
    "ends with a newline\n",
    "\ttab\r",
    "-n",
    "--help",
    "-",
    "--",
    "=",
    "a=b",
    "%s%n",
    "{a,b}",
    "Привет, прод",
    "日本語",
    "e\u0301 \u202e \ufeff",
    "\x01\x1b[31m\x7f",
    "x" * 5000,
]

# Prints each word behind its length, so that no two lists of words look the same.
SHOW = [sys.executable, "-c", "import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])"]


def run(sent: Rendered, shell: str = "sh") -> subprocess.CompletedProcess[bytes]:
    """What the far end does: a login shell gets one line, the program gets standard input."""
    stdin = b"".join(secret.reveal().encode() + b"\n" for secret in sent.secrets) + sent.stdin
    return subprocess.run([shell, "-c", sent.line], input=stdin, capture_output=True, timeout=30)


def shown(words: list[str]) -> bytes:
    return repr([word.encode() for word in words]).encode() + b"\n"


def test_nasty_words_arrive_as_they_are(tmp_path: Path) -> None:
    command = Command(argv=(*SHOW, *NASTY), effect=Effect.READ, cwd=str(tmp_path))
    done = run(render(command, marker="m4rk"))
    assert (done.returncode, done.stdout) == (0, b"m4rk\n" + shown(NASTY))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_a_script_gets_its_values_as_words_and_not_as_code(shell: str, tmp_path: Path) -> None:
    command = script('exec "$@"', *SHOW, *NASTY, effect=Effect.READ, cwd=str(tmp_path))
    done = run(render(command, marker="m4rk"), shell)
    assert (done.returncode, done.stdout) == (0, b"m4rk\n" + shown(NASTY))
    assert list(tmp_path.iterdir()) == []


# The host's argv is text without NUL; the lone halves of surrogate pairs have no UTF-8.
words = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4)


@given(words)
def test_any_words_survive_quoting(any_words: list[str]) -> None:
    line = quote(("printf", r"%s\0", *any_words))
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=30, check=True)
    assert done.stdout == (b"".join(word.encode() + b"\0" for word in any_words) or b"\0")


def test_nasty_folder_and_variables_arrive_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "-it's $(here)\n;"
    folder.mkdir()
    nasty = [word for word in NASTY if word]
    env = tuple((f"V{number}", word) for number, word in enumerate(nasty))
    show = (
        "import os; print(os.getcwd().encode()); print([os.environb[b'V%d' % n] for n in range(" + str(len(env)) + ")])"
    )
    command = Command(argv=(sys.executable, "-c", show), effect=Effect.READ, cwd=str(folder), env=env)
    done = run(render(command, marker="m"))
    assert done.stdout == b"m\n" + repr(str(folder).encode()).encode() + b"\n" + shown(nasty)


def test_a_folder_that_is_not_there_is_an_error_and_not_another_folder(tmp_path: Path) -> None:
    done = run(render(Command(argv=("pwd",), effect=Effect.READ, cwd=str(tmp_path / "gone")), marker="m"))
    assert (done.returncode, done.stdout) == (125, b"m\n")


def test_stderr_starts_with_the_marker_and_the_process_group() -> None:
    show = "import os, sys; print(os.getpid(), os.getpgid(0), os.getppid())"
    done = run(render(Command(argv=(sys.executable, "-c", show), effect=Effect.READ), marker="m4rk"))
    marker, group = done.stderr.split()
    _, seen_group, _ = done.stdout.split()[1:]
    assert (marker, group) == (b"m4rk", seen_group)


def test_the_exit_code_is_the_programs_own() -> None:
    codes = [0, 1, 3, 42, 125, 255]
    commands = [Command(argv=("sh", "-c", f"exit {code}"), effect=Effect.READ) for code in codes]
    assert [run(render(command, marker="m")).returncode for command in commands] == codes


def test_a_program_over_its_time_limit_is_ended_by_the_host() -> None:
    done = run(render(Command(argv=("sleep", "30"), effect=Effect.READ, timeout=1), marker="m"))
    assert done.returncode == 124


SECRETS = ["hunter2", 'it\'s "$(id)" \\ `x`', "  spaces  ", "пароль", "", "-n", "\\n", "\ttab", "\r"]


@pytest.mark.parametrize("value", SECRETS)
def test_a_secret_arrives_as_a_variable_and_stands_in_no_argv(value: str) -> None:
    show = "import os, sys; print([os.environb[b'PGPASSWORD'], os.environb[b'OTHER']], sys.stdin.buffer.read())"
    command = Command(
        argv=(sys.executable, "-c", show),
        effect=Effect.READ,
        secret_env=(("PGPASSWORD", Secret(value)), ("OTHER", Secret("second"))),
        stdin=b"\x00binary\nrest\xff",
    )
    sent = render(command, marker="m")
    assert run(sent).stdout == f"m\n{[value.encode(), b'second']!r} {command.stdin!r}\n".encode()
    assert not value.strip() or len(value) < 3 or value not in sent.line


def test_secret_input_comes_before_plain_input_as_a_line() -> None:
    command = script(
        "cat", effect=Effect.READ, secret_env=(("A", Secret("a")),), secret_stdin=Secret("hunter2"), stdin=b"rest"
    )
    sent = render(command, marker="m")
    assert (run(sent).stdout, "hunter2" in sent.line) == (b"m\nhunter2\nrest", False)


def test_input_that_ends_before_the_secrets_do_starts_no_program() -> None:
    sent = render(Command(argv=("echo", "ran"), effect=Effect.READ, secret_env=(("A", Secret("a")),)), marker="m")
    assert run(dataclasses.replace(sent, secrets=())).stdout == b"m\n"


REFUSED: list[tuple[str, Command]] = [
    ("NUL in a word", Command(argv=("a", "b\0c"), effect=Effect.READ)),
    ("NUL in the folder", Command(argv=("a",), effect=Effect.READ, cwd="/x\0")),
    ("NUL in a variable", Command(argv=("a",), effect=Effect.READ, env=(("A", "\0"),))),
    ("a name with a dash", Command(argv=("a",), effect=Effect.READ, env=(("A-B", "x"),))),
    ("a name with code", Command(argv=("a",), effect=Effect.READ, env=(("A;id", "x"),))),
    ("a name with a newline at its end", Command(argv=("a",), effect=Effect.READ, env=(("A\n", "x"),))),
    ("an empty name", Command(argv=("a",), effect=Effect.READ, env=(("", "x"),))),
    ("a name that starts with a digit", Command(argv=("a",), effect=Effect.READ, secret_env=(("1", Secret("x")),))),
    ("a secret of two lines", Command(argv=("a",), effect=Effect.READ, secret_env=(("A", Secret("x\ny")),))),
]


@pytest.mark.parametrize("command", [command for _, command in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_cannot_travel_is_refused(command: Command) -> None:
    with pytest.raises(ValueError, match=r"NUL byte|variable name|line break") as caught:
        render(command, marker="m")
    assert "x\ny" not in str(caught.value)


def test_a_standalone_script_says_the_same_words(tmp_path: Path) -> None:
    command = Command(argv=(*SHOW, *NASTY), effect=Effect.WRITE, cwd=str(tmp_path), env=(("A", "it's"),))
    path = tmp_path / "undo.sh"
    path.write_text(standalone(command), encoding="utf-8")
    done = subprocess.run(["sh", str(path)], capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, shown(NASTY))


TAKES_INPUT = [
    Command(argv=("a",), effect=Effect.WRITE, stdin=b"x"),
    Command(argv=("a",), effect=Effect.WRITE, secret_stdin=Secret("x")),
    Command(argv=("a",), effect=Effect.WRITE, secret_env=(("A", Secret("x")),)),
]


@pytest.mark.parametrize("command", TAKES_INPUT)
def test_neither_a_standalone_script_nor_a_batch_takes_input(command: Command) -> None:
    with pytest.raises(ValueError, match="takes no input"):
        standalone(command)
    with pytest.raises(ValueError, match="takes no input"):
        batch([command], token="t")


def test_a_batch_gives_every_answer_and_stops_behind_the_first_that_is_not_accepted(tmp_path: Path) -> None:
    commands = [
        Command(argv=(*SHOW, *NASTY), effect=Effect.READ, cwd=str(tmp_path)),
        script("printf out; printf err >&2; exit 3", effect=Effect.READ, ok_codes=frozenset({0, 3})),
        script("cat; exit 4", effect=Effect.READ),
        script("echo never", effect=Effect.READ),
    ]
    done = run(render(batch(commands, token="t0k3n"), marker="m"))
    stderr = done.stderr.partition(b"\n")[2]
    assert unbatch(done.stdout.partition(b"\n")[2], stderr, token="t0k3n") == [
        (0, shown(NASTY), b""),
        (3, b"out", b"err"),
        (4, b"", b""),
    ]


def test_a_batch_is_as_dangerous_as_its_worst_command() -> None:
    effects = [Effect.READ, Effect.DESTROY, Effect.WRITE]
    assert batch([Command(argv=("a",), effect=effect) for effect in effects], token="t").effect == Effect.DESTROY
    assert batch([], token="t").effect == Effect.READ


HIDDEN = Secret("hunter2")
HOLDER = Command(argv=("a",), effect=Effect.READ, secret_env=(("A", HIDDEN),), secret_stdin=HIDDEN)
SHOWING: list[tuple[str, Callable[[], object]]] = [
    ("repr", lambda: repr(HIDDEN)),
    ("str", lambda: str(HIDDEN)),
    ("f-string", lambda: f"{HIDDEN} {HIDDEN!r} {HIDDEN!s}"),
    ("format", lambda: "{} {!r}".format(HIDDEN, HIDDEN)),  # noqa: UP032
    ("percent", lambda: "%s %r" % (HIDDEN, HIDDEN)),  # noqa: UP031
    ("in a command", lambda: repr(HOLDER)),
    ("rendered", lambda: repr(render(HOLDER, marker="m"))),
    ("in an exception", lambda: repr(ValueError(HIDDEN))),
    ("in a log record", lambda: logging.LogRecord("x", 20, "", 1, "%s", (HIDDEN,), None).getMessage()),
    ("joined", lambda: repr(HIDDEN.join(Secret("other"), between=":"))),
    ("mapped", lambda: repr(HIDDEN.map(str.upper))),
]


@pytest.mark.parametrize("show", [show for _, show in SHOWING], ids=[name for name, _ in SHOWING])
def test_a_secret_never_shows(show: Callable[[], object]) -> None:
    assert re.findall("hunter2", str(show()), flags=re.IGNORECASE) == []


WRITING: list[tuple[str, Callable[[Any], object]]] = [
    ("a width", lambda secret: f"{secret:>20}"),
    ("json", json.dumps),
    ("pickle", pickle.dumps),
    ("copy", copy.copy),
    ("deepcopy", copy.deepcopy),
    ("concatenation", lambda secret: "password: " + secret),
    ("str.join", lambda secret: " ".join([secret])),
    ("bytes", bytes),
]


@pytest.mark.parametrize("write", [write for _, write in WRITING], ids=[name for name, _ in WRITING])
def test_a_secret_refuses_to_be_written_down(write: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        write(HIDDEN)
    assert "hunter2" not in str(caught.value)


def test_a_dataclass_with_a_secret_refuses_to_become_a_dictionary() -> None:
    with pytest.raises(TypeError):
        dataclasses.asdict(HOLDER)


def test_secrets_are_compared_by_value() -> None:
    assert [Secret("a") == Secret("a"), Secret("a") == Secret("b"), len({Secret("a"), Secret("a")})] == [True, False, 1]
    assert Secret("a") != "a"
