"""What one call in a migration function does."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from rollback_tasks.drivers.alembic_operations import Operation, OperationKind
from rollback_tasks.drivers.alembic_sql import read_sql
from rollback_tasks.drivers.alembic_values import (
    UNKNOWN,
    Scope,
    Statement,
    Table,
    TypeObject,
    Value,
    argument,
    called_name,
    table_argument,
    text,
    value_of,
)

# Names that are alembic's own wherever they are called.
ALEMBIC_NAMES = frozenset(
    "drop_table drop_column rename_table alter_column create_table add_column execute bulk_insert".split()
)
_EXECUTES = frozenset({"execute", "exec_driver_sql", "executescript", "scalar", "scalars"})
_NO_SCHEMA = frozenset(
    {"get_bind", "get_context", "f", "inline_literal", "batch_alter_table", "autocommit_block", "bulk_insert"}
)
_DROPS_NO_DATA = frozenset(
    """drop_index drop_constraint drop_table_comment drop_view drop_function drop_trigger drop_sequence drop_policy
    drop_entity drop_materialized_view drop_procedure""".split()
)


def read_call(call: ast.Call, scope: Scope, *, operators: Collection[str], is_statement: bool) -> Iterator[Operation]:
    """Say what a call to something outside of the file does.

    :param operators: the names that ``alembic.op`` has in the file.
    :param is_statement: the call stands for itself, its result is not used.
    """
    name = called_name(call)
    receiver = value_of(call.func.value, scope) if isinstance(call.func, ast.Attribute) else UNKNOWN
    batch = receiver if isinstance(receiver, Table) and receiver.is_batch else None
    if name in _EXECUTES:
        # Without arguments it is the .scalar() of a result.
        if call.args or call.keywords:
            yield from _execute(call, scope)
    elif name == "drop" and isinstance(call.func, ast.Attribute):
        yield _drop(receiver)
    elif name == "delete" and (is_statement or _has_query(call)):
        yield Operation(kind=OperationKind.DELETE_ROWS, table=None)
    elif name == "create_all":
        yield Operation(kind=OperationKind.OTHER)
    elif name in ("drop_all", "invoke", "run_sync"):
        yield Operation(kind=OperationKind.UNKNOWN)
    elif name in ALEMBIC_NAMES:
        yield from _operation(name, call, scope, batch)
    elif (batch is not None or _owner(call) in operators) and name not in _NO_SCHEMA:
        unknown = name.startswith("drop_") and name not in _DROPS_NO_DATA
        yield Operation(kind=OperationKind.UNKNOWN if unknown else OperationKind.OTHER)


def note_on(call: ast.Call, scope: Scope) -> str:
    """Return what a person should know of a call that may fail; empty for most."""
    if called_name(call) == "drop_constraint" and argument(call, 0, "constraint_name", scope) is None:
        return "drops a constraint that has no name, which fails where the models have no naming rule"
    return ""


def _owner(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner)):
            return owner
        case _:
            return ""


def _operation(name: str, call: ast.Call, scope: Scope, batch: Table | None) -> Iterator[Operation]:
    # Inside of a batch the table is known and no argument.
    at = 1 if batch is None else 0
    table = table_argument(call, 0, "table_name", scope) if batch is None else batch.name
    match name:
        case "drop_table":
            yield Operation(kind=OperationKind.DROP_TABLE, table=table)
        case "drop_column":
            column = text(argument(call, at, "column_name", scope))
            yield Operation(kind=OperationKind.DROP_COLUMN, table=table, column=column)
        case "rename_table":
            old = table_argument(call, 0, "old_table_name", scope)
            new = table_argument(call, 1, "new_table_name", scope)
            yield Operation(kind=OperationKind.RENAME_TABLE, table=old, new_name=new)
        case "create_table":
            unsure = argument(call, -1, "if_not_exists", scope, None) is not None
            yield Operation(kind=OperationKind.CREATE_TABLE, table=table, conditional=unsure)
        case "add_column":
            added = call.args[at] if len(call.args) > at else None
            column = text(argument(added, 0, "name", scope)) if isinstance(added, ast.Call) else None
            yield Operation(kind=OperationKind.ADD_COLUMN, table=table, column=column)
        case "bulk_insert":
            yield Operation(kind=OperationKind.ADD_DATA)
        case "alter_column":
            yield from _alter_column(call, scope, table, text(argument(call, at, "column_name", scope)))


def _alter_column(call: ast.Call, scope: Scope, table: str | None, column: str | None) -> Iterator[Operation]:
    given = {keyword.arg for keyword in call.keywords}
    if "type_" in given:
        yield Operation(kind=OperationKind.CHANGE_TYPE, table=table, column=column)
    if argument(call, -1, "nullable", scope, None) is False:
        yield Operation(kind=OperationKind.SET_NOT_NULL, table=table, column=column)
    for word in ("new_column_name", "name"):
        if word in given:
            new = text(argument(call, -1, word, scope))
            yield Operation(kind=OperationKind.RENAME_COLUMN, table=table, column=column, new_name=new)
    if None in given:
        # ** may bring a new name.
        yield Operation(kind=OperationKind.RENAME_COLUMN, table=table, column=column, new_name=None, conditional=True)
    yield Operation(kind=OperationKind.OTHER)


def _execute(call: ast.Call, scope: Scope) -> Iterator[Operation]:
    given = (argument(call, 0, word, scope) for word in ("sqltext", "statement"))
    match next((sql for sql in given if isinstance(sql, (str, Statement))), None):
        case str(sql):
            yield from read_sql(sql)
        case Statement(kind=kind, table=table):
            yield Operation(kind=kind, table=table)
        case _:
            yield Operation(kind=OperationKind.UNKNOWN)


def _drop(receiver: Value) -> Operation:
    if isinstance(receiver, Table):
        return Operation(kind=OperationKind.DROP_TABLE, table=receiver.name)
    return Operation(kind=OperationKind.OTHER if isinstance(receiver, TypeObject) else OperationKind.UNKNOWN)


def _has_query(call: ast.Call) -> bool:
    """``session.query(X).filter(...).delete()``"""
    return any(isinstance(node, ast.Call) and called_name(node) == "query" for node in ast.walk(call.func))
