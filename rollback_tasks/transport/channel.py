"""A command on a raw SSH channel: nothing polls, and no wait is without an end.

``Connection.run`` of Fabric is not used: it polls, is quadratic in the output, tears UTF-8 apart, reads the caller's
standard input, reconnects by itself after a lost connection and leaves the command running after Ctrl-C.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import paramiko

from rollback_tasks.errors import ConnectionLost, StepFailed
from rollback_tasks.shell import quote
from rollback_tasks.transport.conversation import DeadlinePassed
from rollback_tasks.transport.ending import END_SCRIPT, WHOLE_SECONDS
from rollback_tasks.transport.protocol import StrictTransport

# What paramiko raises when the connection breaks under it.
BROKEN = (paramiko.SSHException, EOFError, OSError)
OPEN_SECONDS = 20.0
# A silent server is asked for a sign of life, as `ServerAliveInterval` and `ServerAliveCountMax` do.
SILENCE_SECONDS = 30.0
ANSWER_SECONDS = 15.0
# 2 MiB, the usual window, bounds a stream to 2 MiB a round trip; 250 MB/s times the round trip keeps a long line full.
# More than 16 MiB makes sshd slow, less than 4 MiB brings nothing.
LEAST_WINDOW_BYTES = 4 * 1024 * 1024
MOST_WINDOW_BYTES = 16 * 1024 * 1024
BYTES_PER_SECOND = 250_000_000


def window_bytes(round_trip: float) -> int:
    """Return the window of a channel, given the seconds of one round trip."""
    return max(LEAST_WINDOW_BYTES, min(MOST_WINDOW_BYTES, int(round_trip * BYTES_PER_SECOND)))


def open_session(transport: StrictTransport, *, window: int, host: str) -> paramiko.Channel:
    """Open a channel for one command.

    :raises ConnectionLost: the connection is gone; nothing was started.
    :raises StepFailed: the host opens no further channel.
    """
    try:
        return transport.open_session(window_size=window, timeout=OPEN_SECONDS)
    except paramiko.ChannelException as exc:
        raise StepFailed(
            "the host opens no further channel on this connection",
            details=str(exc),
            hint="raise MaxSessions in the host's sshd_config (its default is 10).",
            host=host,
        ) from exc
    except BROKEN as exc:
        transport.close()  # a server that does not answer this will answer nothing
        raise not_started(host, str(exc)) from exc


def not_started(host: str, why: str) -> ConnectionLost:
    """Return the error for a connection that was gone before the command began."""
    return ConnectionLost(
        "the connection is gone",
        details=f"{why or 'the other end closed it'}; the command was not started",
        hint=f"look with `inv host.status --host {host}`, "
        f"then settle the run with `inv rollback.resume --host {host}`.",
        host=host,
    )


class ChannelProcess:
    """A program on the other end of a channel (``conversation.Process``)."""

    def __init__(self, transport: StrictTransport, line: str, *, deadline: float, window: int, host: str) -> None:
        self._transport = transport
        self._deadline = deadline
        self._window = window
        self._host = host
        self._given_up = threading.Event()
        self._channel = open_session(transport, window=window, host=host)
        try:
            transport.start_command(self._channel, line)
        except BROKEN as exc:  # half a packet starts nothing
            transport.close()
            raise not_started(host, str(exc)) from exc

    def _next_wait(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return min(left, SILENCE_SECONDS)

    def _after_silence(self) -> None:
        """Go on waiting only for a server that lives; what hangs on a dead one then sees the end of its stream."""
        if time.monotonic() < self._deadline and not self._transport.ping(ANSWER_SECONDS):
            self._transport.close()

    def read_output(self) -> bytes:
        while True:
            self._channel.settimeout(self._next_wait())
            try:
                return self._channel.recv(self._window)
            except TimeoutError:
                self._after_silence()
            except BROKEN:  # it acknowledges what it reads
                self._transport.close()
                return b""

    def read_errors(self) -> bytes:
        while not self._given_up.is_set():
            try:
                self._channel.settimeout(self._next_wait())
                return self._channel.recv_stderr(self._window)
            except DeadlinePassed:
                return b""
            except TimeoutError:
                continue  # the reader of standard output looks after the connection
            except BROKEN:
                self._transport.close()
                return b""
        return b""

    def write_input(self, data: bytes) -> bool:
        # send() of more than a packet would copy the rest each time.
        step = self._channel.out_max_packet_size - 64
        view = memoryview(data)
        while view:
            self._channel.settimeout(self._next_wait())
            try:
                sent = self._channel.send(bytes(view[:step]))
            except TimeoutError:
                self._after_silence()
                continue
            except OSError:
                return False  # closed by the host: the program ended
            except BROKEN:
                self._transport.close()
                return False
            if sent == 0:
                return False
            view = view[sent:]
        return True

    def close_input(self) -> None:
        with suppress(*BROKEN):  # the program ended first; wait() tells how
            self._channel.shutdown_write()

    def wait(self) -> int | None:
        while not self._channel.status_event.wait(self._next_wait()):
            self._after_silence()
        code = self._channel.exit_status
        return None if code < 0 else code

    def end_group(self, group: int) -> bool:
        until = time.monotonic() + WHOLE_SECONDS
        try:
            channel = open_session(self._transport, window=self._window, host=self._host)
        except (ConnectionLost, StepFailed):
            return False
        words = ("exec", "sh", "-c", END_SCRIPT, "rollback", str(group))
        try:
            self._transport.start_command(channel, quote(words))
        except BROKEN:
            self._transport.close()
            return False
        ended = channel.status_event.wait(max(0.0, until - time.monotonic()))
        if not ended:
            self._transport.close()
        with suppress(*BROKEN):
            channel.close()
        return ended and channel.exit_status == 0

    def give_up(self) -> None:
        self._given_up.set()
        with suppress(*BROKEN):  # it says good-bye
            self._channel.close()

    def free(self) -> None:
        """A channel holds nothing else."""
