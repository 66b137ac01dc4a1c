"""A standard stream that never fails: progress is not worth a run."""

from __future__ import annotations

from typing import TextIO


class SturdyStream:
    """Wraps a text stream. A reader that went away, a closed file or a character that the encoding lacks
    ends no run: what cannot be written is dropped or written as an escape.

    Rich ends the whole program when a pipe breaks; behind this wrapper it never sees that.

    :param stream: None where the process has no such stream.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The encoding that text is written in."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written; return the length of ``text`` in any case."""
        if self._stream is not None:
            safe = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            try:
                self._stream.write(safe)
            except (OSError, ValueError):
                self._stream = None
        return len(text)

    def flush(self) -> None:
        """Hand over what is buffered."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        """True where somebody reads along on a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The descriptor below, for asking a terminal's size.

        :raises OSError: there is none.
        """
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()
