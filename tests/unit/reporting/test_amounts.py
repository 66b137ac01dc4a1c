"""Sizes and times as people read them."""

from __future__ import annotations

import pytest

from rollback_tasks.reporting.amounts import count, duration, short_commit, short_image, size


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (-0.001, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (203.4, "3 min 23 s"),
        (3599.6, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**4, "3.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_sizes(amount: int | None, expected: str) -> None:
    assert size(amount) == expected


def test_counts_and_short_names() -> None:
    assert [count(n, "host") for n in (0, 1, 2)] == ["0 hosts", "1 host", "2 hosts"]
    assert short_commit("3f2a1bc" + "0" * 33) == "3f2a1bc"
    assert short_image("sha256:" + "a1b2c3d4e5f6" + "0" * 52) == "a1b2c3d4e5f6"
