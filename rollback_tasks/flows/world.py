"""Everything outside that a flow may touch, handed in by wiring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.ports import Clock, Database, DatabaseAddress, EventSink, Host, Laptop, Prompt
from rollback_tasks.shell import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports of one run.

    :param hosts: every host of the inventory.
    :param connect: a connection to a host; raises Unreachable.
    :param read_only: the same host, refusing whatever is not READ.
    :param connect_database: a session on a database that the host reaches; raises StepFailed. The name given last is
        shown in ``pg_stat_activity``.
    :param save_report: writes the report for people and returns its path; None where it could not.
    :param catching: while inside, the first Ctrl-C calls what is given, the second raises KeyboardInterrupt.
    :param hide: from now on this value is masked in everything that is shown or saved.
    """

    hosts: Mapping[str, HostConfig]
    connect: Callable[[HostConfig], Host]
    read_only: Callable[[Host], Host]
    connect_database: Callable[[Host, DatabaseAddress, str], AbstractContextManager[Database]]
    laptop: Laptop
    clock: Clock
    prompt: Prompt
    sink: EventSink
    save_report: Callable[[RunReport, Plan | None], str | None]
    hide: Callable[[Secret], None]
    catching: Callable[[Callable[[], None]], AbstractContextManager[None]]
