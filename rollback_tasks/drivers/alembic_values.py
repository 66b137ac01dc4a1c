"""Literal values in a migration script, worked out without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rollback_tasks.drivers.alembic_operations import OperationKind, qualified
from rollback_tasks.drivers.alembic_sql import UNKNOWN_VALUE


class Unknown:
    """A value that only running the script would tell."""


@dataclass(frozen=True, slots=True)
class Table:
    """``sa.table("t")``, or the ``batch_op`` of ``op.batch_alter_table("t")``."""

    name: str | None
    is_batch: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL expression such as ``sa.delete(t)``."""

    kind: OperationKind
    table: str | None = None


class TypeObject:
    """An SQL type, such as ``sa.Enum(...)``: dropping it takes no rows."""


UNKNOWN = Unknown()
_TYPE = TypeObject()
Value = (
    str | int | float | complex | bytes | bool | None | tuple["Value", ...] | Unknown | Table | Statement | TypeObject
)
Scope = Mapping[str, Value]

_EXPRESSIONS = {
    "delete": OperationKind.DELETE_ROWS,
    "update": OperationKind.CHANGE_DATA,
    "insert": OperationKind.ADD_DATA,
    "select": OperationKind.ADD_DATA,
}
_MAX_TEXT = 1_000_000
_SAME_TEXT = frozenset({"text", "DDL", "dedent", "f", "quoted_name", "inline_literal", "literal_column"})
_CHAINED_TEXT = frozenset({"strip", "bindparams", "execution_options", "columns", "lstrip", "rstrip"})
_PERCENT = re.compile(r"%(?:\(\w*\))?[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")
_BRACES = re.compile(r"\{[^{}]*\}")


def value_of(node: ast.expr | None, scope: Scope) -> Value:
    """Return the value of ``node`` where it can be read, UNKNOWN otherwise.

    Where only a part of a text is not literal, ``UNKNOWN_VALUE`` stands in its place.
    """
    match node:
        case ast.Constant(value=constant):
            return UNKNOWN if constant is ... else constant
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return tuple(value_of(item, scope) for item in items)
        case ast.Name(id=name):
            return scope.get(name, UNKNOWN)
        case ast.JoinedStr(values=parts):
            return _bounded("".join(_part(part, scope) for part in parts))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            pieces = (value_of(left, scope), value_of(right, scope))
            if not any(isinstance(piece, str) for piece in pieces):
                return UNKNOWN
            return _bounded("".join(piece if isinstance(piece, str) else UNKNOWN_VALUE for piece in pieces))
        case ast.BinOp(left=left, op=ast.Mod()):
            template = value_of(left, scope)
            return _bounded(_PERCENT.sub(UNKNOWN_VALUE, template)) if isinstance(template, str) else UNKNOWN
        case ast.Call():
            return _call_value(node, scope)
        case ast.Await(value=inner) | ast.NamedExpr(value=inner):
            return value_of(inner, scope)
        case _:
            return UNKNOWN


def _bounded(value: str) -> Value:
    """A script that doubles a text forty times must not fill the memory."""
    return value if len(value) <= _MAX_TEXT else UNKNOWN


def _part(part: ast.expr, scope: Scope) -> str:
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    value = value_of(inner, scope)
    return value if isinstance(value, str) else UNKNOWN_VALUE


def argument(call: ast.Call, position: int, name: str, scope: Scope, default: Value = UNKNOWN) -> Value:
    """Return the argument at ``position`` or called ``name``; ``default`` where it is not given."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return value_of(keyword.value, scope)
    if any(isinstance(word, ast.Starred) for word in call.args[: position + 1]):
        return UNKNOWN
    if 0 <= position < len(call.args):
        return value_of(call.args[position], scope)
    # ** may bring any name
    return UNKNOWN if any(keyword.arg is None for keyword in call.keywords) else default


def text(value: Value) -> str | None:
    """Return ``value`` where it is a name that can be read."""
    return value if isinstance(value, str) and value and UNKNOWN_VALUE not in value else None


def table_argument(call: ast.Call, position: int, name: str, scope: Scope) -> str | None:
    """Return ``schema.table`` of a call that takes a table and ``schema=``."""
    schema = argument(call, -1, "schema", scope, None)
    if schema is not None and text(schema) is None:
        return None
    return qualified(text(argument(call, position, name, scope)), text(schema))


def called_name(call: ast.Call) -> str:
    """The last word of what is called: ``c`` in ``a.b.c()``."""
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def _call_value(call: ast.Call, scope: Scope) -> Value:
    name = called_name(call)
    receiver: Value = UNKNOWN
    if isinstance(call.func, ast.Attribute):
        receiver = value_of(call.func.value, scope)
        if isinstance(receiver, Statement):
            return receiver
        if isinstance(receiver, Table) and name in _EXPRESSIONS:
            return Statement(_EXPRESSIONS[name], receiver.name)
        if isinstance(receiver, str):
            if name == "format":
                return _bounded(_BRACES.sub(UNKNOWN_VALUE, receiver))
            return receiver if name in _CHAINED_TEXT else UNKNOWN
    if name in _EXPRESSIONS:
        of = value_of(call.args[0], scope) if call.args else receiver
        return Statement(_EXPRESSIONS[name], of.name if isinstance(of, Table) else None)
    if name in _SAME_TEXT and call.args:
        return value_of(call.args[0], scope)
    if name in ("table", "Table", "batch_alter_table"):
        return Table(table_argument(call, 0, "table_name", scope), name == "batch_alter_table")
    if name.lower().endswith(("enum", "domain")):
        return _TYPE
    return UNKNOWN
