"""Commands as words, and the only quoting in the project.

A command is never a string. Where a shell is needed, a fixed script gets its values as positional
parameters (``"$1"``), so that no value from a host, a git tree or a database is ever code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Effect(IntEnum):
    """What a command may do; a read-only host refuses all but READ."""

    READ = 0
    WRITE = 1
    DESTROY = 2


class Secret:
    """A value that must not be seen. Deliberately not a ``str``: no formatting can reveal it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Only ``transport`` may call this."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Words to run on a host.

    :param argv: program and arguments.
    :param effect: the worst that the command does.
    :param cwd: folder to run in; None for the login folder.
    :param env: plain variables; they may be seen by everybody on the host.
    :param secret_env: variables that travel on standard input, never in argv. Values hold no newline.
    :param stdin: bytes for the program's standard input, after the secrets.
    :param timeout: seconds after which the host itself ends the program.
    :param ok_codes: exit codes that are no failure.
    """

    argv: tuple[str, ...]
    effect: Effect
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    secret_env: tuple[tuple[str, Secret], ...] = ()
    stdin: bytes = b""
    timeout: float = 60.0
    ok_codes: frozenset[int] = frozenset({0})


def script(
    body: str,
    *args: str,
    effect: Effect,
    cwd: str | None = None,
    env: tuple[tuple[str, str], ...] = (),
    secret_env: tuple[tuple[str, Secret], ...] = (),
    stdin: bytes = b"",
    timeout: float = 60.0,
    ok_codes: frozenset[int] = frozenset({0}),
) -> Command:
    """Return a command that runs the fixed POSIX script ``body`` with ``args`` as ``$1``, ``$2``..."""
    return Command(
        argv=("sh", "-c", body, "rollback", *args),
        effect=effect,
        cwd=cwd,
        env=env,
        secret_env=secret_env,
        stdin=stdin,
        timeout=timeout,
        ok_codes=ok_codes,
    )


def quote(words: Sequence[str]) -> str:
    """Return ``words`` as one line that a POSIX shell splits into exactly them again."""
    return shlex.join(words)


# $1 marker, $2 seconds, $3 folder ('' = stay), $4 number of secret variables, then their names, then argv.
# The process group is printed first so that a second channel can end it: closing a channel ends nothing
# (a command outlives its SSH session). `read` takes one byte at a time, so the bytes behind
# the secrets reach the program untouched.
_WRAPPER = """\
printf '%s %s\\n' "$1" "$$" >&2
limit=$2 folder=$3 secrets=$4
shift 4
while [ "$secrets" -gt 0 ]; do
  IFS= read -r value || exit 125
  export "$1=$value"
  shift
  secrets=$((secrets - 1))
done
unset value
LC_ALL=C
export LC_ALL
if [ -n "$folder" ]; then cd -- "$folder" || exit 125; fi
if command -v timeout >/dev/null 2>&1; then exec timeout -k 10 "$limit" "$@"; fi
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What goes over the wire: one line for the login shell, and what standard input starts with."""

    line: str
    secrets: tuple[Secret, ...]
    stdin: bytes


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def render(command: Command, *, marker: str) -> Rendered:
    """Given a command, return what to send.

    :param marker: a word that the host prints on stderr before its process group, on one line.
    :raises ValueError: where a word holds a NUL byte, a variable has no legal name or a secret a newline.
    """
    for word in (*command.argv, command.cwd or "", *(value for _, value in command.env)):
        if "\0" in word:
            raise ValueError("a word of a command holds a NUL byte")
    for name, _ in (*command.env, *command.secret_env):
        if not _NAME.match(name):
            raise ValueError(f"not a variable name: {name!r}")
    argv: tuple[str, ...] = command.argv
    if command.env:
        argv = ("env", *(f"{name}={value}" for name, value in command.env), *argv)
    words = (
        "exec",
        "sh",
        "-c",
        _WRAPPER,
        "rollback",
        marker,
        str(max(1, round(command.timeout))),
        command.cwd or "",
        str(len(command.secret_env)),
        *(name for name, _ in command.secret_env),
        *argv,
    )
    return Rendered(quote(words), tuple(secret for _, secret in command.secret_env), command.stdin)
