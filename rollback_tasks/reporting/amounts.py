"""Sizes and times as people read them."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """Given seconds, return ``0.8 s``, ``42 s``, ``3 min 20 s`` or ``1 h 05 min``; ``-`` for None."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(size_bytes: int | None) -> str:
    """Given bytes, return ``512 B``, ``1.5 MiB`` and so on; ``-`` for None."""
    if size_bytes is None:
        return "-"
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1023.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def count(number: int, noun: str) -> str:
    """Given 1 or 2 and ``host``, return ``1 host`` or ``2 hosts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_commit(commit: str) -> str:
    """Given 40 hex digits, return the 7 that people use."""
    return commit[:7]


def short_image(image: str) -> str:
    """Given ``sha256:...``, return the 12 digits that ``docker images`` shows."""
    return image.removeprefix("sha256:")[:12]
