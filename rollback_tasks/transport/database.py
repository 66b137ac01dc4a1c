"""``ports.Database`` by psycopg, through the tunnel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from rollback_tasks.ports import Completed, Database, DatabaseAddress, Host, Statement
from rollback_tasks.shell import Secret
from rollback_tasks.transport.readonly import ReadOnlyHost
from rollback_tasks.transport.sql import connect_database, translated

# Statements of a transaction travel together: a database may have hundreds of constraints, and the way may be long.
AT_ONCE = 100
_MARK = "savepoint rollback_asks"


@contextmanager
def open_database(host: Host, at: DatabaseAddress, *, application: str) -> Iterator[Database]:
    """Open a session; on a read-only host its transactions are read-only unless they say otherwise.

    :param application: shown in ``pg_stat_activity``.
    :raises StepFailed: no session could be opened.
    :raises ConnectionLost: the connection to the host broke.
    """
    with connect_database(
        host,
        address=at.address,
        port=at.port,
        user=at.user,
        password=at.password,
        dbname=at.name,
        application_name=application,
        autocommit=True,
    ) as connection:
        reached = host.behind if isinstance(host, ReadOnlyHost) else host
        yield PsycopgDatabase(connection, reached, at.name, at.password)


class PsycopgDatabase:
    """One session. Errors are told as psql does it, and do not end a transaction."""

    def __init__(
        self, connection: psycopg.Connection[TupleRow], host: Host, name: str, password: Secret | None
    ) -> None:
        self._connection = connection
        self._host = host
        self._name = name
        self._password = password
        self._told: list[bytes] = []
        self._refused: list[str] = []

    def ask(self, statements: Sequence[Statement]) -> Completed:
        """See ``ports.Database``."""
        began = time.monotonic()
        self._told, self._refused = [], []
        try:
            for statement in statements:
                rows = self._run(statement.text)
                if not statement.runs_answer:
                    self._told += (b"|".join(cell or b"" for cell in row) for row in rows)
                else:
                    self._run_all([cell.decode() for row in rows for cell in row if cell is not None])
        except psycopg.Error as exc:
            raise translated(exc, self._host, self._name, self._password) from None
        stdout = b"".join(line + b"\n" for line in self._told)
        stderr = "".join(f"{line}\n" for line in self._refused).encode()
        return Completed(0, stdout, stderr, seconds=time.monotonic() - began)

    def _run_all(self, texts: Sequence[str]) -> None:
        """Run statements in order, many in one round trip as long as none of them fails."""
        for first in range(0, len(texts), AT_ONCE):
            some = texts[first : first + AT_ONCE]
            if self._is_in_transaction and len(some) > 1:
                try:
                    rows = self._answers(f"{_MARK};\n" + ";\n".join(some) + f";\nrelease {_MARK}")
                except psycopg.Error:
                    if self._connection.closed:
                        raise
                    self._go_back()
                else:
                    self._told += (b"|".join(cell or b"" for cell in row) for row in rows)
                    continue
            for text in some:
                self._told += (b"|".join(cell or b"" for cell in row) for row in self._run(text))

    def _run(self, text: str) -> list[list[bytes | None]]:
        """Run one statement; one that the server refuses answers nothing."""
        is_saved = self._is_in_transaction and text not in ("commit", "rollback")
        try:
            return self._answers(f"{_MARK};\n{text};\nrelease {_MARK}" if is_saved else text)
        except psycopg.Error as exc:
            if self._connection.closed:
                raise
            if is_saved:
                self._go_back()
            message = exc.diag.message_primary or type(exc).__name__
            self._refused.append("ERROR:  " + " ".join(message.split()))
            return []

    def _answers(self, text: str) -> list[list[bytes | None]]:
        with self._connection.cursor() as cursor:
            cursor.execute(text.encode())
            found: list[list[bytes | None]] = []
            while True:
                result = cursor.pgresult
                if result is not None:
                    columns = range(result.nfields)
                    found += ([result.get_value(row, column) for column in columns] for row in range(result.ntuples))
                if not cursor.nextset():
                    return found

    @property
    def _is_in_transaction(self) -> bool:
        return self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def _go_back(self) -> None:
        """Undo what failed and keep the transaction.

        :raises psycopg.Error: the session is gone.
        """
        self._connection.execute(f"rollback to {_MARK}; release {_MARK}".encode())
