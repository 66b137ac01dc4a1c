"""Does a service of the compose file live as it should?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import Container

# A container that began again so short a time ago is taken for one that keeps dying.
_FRESH_SECONDS = 30.0


def problem(name: str, service: Service | None, containers: Sequence[Container], *, now: float, is_needed: bool) -> str:
    """Return what is wrong with a service; empty where it lives, or has done what it was for.

    :param service: None where the compose file does not have it, or cannot be read.
    :param now: the host's clock, in seconds since the epoch.
    :param is_needed: the inventory names it as one that serves.
    """
    if not containers:
        may_lack = service is not None and (service.is_optional or service.is_one_shot)
        return "" if may_lack and not is_needed else f"{name} has no container"
    told = [_problem(container, _may_end(service, is_needed=is_needed), now) for container in containers]
    return "; ".join(text for text in told if text)


def _may_end(service: Service | None, *, is_needed: bool) -> bool:
    """True where an end with exit code 0 is a good one: others wait for it, or nobody asked it to be started again."""
    if service is None:
        return not is_needed
    return service.is_one_shot or (not is_needed and service.restart.partition(":")[0] in ("no", "on-failure"))


def _problem(container: Container, may_end: bool, now: float) -> str:
    name = container.name
    if container.state in ("exited", "created") and may_end and container.exit_code == 0:
        return "" if container.state == "exited" else f"{name} was never started"
    if container.state == "exited":
        return f"{name} has ended with exit code {container.exit_code}"
    if not container.is_running:
        return f"{name} is {container.state}"
    if container.health == "unhealthy":
        return f"{name} is unhealthy, as its own health check says"
    age = now - _seconds(container.started_at, now)
    if container.restarts and age < _FRESH_SECONDS:
        return f"{name} keeps dying: {container.restarts} restarts, the last {max(age, 0):.0f} s ago"
    return ""


def _seconds(started_at: str, otherwise: float) -> float:
    """Given docker's time (UTC, nanoseconds), return seconds since the epoch."""
    try:
        return datetime.fromisoformat(started_at[:19] + "+00:00").timestamp()
    except ValueError:
        return otherwise
