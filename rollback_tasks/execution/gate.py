"""The health gate: conditions, not naps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from rollback_tasks.errors import CommandFailed, StepFailed
from rollback_tasks.model.plan import Gate
from rollback_tasks.ports import Clock, Host, HttpAnswer

_WATCH_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Passed:
    """When the first good answer of the lasting series came, by the monotonic clock."""

    first_good: float


def _go_on() -> None:
    """Nobody asks to stop."""


def pass_gate(gate: Gate, host: Host, clock: Clock, check: Callable[[], None] = _go_on) -> Passed:
    """Ask until the application is healthy and stays so through the soak.

    :param check: called between two questions; it raises where somebody asked to stop.
    :raises StepFailed: it did not become healthy in time, did not stay so, or its containers keep dying.
    """
    deadline = clock.monotonic() + gate.timeout
    next_watch = clock.monotonic() + _WATCH_EVERY
    good_since: float | None = None
    last = HttpAnswer(0, problem="it was not asked yet")
    while True:
        check()
        asked = clock.monotonic()
        last = _ask(gate, host)
        now = clock.monotonic()
        if last.is_ok:
            good_since = good_since if good_since is not None else now
            if now - good_since >= gate.soak:
                _watch(gate, host)
                return Passed(good_since)
        else:
            good_since = None
            if gate.is_strict and last.status:
                early = f"it answers before it is ready, which clients would get to see: {describe(last)}"
                raise StepFailed(early, host=host.name)
            if now >= deadline:
                late = f"{gate.url} was not healthy within {gate.timeout:g} s: {describe(last)}"
                raise StepFailed(late, host=host.name)
        if now >= next_watch and not last.is_ok:
            _watch(gate, host)
            next_watch = clock.monotonic() + _WATCH_EVERY
        clock.sleep(max(0.0, gate.interval - (clock.monotonic() - asked)))


def _ask(gate: Gate, host: Host) -> HttpAnswer:
    """Return the answer, or of several containers the first that is not good."""
    patience = max(1.0, min(5.0, gate.timeout))
    if gate.find is None:
        return host.http_get(gate.url, timeout=patience)
    try:
        found = host.run(gate.find).text.split()
    except CommandFailed as error:
        return HttpAnswer(0, problem=error.details or error.brief)
    parts = urlsplit(gate.url)
    answer = HttpAnswer(0, problem="there is no container to ask")
    for place in found:
        answer = host.http_get(urlunsplit(parts._replace(netloc=place)), timeout=patience)
        if not answer.is_ok:
            break
    return answer


def _watch(gate: Gate, host: Host) -> None:
    """Raise StepFailed as soon as waiting is pointless."""
    if gate.watch is None:
        return
    try:
        done = host.run(gate.watch)
    except CommandFailed as error:
        raise StepFailed("the state of the containers cannot be read", details=error.details, host=host.name) from error
    if done.exit_code != 0:
        raise StepFailed(done.error_text.strip() or "the containers do not live", host=host.name)


def describe(answer: HttpAnswer) -> str:
    """Return an answer in a few words."""
    if answer.status == 0:
        return answer.problem or "no answer"
    body = answer.body[:120].decode("utf-8", "replace").strip()
    said = answer.problem or body
    return f"HTTP {answer.status}" + (f" {said}" if said else "")
