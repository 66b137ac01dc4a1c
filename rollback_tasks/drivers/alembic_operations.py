"""What a migration function does, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class OperationKind(Enum):
    """The kinds of work that matter when somebody counts what a downgrade takes."""

    DROP_TABLE = "drop table"
    DROP_COLUMN = "drop column"
    DELETE_ROWS = "delete rows"
    RENAME_TABLE = "rename table"
    RENAME_COLUMN = "rename column"
    CREATE_TABLE = "create table"
    ADD_COLUMN = "add column"
    CHANGE_TYPE = "change type"
    SET_NOT_NULL = "set not null"
    CHANGE_DATA = "change data"
    ADD_DATA = "add or read data"
    OTHER = "change schema"
    UNKNOWN = "unknown"


_LEAVES_SCHEMA = (OperationKind.DELETE_ROWS, OperationKind.CHANGE_DATA, OperationKind.ADD_DATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One piece of work.

    :param table: ``schema.table`` (``public.`` left out); None where the script does not say it literally.
    :param column: None likewise; empty where the work is on the whole table.
    :param new_name: of a rename; None where it is not literal.
    :param conditional: it stands under a condition, so that it may not happen.
    """

    kind: OperationKind
    table: str | None = ""
    column: str | None = ""
    new_name: str | None = ""
    conditional: bool = False

    @property
    def changes_schema(self) -> bool:
        """True unless it only touches rows."""
        return self.kind not in _LEAVES_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReading:
    """What can be read of ``upgrade()`` or ``downgrade()`` without running it.

    :param exists: the file defines it.
    :param is_empty: nothing but ``pass``, ``return``, ``...``, a docstring or a message.
    :param raises: the exception that it raises in any case; None where it does not.
    :param may_raise: it raises under some condition.
    :param has_autocommit: it commits on its way, so that a failure leaves half of it done.
    :param operations: in the order in which they run.
    :param notes: what a person should look at.
    """

    exists: bool = True
    is_empty: bool = False
    raises: str | None = None
    may_raise: bool = False
    has_autocommit: bool = False
    operations: tuple[Operation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes_schema(self) -> bool:
        """True where it does more than touch rows, as far as can be read."""
        return any(operation.changes_schema for operation in self.operations)


def qualified(table: str | None, schema: str | None) -> str | None:
    """Return ``schema.table``, with ``public`` left out; None where the table is not known."""
    if table is None:
        return None
    return f"{schema}.{table}" if schema and schema != "public" else table
