"""A host and those that belong to it: each command goes where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed, Host, HttpAnswer
from rollback_tasks.shell import Command


class Places:
    """An application's host together with the host that serves its database, as one ``ports.Host``.

    :param own: where commands without a place go.
    :param others: inventory name to host.
    """

    def __init__(self, own: Host, others: Mapping[str, Host]) -> None:
        self._own = own
        self._others = dict(others)

    @property
    def name(self) -> str:
        """See ``ports.Host``: the application's."""
        return self._own.name

    def at(self, place: str) -> Host:
        """Return the host of a place.

        :raises KeyError: there is none of that name: a plan was made for other hosts.
        """
        return self._others[place] if place else self._own

    def run(self, command: Command) -> Completed:
        """See ``ports.Host``."""
        return self.at(command.place).run(command)

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        """See ``ports.Host``."""
        return self.at(command.place).pull(command, sink)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """See ``ports.Host``."""
        return self.at(command.place).push(command, source)

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        """See ``ports.Host``: asked from the application's host."""
        return self._own.http_get(url, timeout=timeout)

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        """See ``ports.Host``: as the application's host sees it."""
        return self._own.socket_to(address, port)

    def close(self) -> None:
        """End every connection."""
        for host in (self._own, *self._others.values()):
            host.close()


def serving(host: Host, project: Project) -> Host:
    """Return the one host that serves a project's database."""
    return host.at(project.database_site.place) if isinstance(host, Places) else host
