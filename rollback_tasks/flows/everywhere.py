"""The same question to every host, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import ConnectionLost, RollbackError, Unreachable, UsageError
from rollback_tasks.execution.database import open_database
from rollback_tasks.execution.places import serving
from rollback_tasks.flows.session import AT_ONCE, Session, open_session
from rollback_tasks.flows.world import World
from rollback_tasks.ports import Database
from rollback_tasks.shell import Effect

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfHost(Generic[Found]):
    """What one host answered, or why it could not be asked."""

    host: str
    found: Found | None = None
    error: RollbackError | None = None


def everywhere(configs: Sequence[HostConfig], world: World, act: Callable[[Session], Found]) -> list[OfHost[Found]]:
    """Connect to every host, let ``act`` ask it, and return the answers in the order of the inventory.

    :raises UsageError: of the first host for which ``act`` raises one.
    """

    def attempt(config: HostConfig) -> OfHost[Found]:
        try:
            session = open_session(config, world)
            try:
                return OfHost(host=config.name, found=act(session))
            finally:
                session.host.close()
        except ConnectionLost as error:
            # Whoever looks leaves nothing half done.
            lost = Unreachable(error.brief, details=error.details, hint=error.hint, host=config.name)
            return OfHost(host=config.name, error=lost)
        except RollbackError as error:
            return OfHost(host=config.name, error=error)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = list(pool.map(attempt, configs))
    for answer in answers:
        if isinstance(answer.error, UsageError):
            raise answer.error
    return answers


def database_of(session: Session, world: World, *, effect: Effect = Effect.READ) -> AbstractContextManager[Database]:
    """Open a session on the application's database, wherever it is served.

    :param effect: READ gives one that can change nothing.
    """
    host = serving(session.host, session.project)
    watched = world.read_only(host) if effect is Effect.READ else host
    return open_database(watched, session.project, world.connect_database, world.hide, effect=effect)
