"""Commands as words, and the only quoting in the project.

A command is never a string. Where a shell is needed, a fixed script gets its values as positional
parameters (``"$1"``), so that no value from a host, a git tree or a database is ever code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Never


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

    def join(self, other: Secret, *, between: str) -> Secret:
        """Return both as one secret: this, ``between``, the other and a line break."""
        return Secret(f"{self._value}{between}{other._value}\n")

    @property
    def has_line_break(self) -> bool:
        """True where the value cannot travel as one line."""
        return "\n" in self._value

    def map(self, change: Callable[[str], str]) -> Secret:
        """Return another secret, made of this one without showing either."""
        return Secret(change(self._value))

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not copied, pickled or written down")

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
    :param secret_stdin: text for the program's standard input, before ``stdin``; a newline is added.
    :param timeout: seconds after which the host itself ends the program.
    :param ok_codes: exit codes that are no failure.
    :param place: the inventory name of another host that it belongs to; empty = the host that it is given to.
    """

    argv: tuple[str, ...]
    effect: Effect
    cwd: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    secret_env: tuple[tuple[str, Secret], ...] = ()
    stdin: bytes = b""
    secret_stdin: Secret | None = None
    timeout: float = 60.0
    ok_codes: frozenset[int] = frozenset({0})
    place: str = ""

    @property
    def needs_input(self) -> bool:
        """True where something has to be written to its standard input."""
        return bool(self.stdin or self.secret_env or self.secret_stdin is not None)


def script(
    body: str,
    *args: str,
    effect: Effect,
    cwd: str | None = None,
    env: tuple[tuple[str, str], ...] = (),
    secret_env: tuple[tuple[str, Secret], ...] = (),
    stdin: bytes = b"",
    secret_stdin: Secret | None = None,
    timeout: float = 60.0,
    ok_codes: frozenset[int] = frozenset({0}),
    place: str = "",
) -> Command:
    """Return a command that runs the fixed POSIX script ``body`` with ``args`` as ``$1``, ``$2``..."""
    return Command(
        argv=("sh", "-c", body, "rollback", *args),
        effect=effect,
        cwd=cwd,
        env=env,
        secret_env=secret_env,
        stdin=stdin,
        secret_stdin=secret_stdin,
        timeout=timeout,
        ok_codes=ok_codes,
        place=place,
    )


def quote(words: Sequence[str]) -> str:
    """Return ``words`` as one line that a POSIX shell splits into exactly them again."""
    return shlex.join(words)


# $1 marker, $2 seconds, $3 folder ('' = stay), $4 number of secret variables, then their names, then argv.
# The process group is printed first so that a second channel can end it: closing a channel ends nothing
# (a command outlives its SSH session). `read` takes one byte at a time, so the bytes behind
# the secrets reach the program untouched. The marker stands on stdout too: what comes before it is the noise of
# the login shell's start files.
_WRAPPER = """\
printf '%s %s\\n' "$1" "$$" >&2
printf '%s\\n' "$1"
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
    """What goes over the wire: one line for the login shell, then on standard input every secret as a
    line of its own, then ``stdin``."""

    line: str
    secrets: tuple[Secret, ...]
    stdin: bytes


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def render(command: Command, *, marker: str) -> Rendered:
    """Given a command, return what to send.

    :param marker: a word that the host prints twice before the program starts: on stderr with its process group behind
        it, and on stdout alone.
    :raises ValueError: where a word holds a NUL byte, a variable has no legal name or a secret a newline.
    """
    secrets = tuple(secret for _, secret in command.secret_env)
    if any(secret.has_line_break for secret in secrets):
        raise ValueError("a secret variable holds a line break")
    if command.secret_stdin is not None:
        secrets = (*secrets, command.secret_stdin)
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
        *_words(command),
    )
    return Rendered(quote(words), secrets, command.stdin)


def _words(command: Command) -> tuple[str, ...]:
    """Return argv with its plain variables in front, after checking that every word can travel."""
    for word in (*command.argv, command.cwd or "", *(value for _, value in command.env)):
        if "\0" in word:
            raise ValueError("a word of a command holds a NUL byte")
    for name, _ in (*command.env, *command.secret_env):
        if not _NAME.match(name):
            raise ValueError(f"not a variable name: {name!r}")
    if command.env:
        return ("env", *(f"{name}={value}" for name, value in command.env), *command.argv)
    return command.argv


def standalone(command: Command) -> str:
    """Return ``command`` as the text of a shell script that the host can run later by itself.

    :raises ValueError: where it needs standard input or a secret; a file on the host must hold neither.
    """
    if command.needs_input:
        raise ValueError("a script that stays on the host takes no input")
    lines = ["#!/bin/sh", "LC_ALL=C", "export LC_ALL"]
    if command.cwd is not None:
        lines.append(f"cd -- {shlex.quote(command.cwd)} || exit 125")
    limit = str(max(1, round(command.timeout)))
    words = quote(_words(command))
    lines.append(f"if command -v timeout >/dev/null 2>&1; then exec timeout -k 10 {limit} {words}; fi")
    lines.append(f"exec {words}")
    return "\n".join(lines) + "\n"


# $1 seconds, $2 folder, $3 accepted exit codes, then argv. The token lines frame both streams, so that the
# answers of many commands come back in one round trip; the first answer that is not accepted ends the batch.
_BATCH = """\
token=$1
LC_ALL=C
export LC_ALL
run() {
  limit=$1 folder=$2 codes=$3
  shift 3
  (
    if [ -n "$folder" ]; then cd -- "$folder" || exit 125; fi
    if command -v timeout >/dev/null 2>&1; then exec timeout -k 10 "$limit" "$@"; fi
    exec "$@"
  ) </dev/null
  code=$?
  printf '\\n%s %s\\n' "$token" "$code"
  printf '\\n%s %s\\n' "$token" "$code" >&2
  case " $codes " in *" $code "*) ;; *) exit 0 ;; esac
}
"""


def batch(commands: Sequence[Command], *, token: str) -> Command:
    """Return one command that runs ``commands`` in order and stops behind the first whose exit code is
    not accepted. ``unbatch`` reads its answer.

    :param token: a word that no output holds (make it random).
    :raises ValueError: where a command needs standard input, or two belong to different hosts.
    """
    places = {command.place for command in commands}
    if len(places) > 1:
        raise ValueError(f"the commands of a batch belong to different hosts: {sorted(places)}")
    lines = [_BATCH]
    for command in commands:
        if command.needs_input:
            raise ValueError("a command in a batch takes no input")
        codes = " ".join(str(code) for code in sorted(command.ok_codes))
        limit = str(max(1, round(command.timeout)))
        lines.append("run " + quote((limit, command.cwd or "", codes, *_words(command))))
    return Command(
        argv=("sh", "-c", "\n".join(lines), "rollback", token),
        effect=max((command.effect for command in commands), default=Effect.READ),
        timeout=sum(command.timeout for command in commands) + 15,
        place=next(iter(places), ""),
    )


def unbatch(stdout: bytes, stderr: bytes, *, token: str) -> list[tuple[int, bytes, bytes]]:
    """Given both streams of a batch, return exit code, stdout and stderr of each command that ended."""
    frame = re.compile(rb"\n" + re.escape(token.encode()) + rb" (\d+)\n")

    def parts(stream: bytes) -> list[tuple[int, bytes]]:
        found = []
        begin = 0
        for match in frame.finditer(stream):
            found.append((int(match[1]), stream[begin : match.start()]))
            begin = match.end()
        return found

    errors = parts(stderr)
    # A transport keeps only the tail of stderr: pair them from the end.
    outputs = parts(stdout)
    missing = len(outputs) - len(errors)
    return [
        (code, out, errors[number - missing][1] if number >= missing else b"")
        for number, (code, out) in enumerate(outputs)
    ]
