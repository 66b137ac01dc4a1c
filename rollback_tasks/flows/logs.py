"""What the containers of hosts have said lately."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import logs
from rollback_tasks.drivers.logs import Line
from rollback_tasks.errors import UsageError
from rollback_tasks.flows.everywhere import OfHost, everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World

_SINCE = re.compile(r"\d+[smh]|\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are asked for.

    :param services: of the compose file; none = all.
    :param lines: the most of each container.
    :param since: as docker takes it, ``10m`` or a date; empty = from the first line on.
    """

    services: tuple[str, ...] = ()
    lines: int = 50
    since: str = ""
    is_errors_only: bool = False


def last(configs: Sequence[HostConfig], world: World, wanted: Wanted) -> list[OfHost[tuple[Line, ...]]]:
    """Return the last lines of every host's containers.

    :raises UsageError: a service that is named has no container, or ``since`` is no time.
    """
    if wanted.since and not _SINCE.fullmatch(wanted.since):
        raise UsageError(
            f"--since: should be a span or a time, got {wanted.since!r}",
            hint="Use 90s, 10m, 2h or 2026-11-22T03:15:00Z.",
        )

    def act(session: Session) -> tuple[Line, ...]:
        known = {container.service for container in session.facts.containers}
        missing = [name for name in wanted.services if name not in known]
        if missing:
            raise UsageError(
                f"no service {missing[0]!r} has a container on {session.config.name}",
                details=f"there are {', '.join(sorted(known)) or 'none'}",
                hint=f"`inv verify.containers --host {session.config.name}` shows them.",
            )
        meant = [c for c in session.facts.containers if not wanted.services or c.service in wanted.services]
        if not meant:
            return ()
        command = logs.tail([(c.name, c.id, wanted.since) for c in meant], lines=wanted.lines)
        found = logs.read(world.read_only(session.host).run(command).text)
        return tuple(line for line in found if line.is_error or not wanted.is_errors_only)

    return everywhere(configs, world, act)
