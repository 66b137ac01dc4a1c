"""This machine as a Host: the same wrapper, time limits and verdicts as over SSH, without the network."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from typing import IO

from rollback_tasks.errors import StepFailed
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command
from rollback_tasks.transport import http, tunnel
from rollback_tasks.transport.conversation import Conversation, DeadlinePassed
from rollback_tasks.transport.ending import END_SCRIPT, WHOLE_SECONDS

PIECE_BYTES = 256 * 1024
DIAL_SECONDS = 10.0
REAP_SECONDS = 1.0


class _LocalProcess:
    """A program of this machine in a process group of its own."""

    def __init__(self, line: str, deadline: float) -> None:
        self._deadline = deadline
        self._process = subprocess.Popen(
            ["sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._in, self._out, self._err = _pipes(self._process)
        self._woken, self._waker = os.pipe()
        self._lock = threading.Lock()
        self._is_free = False
        os.set_blocking(self._in.fileno(), False)

    def _await(self, fileno: int, event: int) -> None:
        poll = select.poll()
        poll.register(fileno, event)
        poll.register(self._woken, select.POLLIN)
        ready = poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000)
        if not ready or any(which == self._woken for which, _ in ready):
            raise DeadlinePassed

    def read_output(self) -> bytes:
        self._await(self._out.fileno(), select.POLLIN)
        return os.read(self._out.fileno(), PIECE_BYTES)

    def read_errors(self) -> bytes:
        try:
            self._await(self._err.fileno(), select.POLLIN)
        except DeadlinePassed:
            return b""
        return os.read(self._err.fileno(), PIECE_BYTES)

    def write_input(self, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            self._await(self._in.fileno(), select.POLLOUT)
            try:
                view = view[os.write(self._in.fileno(), view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
        return True

    def close_input(self) -> None:
        self._in.close()

    def wait(self) -> int | None:
        try:
            code = self._process.wait(max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise DeadlinePassed from None
        return 128 - code if code < 0 else code

    def end_group(self, group: int) -> bool:
        words = ["sh", "-c", END_SCRIPT, "rollback", str(group)]
        try:
            ended = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=WHOLE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return ended.returncode == 0

    def give_up(self) -> None:
        with self._lock:
            if not self._is_free:
                os.write(self._waker, b"x")

    def free(self) -> None:
        with self._lock:
            self._is_free = True
            for pipe in (self._in, self._out, self._err):
                pipe.close()
            os.close(self._waker)
            os.close(self._woken)
        with suppress(subprocess.TimeoutExpired):  # one that could not be ended is left to init
            self._process.wait(REAP_SECONDS)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr


class LocalHost:
    """This machine, as ``ports.Host``. Runs as the current user in the current folder.

    :param name: what reports call it.
    """

    def __init__(self, *, name: str = "localhost") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """See ``ports.Host``."""
        return self._name

    def run(self, command: Command) -> Completed:
        """See ``ports.Host``."""
        return Conversation(self._name, command, _LocalProcess).run()

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        """See ``ports.Host``."""
        return Conversation(self._name, command, _LocalProcess).pull(sink)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """See ``ports.Host``."""
        return Conversation(self._name, command, _LocalProcess).push(source)

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        """See ``ports.Host``."""
        return http.follow(url, lambda each: http.get(each, timeout=timeout, dial=_dial))

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        """See ``ports.Host``.

        :raises StepFailed: nothing listens there.
        """

        def dial() -> socket.socket:
            try:
                sock = socket.create_connection((address, port), timeout=DIAL_SECONDS)
            except OSError as exc:
                raise StepFailed(f"nothing answers at {address}:{port}", details=str(exc), host=self._name) from exc
            sock.settimeout(None)
            return sock

        return tunnel.unix_socket(dial)

    def close(self) -> None:
        """Nothing is open."""


def _dial(address: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=timeout)
