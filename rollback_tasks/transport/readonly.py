"""A Host that changes nothing: what a dry run is given in place of the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from rollback_tasks.errors import NotReadOnly
from rollback_tasks.ports import Completed, Host, HttpAnswer
from rollback_tasks.shell import Command, Effect


class ReadOnlyHost:
    """Passes READ commands on to ``behind`` and refuses all others.

    A database is reached through ``sql.connect_database`` alone, which then opens a read-only session; an open socket
    could carry anything.
    """

    def __init__(self, behind: Host) -> None:
        self.behind = behind

    @property
    def name(self) -> str:
        """See ``ports.Host``."""
        return self.behind.name

    def run(self, command: Command) -> Completed:
        """See ``ports.Host``."""
        return self.behind.run(self._checked(command))

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        """See ``ports.Host``."""
        return self.behind.pull(self._checked(command), sink)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """See ``ports.Host``."""
        return self.behind.push(self._checked(command), source)

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        """See ``ports.Host``."""
        return self.behind.http_get(url, timeout=timeout)

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        """Always refused."""
        raise NotReadOnly(f"a socket to {address}:{port} was asked of a read-only host", host=self.name)

    def close(self) -> None:
        """See ``ports.Host``."""
        self.behind.close()

    def _checked(self, command: Command) -> Command:
        if command.effect is not Effect.READ:
            raise NotReadOnly(
                f"a read-only host was given {command.argv[0]}, which may {command.effect.name.lower()}",
                host=self.name,
            )
        return command
