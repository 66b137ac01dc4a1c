"""Ctrl-C: once stops at the next safe point and puts the hosts back, twice leaves at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollback_tasks.errors import StepFailed


class Interrupted(StepFailed):
    """The operator asked to stop; what was done is undone."""

    def __init__(self, host: str = "") -> None:
        super().__init__("interrupted by the operator", host=host)


class Interruption:
    """A wish to stop, shared by the threads of all hosts."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._guard = threading.Lock()
        self._cuts: list[Callable[[], None]] = []

    @property
    def is_requested(self) -> bool:
        """True once somebody asked to stop."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask to stop. What may be cut at once is cut, each in a thread of its own; the caller never waits."""
        with self._guard:
            self._requested.set()
            cuts, self._cuts = self._cuts, []
        for cut in cuts:
            threading.Thread(target=cut, name="cut", daemon=True).start()

    def check(self) -> None:
        """Raise Interrupted where somebody asked to stop."""
        if self.is_requested:
            raise Interrupted

    @contextmanager
    def may_cut(self, cut: Callable[[], None]) -> Iterator[None]:
        """While inside, a request calls ``cut``, which ends what is under way.

        :raises Interrupted: the request came before.
        """
        with self._guard:
            is_late = self.is_requested
            if not is_late:
                self._cuts.append(cut)
        if is_late:
            raise Interrupted
        try:
            yield
        finally:
            with self._guard:
                if cut in self._cuts:
                    self._cuts.remove(cut)
