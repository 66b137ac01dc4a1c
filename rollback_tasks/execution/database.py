"""A session on the application's database, whichever way there is: from here through the host, or psql beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from rollback_tasks.drivers import database_address, postgres
from rollback_tasks.drivers.statements import as_script, errors_of
from rollback_tasks.errors import StepFailed
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed, Database, DatabaseAddress, Host, Statement
from rollback_tasks.shell import Effect, Secret

APPLICATION = "rollback-asks"
Connect = Callable[[Host, DatabaseAddress, str], AbstractContextManager[Database]]
_SQL_SECONDS = 3600
# psql: a connection that failed at first, or broke.
_NO_SESSION = 2


@contextmanager
def open_database(
    host: Host,
    project: Project,
    connect: Connect,
    hide: Callable[[Secret], None],
    *,
    effect: Effect = Effect.READ,
) -> Iterator[Database]:
    """Give a session on the database.

    A server asks a password of whoever comes over the network and may trust its own container, and sshd may forbid
    forwarding: where no session can be opened from here, psql inside the container is asked the same.

    :param host: the one that serves the database; a read-only one gives a session that changes nothing.
    :param connect: opens a session from here; raises StepFailed.
    :param hide: is given the password, before it is used.
    :raises StepFailed: there is no way, or the session ended.
    """
    with ExitStack() as stack:
        try:
            at = database_address.read(host.run(database_address.where(project)).text, project)
            if at.password is not None:
                hide(at.password)
            database = stack.enter_context(connect(host, at, APPLICATION))
        except StepFailed:
            database = PsqlDatabase(host, project, effect)
        yield database


class PsqlDatabase:
    """Every question is a psql of its own inside the container."""

    def __init__(self, host: Host, project: Project, effect: Effect) -> None:
        self._host = host
        self._project = project
        self._effect = effect

    def ask(self, statements: Sequence[Statement]) -> Completed:
        """See ``ports.Database``."""
        command = postgres.sql(
            self._project,
            as_script(statements),
            effect=self._effect,
            application=APPLICATION,
            timeout=_SQL_SECONDS,
            ok_codes=frozenset(range(124)),
        )
        done = self._host.run(command)
        if done.exit_code != 0:
            lines = done.error_text.strip().splitlines()
            says = lines[-1] if lines else f"psql ended with exit code {done.exit_code}"
            raise StepFailed(
                f"database {self._project.database}: {says.removeprefix('psql: error: ')}",
                details="the session ended" if done.exit_code == _NO_SESSION else "",
                hint=f"`inv db.connections --host {self._host.name}` says who holds the connections.",
                host=self._host.name,
            )
        return Completed(0, done.stdout, errors_of(done.error_text).encode(), done.seconds)
