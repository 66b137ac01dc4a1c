"""paramiko's SSH transport with the choices and repairs that this tool needs."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
)

# Without a handler logging prints paramiko's tracebacks on stderr; every failure reaches the caller as an exception.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

# paramiko dead-locks when a channel closes while it exchanges new keys, which it starts every 512 MiB: its reading
# thread then waits for itself, and a transfer that had ended well fails after 30 seconds. 2^36 bytes (64 GiB) are 2^32
# blocks of AES, the limit that OpenSSH itself keeps and RFC 4344 section 3.2 allows.
REKEY_BYTES = 2**36

# Messages that belong to one open channel, whose number at the other end stands behind the kind.
_OF_A_CHANNEL = frozenset(
    {
        MSG_CHANNEL_WINDOW_ADJUST,
        MSG_CHANNEL_DATA,
        MSG_CHANNEL_EXTENDED_DATA,
        MSG_CHANNEL_EOF,
        MSG_CHANNEL_CLOSE,
        MSG_CHANNEL_REQUEST,
    }
)

# What types-paramiko leaves out: its own parts, which only the mends below touch. Paramiko is pinned below 6, and
# tests/ssh meets each of them on a real sshd.
_CHANNEL: Any = paramiko.Channel
_TRANSPORT: Any = paramiko.Transport

_KEY_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


class HandshakeTimedOut(paramiko.SSHException):
    """The other end did not finish the key exchange in time."""


def _note_exit_signal(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Turn ``exit-signal`` (RFC 4254 section 6.10) into the exit code that a shell would give; paramiko drops it."""
    position = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        name = message.get_text()
        number = getattr(signal, f"SIG{name}", None)
        channel.exit_status = 128 + (int(number) if isinstance(number, signal.Signals) else 127)
        channel.status_event.set()
        return
    message.packet.seek(position)
    _CHANNEL._handle_request(channel, message)


class StrictTransport(paramiko.Transport):
    """A client's side of one SSH connection."""

    # aes128-gcm needs half the CPU of paramiko's own first choice; ciphers with 64-bit blocks or CBC are left out.
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    _handler_table: dict[int, Callable[..., Any]]
    _channel_handler_table: ClassVar[dict[int, Callable[..., Any]]] = {
        **_TRANSPORT._channel_handler_table,
        MSG_CHANNEL_REQUEST: _note_exit_signal,
    }

    def __init__(self, sock: Any, *, known_types: Iterable[str] = (), disabled_algorithms: Any = None) -> None:
        super().__init__(sock, disabled_algorithms=disabled_algorithms)
        self.packetizer.REKEY_BYTES = REKEY_BYTES
        self._ping_lock = threading.Lock()
        self._closed_channels: set[int] = set()
        self._handler_table[MSG_CHANNEL_OPEN_SUCCESS] = self._note_opened
        # A host has several keys: ask for one that is known.
        wanted = [name for kind in known_types for name in _KEY_ALGORITHMS.get(kind, (kind,))]
        able: tuple[str, ...] = _TRANSPORT._preferred_keys
        self._preferred_keys: tuple[str, ...] = tuple(dict.fromkeys(name for name in (*wanted, *able) if name in able))

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Plain host keys only: certificates could not be checked."""
        return self._preferred_keys

    def start_client(self, event: threading.Event | None = None, timeout: float | None = None) -> None:
        """See paramiko, which goes on without keys when the time is over.

        :raises HandshakeTimedOut: the time is over.
        """
        super().start_client(event=event, timeout=timeout)
        if not self.initial_kex_done:
            raise HandshakeTimedOut("the key exchange took too long")

    def start_command(self, channel: paramiko.Channel, line: str) -> None:
        """Send ``line`` for the login shell without waiting for the host's consent: it shows in the channel, and
        ``Channel.exec_command`` would wait for it without a time limit."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(line)
        _CHANNEL._event_pending(channel)
        _TRANSPORT._send_user_message(self, message)

    def _note_opened(self, message: paramiko.Message) -> None:
        """The other end uses the numbers of closed channels again."""
        position = message.packet.tell()
        message.get_int()
        self._closed_channels.discard(message.get_int())
        message.packet.seek(position)
        _TRANSPORT._parse_channel_open_success(self, message)

    def _send_message(self, message: paramiko.Message) -> None:
        """Send one message, unless its channel was closed by this side before.

        paramiko makes messages under a channel's lock and sends them outside of it, so that one thread's data or
        end-of-file can come behind another's close; sshd then ends the whole connection ("ieof packet referred to
        nonexistent channel", RFC 4254 section 5.3). Messages of channels come here one at a time.
        """
        packet = message.asbytes()
        if packet[0] in _OF_A_CHANNEL:
            number = int.from_bytes(packet[1:5], "big")
            if number in self._closed_channels:
                return
            if packet[0] == MSG_CHANNEL_CLOSE:
                self._closed_channels.add(number)
        _TRANSPORT._send_message(self, message)

    def ping(self, timeout: float) -> bool:
        """Ask the server for a sign of life, as ``ServerAliveInterval`` does.

        :param timeout: seconds to wait for any answer.
        """
        with self._ping_lock:
            answered = self.completion_event = threading.Event()
            message = paramiko.Message()
            message.add_byte(cMSG_GLOBAL_REQUEST)
            message.add_string("keepalive@openssh.com")
            message.add_boolean(True)
            try:
                _TRANSPORT._send_user_message(self, message)
            except (paramiko.SSHException, EOFError, OSError):
                return False
            return answered.wait(timeout) and self.is_active()
