"""A lost connection is made again, and waited for once only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollback_tasks.errors import ConnectionLost, Unreachable
from rollback_tasks.model import events
from rollback_tasks.ports import Clock, EventSink, Host

_RETRY = 1.0
# Beyond the guard's lease: a host that comes back by then still tells how the run went on without us.
_BEYOND = 30.0


@dataclass(slots=True, kw_only=True)
class Reconnection:
    """Connects to one host again.

    :param dial: makes a connection; raises Unreachable.
    :param lease: seconds that the guard on the host waits for a sign of life.
    """

    name: str
    dial: Callable[[], Host]
    clock: Clock
    sink: EventSink
    lease: float
    _is_given_up: bool = False

    def __call__(self) -> Host:
        """Return a new connection, tried for as long as the guard waits and half a minute more.

        A host that did not come back in that time is tried once, when it is asked for again.

        :raises ConnectionLost: none came.
        """
        patience = 0.0 if self._is_given_up else self.lease + _BEYOND
        deadline = self.clock.monotonic() + patience
        is_told = self._is_given_up
        while True:
            try:
                made = self.dial()
            except Unreachable as error:
                if self.clock.monotonic() >= deadline:
                    self._is_given_up = True
                    raise ConnectionLost(
                        "the connection is gone and does not come back", details=str(error), host=self.name
                    ) from error
                if not is_told:
                    self.sink.emit(events.Note(self.name, self._waiting(patience)))
                    is_told = True
            else:
                self._is_given_up = False
                return made
            self.clock.sleep(_RETRY)

    def _waiting(self, patience: float) -> str:
        return (
            f"no way to it now; tried for up to {patience:g} s. Without a sign of life its guard undoes the run "
            f"after {self.lease:g} s"
        )
