"""A sign of life for the guard on the host, beside whatever else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from rollback_tasks.errors import CommandFailed, RollbackError
from rollback_tasks.execution.journal import FENCED, Lead
from rollback_tasks.ports import Host

# Four beats fit into a lease, so that a lost packet or a slow moment does not end it.
_BEATS = 4
# The stream is opened anew after that long; a command without any end could be left behind.
_LONGEST = 6 * 3600.0


class Heartbeat:
    """Renews the lease of a run over its own channel until it is stopped or the connection is lost.

    Losing it is no failure by itself: the lease then runs out, and whoever leads the run learns that from the
    host when it begins its next step.

    :ivar is_refused: True once the host said that somebody else decided, or leads the run.
    """

    def __init__(self, host: Host, lead: Lead) -> None:
        self._host = host
        self._lead = lead
        self._stopped = threading.Event()
        self.is_refused = False
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {host.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; returns when nothing more is renewed."""
        self._stopped.set()
        self._thread.join(timeout=self._lead.lease)

    def _beat(self) -> None:
        try:
            while not self._stopped.is_set():
                self._host.push(self._lead.renewing(timeout=_LONGEST), self._beats())
        except RollbackError as error:
            self.is_refused = isinstance(error, CommandFailed) and error.exit_code_seen == FENCED
            self._stopped.set()

    def _beats(self) -> Iterator[bytes]:
        left = _LONGEST / 2
        pause = self._lead.lease / _BEATS
        while left > 0 and not self._stopped.wait(pause):
            left -= pause
            yield b"\n"


class Pulse:
    """The heartbeats of one run: one for each host that it has a folder on."""

    def __init__(self) -> None:
        self._beating: list[Heartbeat] = []

    @property
    def is_refused(self) -> bool:
        """True once one of the hosts said that somebody else decided, or leads the run."""
        return any(heartbeat.is_refused for heartbeat in self._beating)

    def start(self, host: Host, leads: Iterable[Lead]) -> None:
        """Give signs of life over a connection, until it is stopped."""
        self._beating = [Heartbeat(host, lead) for lead in leads]

    def stop(self) -> None:
        """End all; returns when nothing more is renewed."""
        for heartbeat in self._beating:
            heartbeat.stop()
        self._beating = []
