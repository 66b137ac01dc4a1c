"""Moments as they are written down. Always in seconds since the epoch, always told in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(seconds: float) -> str:
    """Return a moment as ISO time, e.g. ``2026-11-22T03:15:01Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(seconds: float) -> str:
    """Return a moment as it stands in names, e.g. ``20261122T031501Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
