"""A PostgreSQL session on a database that only the host can reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from rollback_tasks.errors import ConnectionLost, RollbackError, StepFailed
from rollback_tasks.ports import Host
from rollback_tasks.shell import Secret
from rollback_tasks.transport.readonly import ReadOnlyHost
from rollback_tasks.transport.ssh import SshHost

CONNECT_SECONDS = 15
# Where the tunnel's socket pretends to listen; libpq builds the file name from it.
SOCKET_PORT = 5432


@contextmanager
def connect_database(
    host: Host,
    *,
    address: str,
    port: int,
    user: str,
    password: Secret | None,
    dbname: str,
    application_name: str,
    autocommit: bool = False,
) -> Iterator[psycopg.Connection[TupleRow]]:
    """Open a session; a transaction that is open at the end is committed, or rolled back after an exception.

    On a read-only host the session's transactions are read-only. TLS is not spoken: the way to the host is SSH already.

    :param address: the server as the host sees it, and ``port`` its TCP port.
    :param password: never shown in an error; None where the server trusts the host.
    :param application_name: shown in ``pg_stat_activity``.
    :param autocommit: every statement is a transaction of its own (``VACUUM``, ``CREATE DATABASE``).
    :raises StepFailed: no session could be opened, or the server refused a statement inside the block.
    :raises ConnectionLost: the connection to the host broke; what the last statement did is unknown.
    """
    read_only = isinstance(host, ReadOnlyHost)
    reached = host.behind if isinstance(host, ReadOnlyHost) else host
    with reached.socket_to(address, port) as folder:
        try:
            with psycopg.connect(
                host=folder,
                port=SOCKET_PORT,
                user=user,
                password=password.reveal() if password else None,
                dbname=dbname,
                application_name=application_name,
                connect_timeout=CONNECT_SECONDS,
                # Given even when empty: PGOPTIONS of this machine must have no say.
                options="-c default_transaction_read_only=on" if read_only else "",
                autocommit=autocommit,
            ) as connection:
                yield connection
        except psycopg.Error as exc:
            # `from None`: psycopg's own exception may quote the statement with its values.
            raise translated(exc, reached, dbname, password) from None


def translated(exc: psycopg.Error, host: Host, dbname: str, password: Secret | None) -> RollbackError:
    """Return what an error of a session means: ConnectionLost where the way to the host is gone, else StepFailed."""
    text = _without(password, exc.diag.message_primary or str(exc).strip())
    if isinstance(host, SshHost) and not host.is_connected:
        return ConnectionLost(
            f"the connection broke during a session on database {dbname}",
            details=f"{text}\nwhat the last statement did is unknown",
            hint=f"look with `inv db.check --host {host.name}`.",
            host=host.name,
        )
    return StepFailed(
        f"database {dbname}: {text.splitlines()[0] if text else type(exc).__name__}",
        details=f"SQLSTATE {exc.sqlstate}" if exc.sqlstate else text,
        host=host.name,
    )


def _without(password: Secret | None, text: str) -> str:
    return text.replace(password.reveal(), "***") if password and password.reveal() else text
