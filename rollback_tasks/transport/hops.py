"""Jump hosts that the hosts of a fleet share."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollback_tasks.errors import RollbackError

# A jump host that says nothing for so long, when asked for a sign of life, is gone.
SILENT_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Link:
    """An open connection.

    :param connection: a fabric.Connection, which is not typed.
    :param round_trip: seconds.
    """

    connection: Any
    round_trip: float


class Hops:
    """One connection to each jump host, opened once.

    A connection for every target would run into the jump host's ``MaxStartups``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doors: dict[tuple[str, ...], threading.Lock] = {}
        self._links: dict[tuple[str, ...], Link] = {}
        self._failures: dict[tuple[str, ...], tuple[int, RollbackError]] = {}
        self._silent: list[Link] = []

    def get(self, key: tuple[str, ...], open_link: Callable[[], Link], *, host: str) -> Link:
        """Return the open connection of ``key``; the first who asks opens it, the others wait, and get the same error
        where it cannot be opened: a jump host that is down must not cost each of them its own time limit.

        :param host: the inventory's name of the host that it is wanted for.
        """
        with self._lock:
            door = self._doors.setdefault(key, threading.Lock())
            seen = self._failure(key)[0]
        with door:
            with self._lock:
                count, error = self._failure(key)
                link = self._links.get(key)
            if error is not None and count != seen:
                mine = copy.copy(error)
                mine.host = host
                raise mine from error
            if link is not None and link.connection.is_connected:
                return link
            try:
                link = open_link()
            except RollbackError as failed:
                with self._lock:
                    self._failures[key] = (count + 1, failed)
                raise
            with self._lock:
                self._links[key] = link
            return link

    def _failure(self, key: tuple[str, ...]) -> tuple[int, RollbackError | None]:
        return self._failures.get(key, (0, None))

    def is_alive(self, link: Link) -> bool:
        """True where a jump host still answers. One that does not is not given to anybody again; those that go
        through it keep it, as it may only be slow."""
        if link.connection.transport.ping(SILENT_SECONDS):
            return True
        with self._lock:
            for key in [key for key, each in self._links.items() if each is link]:
                self._silent.append(self._links.pop(key))
        return False

    def close(self) -> None:
        """End them all, the last hop first."""
        with self._lock:
            links, self._links = [*self._silent, *self._links.values()], {}
            self._silent = []
        for link in reversed(links):
            link.connection.close()
