"""One command from its first byte to its verdict, the same for every kind of host.

Whatever goes wrong on this side (time limit, Ctrl-C, a full disk in the sink), the command's process group is
ended on the host before the exception goes on: a command that outlives its caller would go on changing things unseen.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from rollback_tasks.errors import CommandFailed, CommandTimedOut, ConnectionLost, StepFailed
from rollback_tasks.ports import Completed
from rollback_tasks.shell import Command, Rendered, render
from rollback_tasks.transport.shield import shielded
from rollback_tasks.transport.streams import Collected, OutputGate, StderrTail

# The host's own `timeout -k 10` needs that long to end a program that ignores TERM.
HOST_KILL_SECONDS = 10.0
GRACE_SECONDS = 5.0
# Both a pipe and an SSH window take this much although nobody reads yet.
INLINE_INPUT_BYTES = 32 * 1024
TIMED_OUT_CODES = (124, 137)


class DeadlinePassed(Exception):
    """This side's own time limit ran out; never leaves ``transport``."""


class Process(Protocol):
    """A running program, as a kind of host offers it."""

    def read_output(self) -> bytes:
        """Return the next piece of standard output, empty at its end. :raises DeadlinePassed: too late."""

    def read_errors(self) -> bytes:
        """Return the next piece of standard error, empty at its end (or when given up)."""

    def write_input(self, data: bytes) -> bool:
        """Write all of ``data``; False where the program takes no more. :raises DeadlinePassed: too late."""

    def close_input(self) -> None:
        """Let the program see the end of its input."""

    def wait(self) -> int | None:
        """Return the exit code, 128 + n for signal n; None where the outcome is unknown."""

    def end_group(self, group: int) -> bool:
        """End a process group, TERM then KILL; True where it is known to be gone."""

    def give_up(self) -> None:
        """Wake every thread that reads or writes here; from now on they see the end."""

    def free(self) -> None:
        """Free everything on this side; no thread uses it any more."""


def limit_seconds(command: Command) -> float:
    """Return the time limit as ``shell.render`` gives it to the host, in whole seconds."""
    return float(max(1, round(command.timeout)))


def new_marker() -> str:
    """Return a word that no program prints by chance."""
    return f"rollback-{secrets.token_hex(8)}"


def _first_input(rendered: Rendered) -> bytes:
    return b"".join(secret.reveal().encode() + b"\n" for secret in rendered.secrets) + rendered.stdin


class Conversation:
    """Runs one command on a host.

    :param start: given the line for the login shell and this side's deadline (monotonic seconds), begins it.
    """

    def __init__(self, host: str, command: Command, start: Callable[[str, float], Process]) -> None:
        self._host = host
        self._command = command
        self._started = time.monotonic()
        self._deadline = self._started + limit_seconds(command) + HOST_KILL_SECONDS + GRACE_SECONDS
        self._marker = new_marker()
        self._rendered = render(command, marker=self._marker)
        self._errors = StderrTail(self._marker)
        self._start = start
        self._begun = threading.Event()
        self._interrupted = False
        self._threads: list[threading.Thread] = []

    def run(self) -> Completed:
        """Collect standard output."""
        collected = Collected()
        gate = OutputGate(self._marker, collected)
        code = self._perform(lambda: self._read_into(gate))
        return self._settle(code, gate, collected)

    def pull(self, sink: Callable[[bytes], object]) -> Completed:
        """Hand standard output to ``sink``."""
        gate = OutputGate(self._marker, sink)
        code = self._perform(lambda: self._read_into(gate))
        return self._settle(code, gate, None)

    def push(self, source: Iterable[bytes]) -> Completed:
        """Feed standard input from ``source`` and collect standard output."""
        collected = Collected()
        gate = OutputGate(self._marker, collected)
        code = self._perform(lambda: self._write_from(source, gate))
        return self._settle(code, gate, collected)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=f"{name} of {self._host}", daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _drain_errors(self) -> None:
        while piece := self._process.read_errors():
            self._errors.feed(piece)
        self._errors.end()

    def _read_into(self, gate: OutputGate) -> None:
        first = _first_input(self._rendered)
        feeder: threading.Thread | None = None
        if len(first) <= INLINE_INPUT_BYTES:
            self._feed(first)
        else:
            feeder = self._thread("stdin", lambda: self._feed_beside(first))
        while piece := self._process.read_output():
            gate.feed(piece)
        if feeder is not None:
            feeder.join(max(0.0, self._deadline - time.monotonic()))

    def _feed(self, data: bytes) -> None:
        # A program may end without reading its input: its exit code says how that went.
        if not data or self._process.write_input(data):
            self._process.close_input()

    def _feed_beside(self, data: bytes) -> None:
        try:
            self._feed(data)
        except DeadlinePassed:
            return  # the reader meets the same deadline and reports it

    def _write_from(self, source: Iterable[bytes], gate: OutputGate) -> None:
        failure: list[BaseException] = []

        def read() -> None:
            try:
                while piece := self._process.read_output():
                    gate.feed(piece)
            except (DeadlinePassed, StepFailed) as exc:
                failure.append(exc)

        reader = self._thread("stdout", read)
        complete = self._process.write_input(_first_input(self._rendered))
        if complete:
            for piece in source:
                if failure:
                    raise failure[0]
                if piece and not self._process.write_input(piece):
                    break
            else:
                self._process.close_input()
        reader.join(max(0.0, self._deadline - time.monotonic()))
        if failure:
            raise failure[0]
        if reader.is_alive():
            raise DeadlinePassed

    def _perform(self, talk: Callable[[], None]) -> int | None:
        return shielded(lambda: self._guarded(talk), on_interrupt=self._interrupt)

    def _interrupt(self) -> None:
        """End the command from the outside; the thread that holds the conversation then sees its end."""
        self._interrupted = True
        if self._begun.wait(GRACE_SECONDS) and not self._end_group():
            self._process.give_up()

    def _guarded(self, talk: Callable[[], None]) -> int | None:
        self._process = self._start(self._rendered.line, self._deadline)
        drain = self._thread("stderr", self._drain_errors)
        self._begun.set()
        try:
            if self._interrupted:  # too early for _interrupt() to see a process
                raise KeyboardInterrupt
            talk()
            code = self._process.wait()
            drain.join(max(0.0, self._deadline - time.monotonic()))
        except DeadlinePassed:
            if self._end_group():
                raise self._timed_out() from None
            raise self._lost("it did not end within its time limit, and could not be ended") from None
        except BaseException:
            self._end_group()
            raise
        finally:
            self._process.give_up()
            for thread in self._threads:
                thread.join()
            self._process.free()
        return code

    def _end_group(self) -> bool:
        group = self._errors.group(timeout=GRACE_SECONDS)
        return group is not None and self._process.end_group(group)

    def _settle(self, code: int | None, gate: OutputGate, collected: Collected | None) -> Completed:
        seconds = time.monotonic() - self._started
        if code is None:
            raise self._lost("the connection broke before its exit code came")
        if code in TIMED_OUT_CODES and seconds >= limit_seconds(self._command):
            # What ignored TERM outlives `timeout` when its direct child obeyed.
            shielded(self._end_group)
            raise self._timed_out()
        stderr = self._errors.tail
        if not gate.is_open and code == 0:
            raise StepFailed(
                "the login shell did not start the command",
                details=(gate.noise + stderr).decode("utf-8", "replace").strip()[-2000:],
                hint=f"run `ssh {self._host} 'sh -c true'`: the account needs a shell that runs commands.",
                host=self._host,
            )
        if code not in self._command.ok_codes:
            shown = stderr if gate.is_open else gate.noise + stderr
            raise CommandFailed(self._command.argv, code, shown.decode("utf-8", "replace"), host=self._host)
        return Completed(code, collected.data if collected else b"", stderr, seconds)

    def _timed_out(self) -> CommandTimedOut:
        stderr = self._errors.tail.decode("utf-8", "replace").strip()[-1000:]
        ended = "it and all that it had started were ended on the host"
        return CommandTimedOut(
            f"{self._command.argv[0]} ran over its time limit of {limit_seconds(self._command):g} seconds",
            details=f"{ended}\n{stderr}" if stderr else ended,
            host=self._host,
        )

    def _lost(self, how: str) -> ConnectionLost:
        return ConnectionLost(
            f"lost sight of {self._command.argv[0]} while it ran",
            details=f"{how}: whether it did its work is unknown, and it was not tried again",
            hint=f"look with `inv host.status --host {self._host}`, "
            f"then settle the run with `inv rollback.resume --host {self._host}`.",
            host=self._host,
        )
