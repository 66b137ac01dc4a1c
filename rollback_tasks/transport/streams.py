"""What a program prints, freed of what the login shell and our own wrapper add to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from rollback_tasks.errors import StepFailed

STDERR_TAIL_BYTES = 64 * 1024
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024
NOISE_LIMIT_BYTES = 1024 * 1024


class StderrTail:
    """Keeps the end of standard error and finds the process group that the wrapper prints there.

    Fed by one thread, waited for by another.
    """

    def __init__(self, marker: str) -> None:
        self._line = re.compile(rb"(?:^|(?<=\n))" + re.escape(marker.encode()) + rb" (\d+)\n")
        self._kept = bytearray()
        self._settled = threading.Event()
        self._group: int | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._kept += piece
        if self._group is None:
            found = self._line.search(self._kept)
            if found is not None:
                self._group = int(found.group(1))
                del self._kept[found.start() : found.end()]
                self._settled.set()
        if len(self._kept) > 2 * STDERR_TAIL_BYTES:
            del self._kept[:-STDERR_TAIL_BYTES]

    def end(self) -> None:
        """Say that nothing more comes."""
        self._settled.set()

    def group(self, *, timeout: float) -> int | None:
        """Return the process group; None where it is not known within ``timeout`` seconds."""
        self._settled.wait(timeout)
        return self._group

    @property
    def tail(self) -> bytes:
        """The last 64 KiB, without the wrapper's line."""
        return bytes(self._kept[-STDERR_TAIL_BYTES:])


class OutputGate:
    """Hands standard output on from the wrapper's marker line onwards.

    What stands before it comes from the login shell's start files: bash reads ~/.bashrc under sshd even for
    a single command, and one ``echo`` in it would spoil a dump.
    """

    def __init__(self, marker: str, sink: Callable[[bytes], object]) -> None:
        self._marker = marker.encode() + b"\n"
        self._sink = sink
        self._noise = bytearray()
        self.is_open = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        :raises StepFailed: the login shell prints without end.
        """
        if self.is_open:
            self._sink(piece)
            return
        self._noise += piece
        at = self._noise.find(self._marker)
        if at >= 0:
            self.is_open = True
            rest = bytes(self._noise[at + len(self._marker) :])
            self._noise.clear()
            if rest:
                self._sink(rest)
        elif len(self._noise) > NOISE_LIMIT_BYTES:
            raise StepFailed("the login shell prints without end before a command starts")

    @property
    def noise(self) -> bytes:
        """What came while the command had not started; empty once it has."""
        return bytes(self._noise[-STDERR_TAIL_BYTES:])


class Collected:
    """A sink that keeps everything, up to a limit."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def __call__(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > OUTPUT_LIMIT_BYTES:
            raise StepFailed(
                f"the command printed more than {OUTPUT_LIMIT_BYTES >> 20} MiB",
                details="it was ended on the host; output of this size has to be streamed to a file",
            )
        self._pieces.append(piece)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)
