"""Hosts that share a database go on together, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from rollback_tasks.errors import StepFailed

_LOOK_EVERY = 0.5


class Meeting:
    """Points at which every member has to arrive before any goes on.

    :param members: inventory names.
    """

    def __init__(self, members: Iterable[str]) -> None:
        self._members = frozenset(members)
        self._changed = threading.Condition()
        self._arrived: dict[str, set[str]] = {}
        self._failed = ""

    def arrive(self, point: str, name: str, check: Callable[[], None]) -> None:
        """Wait at ``point`` until all members are there.

        :param check: called while waiting; it raises where somebody asked to stop.
        :raises StepFailed: another member failed, so nobody goes on.
        """
        with self._changed:
            self._arrived.setdefault(point, set()).add(name)
            self._changed.notify_all()
            while self._arrived[point] != self._members:
                check()
                if self._failed:
                    raise StepFailed(f"{self._failed} failed, and it shares the database with this host", host=name)
                self._changed.wait(_LOOK_EVERY)

    def fail(self, name: str) -> None:
        """Let nobody go on: this member failed. The first one that says so is named."""
        with self._changed:
            self._failed = self._failed or name
            self._changed.notify_all()
