"""A private unix socket on this machine that leads to an address which only the host sees.

A listening TCP port would be open to every user of this machine, and might be taken already: the client would then
talk to a foreign server. libpq cannot be given an open socket, so there must be some listener.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from rollback_tasks.errors import RollbackError

# One SSH packet; sending more at once makes paramiko copy the rest each time.
PIECE_BYTES = 32 * 1024 - 64
# sun_path holds 108 bytes on Linux, 104 on macOS.
PATH_LIMIT = 100
SOCKET_NAME = ".s.PGSQL.5432"


class Stream(Protocol):
    """What sockets and forwarded connections have in common; every failure is an ``OSError``."""

    def recv(self, size: int, /) -> bytes:
        """Return the next bytes, empty at the end."""

    def sendall(self, data: bytes, /) -> object:
        """Send everything."""

    def shutdown(self, how: int, /) -> object:
        """Close one direction or both."""

    def close(self) -> object:
        """Close."""


def hang_up(stream: Stream) -> None:
    """Close both directions and wake whoever waits in ``recv``."""
    with suppress(OSError):  # not connected any more is what we want
        stream.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        stream.close()


class Bridge:
    """Passes bytes both ways between two streams, each direction to its own end, and closes both at the last."""

    def __init__(self, one: Stream, other: Stream) -> None:
        self._ends = (one, other)
        self._lock = threading.Lock()
        self._running = 2
        self._pumps = (
            threading.Thread(target=self._pump, args=(one, other), name="tunnel up", daemon=True),
            threading.Thread(target=self._pump, args=(other, one), name="tunnel down", daemon=True),
        )
        for pump in self._pumps:
            pump.start()

    def _pump(self, source: Stream, sink: Stream) -> None:
        try:
            while piece := source.recv(PIECE_BYTES):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # One end is gone; the other learns of it by its own end of file.
            self._hang_up()
        with self._lock:
            self._running -= 1
            if self._running > 0:
                return
        self._hang_up()

    def _hang_up(self) -> None:
        for end in self._ends:
            hang_up(end)

    @property
    def is_over(self) -> bool:
        """True once both directions have ended."""
        return self._running == 0

    def close(self) -> None:
        """End both directions now."""
        self._hang_up()
        for pump in self._pumps:
            pump.join()


@contextmanager
def private_folder() -> Iterator[str]:
    """A 0700 folder whose path is short enough for a unix socket."""
    base = tempfile.gettempdir()
    if len(os.path.join(base, "rollback-12345678", SOCKET_NAME)) > PATH_LIMIT:
        base = "/tmp"
    folder = tempfile.mkdtemp(prefix="rollback-", dir=base)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class _Listener:
    """Accepts clients of one unix socket and gives each a stream of its own."""

    def __init__(self, path: str, dial: Callable[[], Stream], first: Stream) -> None:
        self._dial = dial
        self._waiting: Stream | None = first
        self._bridges: list[Bridge] = []
        self._closing = False
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, name="tunnel", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closing:
                client.close()
                return
            try:
                stream, self._waiting = self._waiting or self._dial(), None
            except RollbackError:
                client.close()  # the client reports that its server hung up
                continue
            self._bridges = [bridge for bridge in self._bridges if not bridge.is_over]
            self._bridges.append(Bridge(client, stream))

    def close(self) -> None:
        self._closing = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waker:
            waker.connect(self._path)
        self._thread.join()
        self._listener.close()
        if self._waiting is not None:
            hang_up(self._waiting)
        for bridge in self._bridges:
            bridge.close()


@contextmanager
def unix_socket(dial: Callable[[], Stream]) -> Iterator[str]:
    """Listen on ``.s.PGSQL.5432`` in a private folder; each client gets a stream from ``dial``.

    The first stream is opened before anything listens, so that an address where nobody answers is an error here and
    not a riddle in the client.

    :param dial: opens a stream or raises a ``RollbackError``: to the caller for the first, later the client is hung up.
    :returns: the folder, to be given to libpq as ``host``.
    """
    first = dial()
    with private_folder() as folder:
        listener = _Listener(os.path.join(folder, SOCKET_NAME), dial, first)
        try:
            yield folder
        finally:
            listener.close()
