"""A deployment host behind SSH, as ``ports.Host``."""

from __future__ import annotations

import copy
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import paramiko

from rollback_tasks.errors import CommandFailed, CommandTimedOut, StepFailed
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command, Effect, script
from rollback_tasks.transport import http, tunnel
from rollback_tasks.transport.channel import BROKEN, OPEN_SECONDS, ChannelProcess, not_started, window_bytes
from rollback_tasks.transport.conversation import Conversation
from rollback_tasks.transport.protocol import StrictTransport
from rollback_tasks.transport.shield import shielded

_PROHIBITED = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, RFC 4254 section 5.1

# For hosts whose sshd forwards nothing. $1 URL, $2 seconds. The last lines are the status and where a redirect leads.
_FETCH = """\
if command -v curl >/dev/null 2>&1; then
  exec curl -sS -k --max-time "$2" --max-filesize 1048576 -w '\\n%{http_code}\\n%{redirect_url}' -- "$1"
elif command -v wget >/dev/null 2>&1; then
  headers=$(wget -S -O /dev/null --no-check-certificate -T "$2" -t 1 --max-redirect=0 -- "$1" 2>&1)
  said() { printf '%s\\n' "$headers" | sed -n "s|^ *$1|\\\\1|p" | tail -n 1; }
  printf '\\n%s\\n%s' "$(said 'HTTP/[0-9.]* \\([0-9][0-9][0-9]\\).*')" "$(said '[Ll]ocation: *\\([^ ]*\\).*')"
else
  echo 'sshd forwards nothing, and the host has neither curl nor wget' >&2
  exit 127
fi
"""


class ForwardingRefused(Exception):
    """The host's sshd forwards nothing; never leaves ``transport``."""


class Forward:
    """A forwarded connection (``tunnel.Stream``): paramiko's channel with the errors of a socket."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def recv(self, size: int) -> bytes:
        """See ``tunnel.Stream``."""
        with _as_os_error():
            return self._channel.recv(size)

    def sendall(self, data: bytes) -> None:
        """See ``tunnel.Stream``."""
        with _as_os_error():
            self._channel.sendall(data)

    def shutdown(self, how: int) -> None:
        """See ``tunnel.Stream``."""
        with _as_os_error():
            self._channel.shutdown(how)

    def close(self) -> None:
        """See ``tunnel.Stream``."""
        with _as_os_error():
            self._channel.close()


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (paramiko.SSHException, EOFError) as exc:
        raise OSError(str(exc) or "the connection broke") from exc


class SshHost:
    """One open connection. It is never opened again by itself: after a loss the state of the host is unknown.

    Ending a command ends its processes on the host; what runs inside a container goes on where only its client
    was ended.

    :param name: the host's name in the inventory.
    :param round_trip: seconds that a packet takes there and back.
    :param close: ends the connection and those of its jump hosts.
    """

    def __init__(self, name: str, transport: StrictTransport, *, round_trip: float, close: Callable[[], None]) -> None:
        self._name = name
        self._transport = transport
        self._window = window_bytes(round_trip)
        self._close = close
        self._is_closed = False
        self._guard = threading.Lock()
        self._under_way = 0

    @property
    def name(self) -> str:
        """See ``ports.Host``."""
        return self._name

    @property
    def is_connected(self) -> bool:
        """False once the connection was closed or lost."""
        return not self._is_closed and self._transport.is_active()

    @property
    def is_busy(self) -> bool:
        """True while something is under way, in whichever thread."""
        return self._under_way > 0

    def answers(self, timeout: float) -> bool:
        """True where the other end gives a sign of life within ``timeout`` seconds."""
        return self.is_connected and self._transport.ping(timeout)

    def lent(self, give_back: Callable[[SshHost], None]) -> SshHost:
        """Return the same connection as a host of its own: closing that one calls ``give_back`` with it, once."""
        other = copy.copy(self)
        other._guard, other._under_way = threading.Lock(), 0
        other._close = lambda: give_back(other)
        return other

    def run(self, command: Command) -> Completed:
        """See ``ports.Host``."""
        with self._working():
            return Conversation(self._name, command, self._start).run()

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        """See ``ports.Host``."""
        with self._working():
            return Conversation(self._name, command, self._start).pull(sink)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """See ``ports.Host``."""
        with self._working():
            return Conversation(self._name, command, self._start).push(source)

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._guard:
            self._under_way += 1
        try:
            yield
        finally:
            with self._guard:
                self._under_way -= 1

    def _start(self, line: str, deadline: float) -> ChannelProcess:
        if not self.is_connected:
            raise not_started(self._name, "")
        return ChannelProcess(self._transport, line, deadline=deadline, window=self._window, host=self._name)

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        """See ``ports.Host``. The host needs no curl, unless its sshd forbids forwarding."""
        with self._working():
            return http.follow(url, lambda each: self._ask(each, timeout))

    def _ask(self, url: str, timeout: float) -> HttpAnswer:
        bridges: list[tunnel.Bridge] = []

        def dial(address: str, port: int, seconds: float) -> socket.socket:
            try:
                channel = self._open_forward(address, port, timeout=seconds)
            except StepFailed as exc:
                raise http.NoAnswer(exc.brief) from exc
            ours, theirs = socket.socketpair()
            bridges.append(tunnel.Bridge(theirs, channel))
            return ours

        try:
            answer = http.get(url, timeout=timeout, dial=dial)
        except ForwardingRefused:
            answer = self._fetch(url, timeout)
        finally:
            for bridge in bridges:
                bridge.close()
        if answer.status == 0 and not self.is_connected:
            raise not_started(self._name, answer.problem)
        return answer

    def _fetch(self, url: str, timeout: float) -> HttpAnswer:
        command = script(_FETCH, url, f"{timeout:g}", effect=Effect.READ, timeout=timeout + 2)
        try:
            rest, _, location = self.run(command).stdout.rpartition(b"\n")
        except CommandFailed as exc:
            return HttpAnswer(0, problem=exc.stderr.strip() or exc.brief)
        except CommandTimedOut as exc:
            return HttpAnswer(0, problem=exc.brief)
        body, _, status = rest.rpartition(b"\n")
        if not status.isdigit() or int(status) == 0:
            return HttpAnswer(0, problem="no answer")
        return HttpAnswer(int(status), body, location=location.decode("utf-8", "replace").strip())

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        """See ``ports.Host``.

        :raises StepFailed: nothing listens there, or the host's sshd forbids forwarding.
        """

        def dial() -> Forward:
            try:
                return self._open_forward(address, port, timeout=OPEN_SECONDS)
            except ForwardingRefused as exc:
                raise StepFailed(
                    "the host's sshd forbids forwarding",
                    details=f"{address}:{port} cannot be reached from here without it",
                    hint="set `AllowTcpForwarding local` in the host's sshd_config.",
                    host=self._name,
                ) from exc

        return tunnel.unix_socket(dial)

    def _open_forward(self, address: str, port: int, *, timeout: float) -> Forward:
        if not self.is_connected:
            raise not_started(self._name, "")
        try:
            channel = shielded(
                lambda: self._transport.open_channel(
                    "direct-tcpip", (address, port), ("127.0.0.1", 0), window_size=self._window, timeout=timeout
                )
            )
        except paramiko.ChannelException as exc:
            if exc.code == _PROHIBITED:
                raise ForwardingRefused from exc
            raise StepFailed(f"nothing answers at {address}:{port}", details=str(exc), host=self._name) from exc
        except BROKEN as exc:
            if not self.is_connected:
                raise not_started(self._name, str(exc)) from exc
            raise StepFailed(f"no answer from {address}:{port}", details=str(exc), host=self._name) from exc
        channel.settimeout(None)
        return Forward(channel)

    def close(self) -> None:
        """See ``ports.Host``."""
        if not self._is_closed:
            self._is_closed = True
            self._close()
