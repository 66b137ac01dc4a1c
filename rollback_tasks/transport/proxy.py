"""A connection through a program of this machine, as ``ProxyCommand`` of ssh_config asks for it."""

from __future__ import annotations

import socket
import subprocess

END_SECONDS = 1.0


class ProxyWire:
    """The program's standard input and output as one end of a socket (a ``dial.Wire``).

    Not ``paramiko.ProxyCommand``: that polls, and leaves the program and its pipes behind.

    :param line: shell code from the user's own ssh_config, run as ``ssh`` runs it.
    """

    def __init__(self, line: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {line}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C must leave us the connection to clean up through
            )

    def recv(self, size: int) -> bytes:
        """See ``dial.Wire``."""
        return self._socket.recv(size)

    def send(self, data: bytes) -> int:
        """See ``dial.Wire``."""
        return self._socket.send(data)

    def settimeout(self, seconds: float | None) -> None:
        """See ``dial.Wire``."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """End the program."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
