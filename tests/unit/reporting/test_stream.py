"""A stream that fails ends no run."""

from __future__ import annotations

import io
import os

import pytest

from rollback_tasks.reporting.stream import SturdyStream


def test_no_stream_at_all_takes_everything() -> None:
    stream = SturdyStream(None)
    stream.flush()
    assert (stream.write("text"), stream.isatty(), stream.encoding) == (4, False, "utf-8")
    with pytest.raises(OSError, match="closed"):
        stream.fileno()


def test_a_closed_stream_takes_everything() -> None:
    below = io.StringIO()
    below.close()
    stream = SturdyStream(below)
    assert (stream.isatty(), stream.write("text")) == (False, 4)
    stream.flush()


def test_a_pipe_that_nobody_reads_takes_everything() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    below = os.fdopen(writer, "w")
    stream = SturdyStream(below)
    stream.write("text")
    stream.flush()
    stream.write("more")
    stream.flush()
    with pytest.raises(BrokenPipeError):
        below.close()


def test_a_character_that_the_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    stream = SturdyStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("Köln \udc80\n")
    stream.flush()
    assert raw.getvalue() == b"K\\xf6ln \\udc80\n"


def test_it_is_a_terminal_where_the_stream_is_one() -> None:
    leader, follower = os.openpty()
    try:
        with os.fdopen(follower, "w") as below:
            assert (SturdyStream(below).isatty(), SturdyStream(below).fileno()) == (True, below.fileno())
    finally:
        os.close(leader)
