"""Connections that the tasks of one command line hand on to each other: a chain dials each host once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rollback_tasks.transport.connect import SshTarget
from rollback_tasks.transport.ssh import SshHost

# A connection that was lost in a gap between two tasks is not to be taken for one that breaks in the second.
_SILENT_SECONDS = 5.0


class Kept:
    """Open connections that nobody uses at the moment.

    What a task closes is kept, unless it broke or something is still under way on it; whoever connects to the same
    target next gets it, if the host still answers on it. Two tasks never have one at the same time.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._idle: dict[SshTarget, list[SshHost]] = {}
        self._is_over = False

    def get(self, target: SshTarget, connect: Callable[[SshTarget], SshHost]) -> SshHost:
        """Return a connection to a target: one that was kept, else a new one.

        :param connect: opens one; what it raises is passed on.
        """
        while (host := self._taken(target)) is not None:
            if host.answers(_SILENT_SECONDS):
                break
            host.close()
        else:
            host = connect(target)
        kept = host
        return kept.lent(lambda used: self._give_back(target, kept, is_idle=not used.is_busy))

    def _taken(self, target: SshTarget) -> SshHost | None:
        with self._guard:
            idle = self._idle.get(target)
            return idle.pop() if idle else None

    def _give_back(self, target: SshTarget, host: SshHost, *, is_idle: bool) -> None:
        with self._guard:
            if host.is_connected and is_idle and not self._is_over:
                self._idle.setdefault(target, []).append(host)
                return
        host.close()

    def close(self) -> None:
        """End every connection that is not in use; those that are in use end when they are given back."""
        with self._guard:
            self._is_over = True
            hosts = [host for idle in self._idle.values() for host in idle]
            self._idle = {}
        for host in hosts:
            host.close()
