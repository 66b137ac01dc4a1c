"""How long a lost host is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rollback_tasks.errors import ConnectionLost, Unreachable
from rollback_tasks.execution.reconnection import Reconnection
from rollback_tasks.model import events
from rollback_tasks.ports import Host
from tests.fakes import FakeClock, KeptEvents

LEASE = 20.0


@dataclass
class Away:
    """A host that answers from a moment on."""

    clock: FakeClock
    until: float
    host: Host = field(default_factory=object)  # type: ignore[assignment]
    tries: int = 0

    def __call__(self) -> Host:
        self.tries += 1
        if self.clock.monotonic() < self.until:
            raise Unreachable("no route to host", host="prod1")
        return self.host


def made(seconds: float) -> tuple[Reconnection, Away, FakeClock, KeptEvents]:
    clock, sink = FakeClock(), KeptEvents()
    away = Away(clock, clock.monotonic() + seconds)
    return Reconnection(name="prod1", dial=away, clock=clock, sink=sink, lease=LEASE), away, clock, sink


@pytest.mark.parametrize("seconds", [0.0, 0.5, LEASE, LEASE + 30])
def test_a_host_is_waited_for_beyond_what_its_guard_waits(seconds: float) -> None:
    reconnect, away, clock, sink = made(seconds)
    begun = clock.monotonic()
    assert reconnect() is away.host
    assert seconds <= clock.monotonic() - begun <= seconds + 1
    said = [event.text for event in sink.events if isinstance(event, events.Note)]
    assert len(said) == (1 if seconds else 0)
    assert all("50 s" in text and "20 s" in text for text in said)


def test_a_host_that_stays_away_is_waited_for_once_and_then_only_tried() -> None:
    reconnect, away, clock, sink = made(1000)
    begun = clock.monotonic()
    with pytest.raises(ConnectionLost, match="does not come back"):
        reconnect()
    assert LEASE + 30 <= clock.monotonic() - begun <= LEASE + 31
    tries, told, later = away.tries, len(sink.events), clock.monotonic()
    with pytest.raises(ConnectionLost):
        reconnect()
    assert (away.tries, len(sink.events), clock.monotonic()) == (tries + 1, told, later)


def test_a_host_that_came_back_is_waited_for_again() -> None:
    reconnect, away, clock, _ = made(1000)
    with pytest.raises(ConnectionLost):
        reconnect()
    away.until = clock.monotonic()
    assert reconnect() is away.host
    away.until = clock.monotonic() + 5
    assert reconnect() is away.host
