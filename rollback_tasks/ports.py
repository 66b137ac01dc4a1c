"""What the flows need from the world, not how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from rollback_tasks.shell import Command, Secret


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    :param exit_code: what the process returned, 0-255.
    :param stdout: all that it printed; empty where it was streamed away.
    :param stderr: the last 64 KiB that it printed there.
    :param seconds: wall time as the caller saw it.
    """

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are no UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        """Standard error as text; bytes that are no UTF-8 are replaced."""
        return self.stderr.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a URL answered, as seen from the host. ``status`` is 0 where nothing answered.

    :param location: where a redirect leads to, as it stands in the answer; empty where there is none.
    """

    status: int
    body: bytes = b""
    problem: str = ""
    location: str = ""

    @property
    def is_ok(self) -> bool:
        """True for any 2xx status."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, without values and without a semicolon at its end.

    :param runs_answer: every value of its answer is a statement itself and is run, in order; null is left out.
    """

    text: str
    runs_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """Where a database answers, as its host sees it.

    :param password: None where the server trusts the host.
    """

    address: str
    port: int
    user: str
    password: Secret | None
    name: str


class Database(Protocol):
    """A session on a database. Used by one thread at a time."""

    def ask(self, statements: Sequence[Statement]) -> Completed:
        """Run statements in order and go on behind one that fails, in a transaction too.

        What the server answers stands on stdout, a line a row; whatever it refuses on stderr, in a line that begins
        with ``ERROR:``. One that fails answers nothing. ``seconds`` is wall time.

        :raises StepFailed: the session ended.
        :raises ConnectionLost: the connection to the host is gone.
        """


class Host(Protocol):
    """A machine that commands run on. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """The host's name in the inventory."""

    def run(self, command: Command) -> Completed:
        """Run to the end and return all output.

        :raises CommandFailed: the exit code is not in ``command.ok_codes``.
        :raises CommandTimedOut: the host ended it at its time limit.
        :raises ConnectionLost: the connection broke first; the outcome is unknown.
        :raises NotReadOnly: this is a read-only host and the command is not READ.
        """

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        """Run, hand standard output to ``sink`` piece by piece in bounded memory. Raises as ``run``."""

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """Run, feed standard input from ``source`` in bounded memory. Raises as ``run``."""

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        """Ask ``url`` from the host's own point of view (``localhost`` is the host); redirects are followed as long as
        they stay with the same server. Never raises for an answer that does not come: ``status`` is then 0 and
        ``problem`` says why.

        :raises ConnectionLost: the connection to the host itself is gone.
        """

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        """Give a unix socket's folder on this machine, named for libpq, that leads to ``address:port``
        as the host sees it. The folder is private to this user and gone afterwards."""

    def close(self) -> None:
        """End the connection. Safe to call twice."""


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait between two looks at a condition."""


class Prompt(Protocol):
    """The operator."""

    @property
    def is_interactive(self) -> bool:
        """True where somebody can answer."""

    def confirm(self, question: str, *, expect: str | None = None) -> bool:
        """Ask. With ``expect`` the operator must type exactly that word; else yes or no, default no."""


class EventSink(Protocol):
    """Takes events (``model.events``) and shows them, or not."""

    def emit(self, event: Any) -> None:
        """Show one event. Must not raise for a closed output."""


class Laptop(Protocol):
    """The operator's own disk: mirrors of journals, pulled backups, reports."""

    def append(self, path: str, line: str) -> None:
        """Append one line to a 0600 file, making its folders (0700), flushed to disk."""

    def write(self, path: str, data: bytes) -> None:
        """Make a 0600 file appear whole or not at all."""

    def receive(self, path: str) -> AbstractContextManager[Receiver]:
        """Open ``path`` for a download: bytes go to a 0600 ``.partial`` beside it. One that a cut download left is
        gone on with: the receiver then begins with its bytes. It is kept where the connection breaks or the operator
        leaves, and removed at any other failure."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted; none where there is no folder."""

    def size(self, path: str) -> int | None:
        """Return a file's bytes; None where there is none."""

    def pieces(self, path: str) -> Iterable[bytes]:
        """Give a file's bytes piece by piece, in bounded memory."""

    def remove(self, path: str) -> bool:
        """Remove a file; False where a live process is downloading it. A file that is not there is removed."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""

    def digest(self, path: str) -> str | None:
        """Return a file's SHA-256 in hex, read in bounded memory; None where there is none."""


class Receiver(Protocol):
    """One download."""

    def write(self, piece: bytes) -> None:
        """Take the next piece: to disk and into the hash."""

    @property
    def sha256(self) -> str:
        """Hex digest of all pieces so far."""

    @property
    def size_bytes(self) -> int:
        """Bytes so far, with those that were there before."""

    def restart(self) -> None:
        """Throw away what is there: it is not the beginning of what comes."""

    def finish(self) -> None:
        """Flush to disk and give the file its name. Without it the partial file is removed at exit."""
