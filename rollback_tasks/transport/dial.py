"""A TCP connection to a host, as fast as it gets and quick to notice that the other end is gone."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Protocol

from rollback_tasks.errors import Unreachable

# RFC 8305, "Connection Attempt Delay".
NEXT_ADDRESS_SECONDS = 0.25
DEAD_PEER_SECONDS = 30
RECEIVE_BYTES = 256 * 1024


class Wire(Protocol):
    """What paramiko needs from the thing that it speaks through: a socket, or a channel of a jump host."""

    def recv(self, size: int, /) -> bytes:
        """Return the next bytes."""

    def send(self, data: bytes, /) -> int:
        """Send some bytes and return how many."""

    def settimeout(self, seconds: float | None, /) -> object:
        """Limit how long the two others wait."""

    def close(self) -> object:
        """Close."""


class BufferedWire:
    """Reads much at once, hands out little, and acknowledges at once.

    paramiko reads packets in two small pieces, so a system call each would halve a download. And an SSH
    handshake is a ping-pong of small packets: with delayed acknowledgements it loses 40 ms twice. Linux forgets
    TCP_QUICKACK after a while, hence the new setting after each receive.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._buffer = b""
        self._at = 0
        self._closed = False
        is_tcp = isinstance(wire, socket.socket) and wire.family in (socket.AF_INET, socket.AF_INET6)
        self._quick = wire if isinstance(wire, socket.socket) and is_tcp and hasattr(socket, "TCP_QUICKACK") else None

    def recv(self, size: int) -> bytes:
        """See ``Wire``."""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._wire.recv(RECEIVE_BYTES), 0
            if self._quick is not None:
                self._quick.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def send(self, data: bytes) -> int:
        """See ``Wire``."""
        return self._wire.send(data)

    def settimeout(self, seconds: float | None) -> None:
        """See ``Wire``."""
        self._wire.settimeout(seconds)

    def close(self) -> None:
        """See ``Wire``."""
        self._closed = True  # paramiko looks at this attribute of sockets
        self._wire.close()


def dial(hostname: str, port: int, *, timeout: float, host: str) -> tuple[socket.socket, float]:
    """Connect to the first address of ``hostname`` that answers, all of them tried, IPv6 and IPv4 in turn.

    :param timeout: seconds for all addresses together.
    :param host: the inventory's name, for the report.
    :returns: the socket, and the seconds that the handshake took (one round trip).
    :raises Unreachable: no such name, refused, no answer in time.
    """
    try:
        found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise Unreachable(
            f"the name {hostname} is not known",
            details=str(exc),
            hint=f"check `hostname` in hosts.yaml and `ssh -G {host}`.",
            host=host,
        ) from exc
    race = _Race(found, timeout=timeout)
    try:
        sock, seconds = race.run()
    except TimeoutError as exc:
        raise _unreachable("no answer from", hostname, port, f"waited {timeout:g} seconds", host) from exc
    except ConnectionRefusedError as exc:
        raise _unreachable("connection refused by", hostname, port, str(exc), host) from exc
    except OSError as exc:
        raise _unreachable("no way to", hostname, port, str(exc), host) from exc
    _prepare(sock)
    return sock, seconds


def _unreachable(how: str, hostname: str, port: int, details: str, host: str) -> Unreachable:
    hint = f"see whether the machine and its sshd are up: `ssh -v -p {port} {hostname} true`."
    return Unreachable(f"{how} {hostname}:{port}", details=details, hint=hint, host=host)


Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]


class _Race:
    """Attempts that start one after another and run side by side; the first that succeeds wins."""

    def __init__(self, found: Sequence[AddressInfo], *, timeout: float) -> None:
        self._waiting = _alternating(found)
        self._until = time.monotonic() + timeout
        self._started: dict[socket.socket, float] = {}
        self._failure: OSError = TimeoutError()

    def run(self) -> tuple[socket.socket, float]:
        try:
            return self._run()
        finally:
            for loser in self._started:
                loser.close()

    def _run(self) -> tuple[socket.socket, float]:
        with selectors.DefaultSelector() as selector:
            more = self._start_next(selector)
            while more or self._started:
                left = self._until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                ready = selector.select(min(left, NEXT_ADDRESS_SECONDS) if more else left)
                for key, _ in ready:
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    selector.unregister(sock)
                    started = self._started.pop(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        sock.setblocking(True)
                        return sock, time.monotonic() - started
                    sock.close()
                    self._failure = OSError(code, os.strerror(code))
                if more:
                    more = self._start_next(selector)
        raise self._failure

    def _start_next(self, selector: selectors.BaseSelector) -> bool:
        for family, kind, protocol, _, address in self._waiting:
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as exc:  # a family that this machine does not speak
                self._failure = exc
                continue
            sock.setblocking(False)
            self._started[sock] = time.monotonic()
            sock.connect_ex(address)  # the outcome, also an immediate one, shows in SO_ERROR
            selector.register(sock, selectors.EVENT_WRITE)
            return True
        return False


def _alternating(found: Sequence[AddressInfo]) -> Iterator[AddressInfo]:
    first = found[0][0]
    one = [info for info in found if info[0] == first]
    other = [info for info in found if info[0] != first]
    return (info for info in chain.from_iterable(zip_longest(one, other)) if info is not None)


def _prepare(sock: socket.socket) -> None:
    """Send at once, and notice within half a minute that a peer vanished without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", DEAD_PEER_SECONDS // 2),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", DEAD_PEER_SECONDS * 1000),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
