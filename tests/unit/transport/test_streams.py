"""Markers, tails and limits in what a program prints."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.errors import StepFailed
from rollback_tasks.transport import streams
from rollback_tasks.transport.streams import Collected, OutputGate, StderrTail

MARKER = "rollback-0123456789abcdef"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(ends)]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(CUTS)
def test_output_begins_behind_the_marker_however_it_is_cut(places: list[int]) -> None:
    taken: list[bytes] = []
    gate = OutputGate(MARKER, taken.append)
    for piece in cut(b"Welcome!\n" + MARKER.encode() + b"\nfirst\n" + MARKER.encode() + b"\n", places):
        gate.feed(piece)
    assert (b"".join(taken), gate.is_open, gate.noise) == (b"first\n" + MARKER.encode() + b"\n", True, b"")


def test_output_without_a_marker_is_kept_as_noise() -> None:
    gate = OutputGate(MARKER, lambda piece: pytest.fail("nothing may pass"))
    gate.feed(b"This account is closed.\n")
    assert (gate.is_open, gate.noise) == (False, b"This account is closed.\n")


def test_a_shell_that_prints_without_end_is_an_error() -> None:
    gate = OutputGate(MARKER, lambda piece: None)
    with pytest.raises(StepFailed, match="prints without end"):
        gate.feed(b"x" * (streams.NOISE_LIMIT_BYTES + 1))


@given(CUTS)
def test_the_process_group_is_found_and_its_line_taken_out(places: list[int]) -> None:
    tail = StderrTail(MARKER)
    for piece in cut(f"motd\n{MARKER} 4711\nreal error\n".encode(), places):
        tail.feed(piece)
    assert (tail.group(timeout=0), tail.tail) == (4711, b"motd\nreal error\n")


@pytest.mark.parametrize("line", [f"x{MARKER} 1\n", f"{MARKER}\n", f"{MARKER} 1 2\n", f"{MARKER} x\n", f"{MARKER} 1"])
def test_only_the_wrapper_s_whole_line_names_a_group(line: str) -> None:
    tail = StderrTail(MARKER)
    tail.feed(line.encode())
    tail.end()
    assert (tail.group(timeout=0), tail.tail) == (None, line.encode())


@given(st.lists(st.binary(max_size=50_000), max_size=8))
def test_the_tail_is_the_end_of_all_that_came(pieces: list[bytes]) -> None:
    tail = StderrTail(MARKER)
    for piece in pieces:
        tail.feed(piece)
    assert tail.tail == b"".join(pieces)[-streams.STDERR_TAIL_BYTES :]


def test_collected_output_has_a_limit() -> None:
    collected = Collected()
    collected(b"x" * streams.OUTPUT_LIMIT_BYTES)
    with pytest.raises(StepFailed, match="more than 64 MiB"):
        collected(b"x")
