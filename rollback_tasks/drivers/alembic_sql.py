"""Reads the SQL of a migration far enough to say which tables and columns lose data.

Not a parser of SQL: it knows the statements that take data away, follows renames, and calls everything
that it does not know but that looks dangerous UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rollback_tasks.drivers.alembic_operations import Operation, OperationKind, qualified

# Stands where a script puts a value into its SQL that cannot be read: any name that holds it is unknown.
UNKNOWN_VALUE = "rollback_unknown_value"

_MAX_SQL = 200_000
_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\Z)|'[^']*(?:''[^']*)*(?:'|\Z))
    |(?P<name>"[^"]*(?:""[^"]*)*(?:"|\Z))
    |(?P<dollar>\$(?:[^\W\d]\w*)?\$)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_DANGER = re.compile(r"\b(?:drop|delete|truncate|execute)\b", re.IGNORECASE)
_QUIET = frozenset(
    "set reset show comment grant revoke lock analyze vacuum reindex cluster begin start commit rollback end "
    "savepoint release notify listen refresh explain checkpoint discard security".split()
)
_ROWS = frozenset("select insert with values table copy fetch declare".split())
_NO_COLUMN = frozenset("constraint primary unique foreign check exclude".split())


@dataclass(frozen=True, slots=True)
class _Token:
    """``value`` is lower case for plain words, exact for quoted names, the inside for strings."""

    kind: str
    value: str


def read_sql(sql: str) -> tuple[Operation, ...]:
    """Return what ``sql`` (one or many statements) does; never raises, whatever stands in it."""
    if len(sql) > _MAX_SQL:
        return (Operation(kind=OperationKind.UNKNOWN),)
    return tuple(
        operation
        for statement in _statements(sql)
        for operation in _read(statement)
        if operation.table is None or operation.table.rpartition(".")[2] != "alembic_version"
    )


def _statements(sql: str) -> Iterator[list[_Token]]:
    tokens: list[_Token] = []
    position = 0
    while match := _TOKEN.match(sql, position):
        position = match.end()
        kind, value = match.lastgroup or "other", match.group()
        if kind == "skip":
            continue
        if kind == "other" and value == ";":
            yield tokens
            tokens = []
            continue
        if kind == "dollar":
            end = sql.find(value, position)
            inside = sql[position:] if end < 0 else sql[position:end]
            position = len(sql) if end < 0 else end + len(value)
            kind, value = "text", inside
        elif kind == "name":
            value = value.strip('"').replace('""', '"')
        elif kind == "word":
            value = value.lower()
        tokens.append(_Token(kind, value))
    yield tokens


@dataclass(slots=True)
class _Cursor:
    tokens: list[_Token]
    at: int = 0

    def peek(self) -> str:
        """The plain word that stands here; empty at the end and for anything else."""
        if self.at < len(self.tokens) and self.tokens[self.at].kind in ("word", "other"):
            return self.tokens[self.at].value
        return ""

    def take(self, *words: str) -> bool:
        """Step over ``words`` where exactly they stand here."""
        here = self.tokens[self.at : self.at + len(words)]
        if [token.value for token in here if token.kind in ("word", "other")] != list(words):
            return False
        self.at += len(words)
        return True

    def name(self) -> str | None:
        """Step over ``a.b`` and return it; None where it is no readable name."""
        parts: list[str] = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind in ("word", "name"):
            parts.append(self.tokens[self.at].value)
            self.at += 1
            if self.peek() != ".":
                break
            self.at += 1
        if not parts or any(UNKNOWN_VALUE in part for part in parts):
            return None
        return qualified(parts[-1], ".".join(parts[:-1]))

    def names(self) -> Iterator[str | None]:
        """``a, b.c, d``"""
        yield self.name()
        while self.take("*") or self.take(","):
            self.take("only")
            yield self.name()

    def skip_to_comma(self) -> bool:
        """Step behind the next comma that stands in no bracket; False where there is none."""
        depth = 0
        while self.at < len(self.tokens):
            value = self.peek()
            self.at += 1
            depth += (value == "(") - (value == ")")
            if value == "," and depth == 0:
                return True
        return False


def _read(tokens: list[_Token]) -> Iterator[Operation]:
    cursor = _Cursor(tokens)
    words = [token.value for token in tokens if token.kind == "word"]
    first = cursor.peek()
    if first in ("(", ""):
        first = words[0] if words else ""
    else:
        cursor.at += 1
    match first:
        case "":
            return
        case "drop":
            yield from _read_drop(cursor, "cascade" in words)
        case "alter":
            yield from _read_alter(cursor)
        case "truncate":
            cursor.take("table")
            cursor.take("only")
            for table in cursor.names():
                yield Operation(kind=OperationKind.DELETE_ROWS, table=table)
            if "cascade" in words:
                yield Operation(kind=OperationKind.UNKNOWN)
        case "delete":
            yield from _read_rows(tokens)
        case "update":
            cursor.take("only")
            yield Operation(kind=OperationKind.CHANGE_DATA, table=cursor.name())
        case "merge":
            cursor.take("into")
            cursor.take("only")
            kind = OperationKind.DELETE_ROWS if "delete" in words else OperationKind.CHANGE_DATA
            yield Operation(kind=kind, table=cursor.name())
        case "create":
            yield from _read_create(cursor)
        case "do":
            dangerous = any(_DANGER.search(token.value) for token in tokens if token.kind == "text")
            yield Operation(kind=OperationKind.UNKNOWN if dangerous else OperationKind.OTHER)
        case _ if first in _ROWS:
            yield Operation(kind=OperationKind.ADD_DATA)
            yield from _read_rows(tokens)
        case _ if first in _QUIET:
            return
        case _:
            yield Operation(kind=OperationKind.UNKNOWN)


def _read_rows(tokens: list[_Token]) -> Iterator[Operation]:
    """``DELETE FROM t``, also inside of a WITH."""
    for at, token in enumerate(tokens):
        if token == _Token("word", "delete"):
            cursor = _Cursor(tokens, at + 1)
            if cursor.take("from"):
                cursor.take("only")
                yield Operation(kind=OperationKind.DELETE_ROWS, table=cursor.name())
        elif token == _Token("word", "update") and tokens[0].value == "with":
            yield Operation(kind=OperationKind.CHANGE_DATA, table=_Cursor(tokens, at + 1).name())


def _read_drop(cursor: _Cursor, cascades: bool) -> Iterator[Operation]:
    cursor.take("foreign")
    what = cursor.peek()
    cursor.at += 1
    cursor.take("if", "exists")
    if what == "table":
        for table in cursor.names():
            yield Operation(kind=OperationKind.DROP_TABLE, table=table)
    elif what in ("schema", "database", "owned", "tablespace", "") or UNKNOWN_VALUE in what:
        yield Operation(kind=OperationKind.UNKNOWN)
    elif what in ("type", "domain", "extension", "function") and cascades:
        # These take the columns that use them along.
        yield Operation(kind=OperationKind.UNKNOWN)
    else:
        yield Operation(kind=OperationKind.OTHER)


def _read_create(cursor: _Cursor) -> Iterator[Operation]:
    while cursor.peek() in ("global", "local", "temp", "temporary", "unlogged", "foreign"):
        cursor.at += 1
    if not cursor.take("table"):
        yield Operation(kind=OperationKind.OTHER)
        return
    conditional = cursor.take("if", "not", "exists")
    yield Operation(kind=OperationKind.CREATE_TABLE, table=cursor.name(), conditional=conditional)


def _read_alter(cursor: _Cursor) -> Iterator[Operation]:
    cursor.take("foreign")
    if not cursor.take("table"):
        yield Operation(kind=OperationKind.OTHER)
        return
    cursor.take("if", "exists")
    cursor.take("only")
    table = cursor.name()
    cursor.take("*")
    while True:
        yield _read_action(cursor, table)
        if not cursor.skip_to_comma():
            return


def _read_action(cursor: _Cursor, table: str | None) -> Operation:
    other = Operation(kind=OperationKind.OTHER, table=table)
    if cursor.take("drop"):
        if cursor.peek() in _NO_COLUMN:
            return other
        cursor.take("column")
        cursor.take("if", "exists")
        return Operation(kind=OperationKind.DROP_COLUMN, table=table, column=cursor.name())
    if cursor.take("rename", "to"):
        schema = table.rpartition(".")[0] if table else ""
        return Operation(kind=OperationKind.RENAME_TABLE, table=table, new_name=qualified(cursor.name(), schema))
    if cursor.take("set", "schema"):
        name = table.rpartition(".")[2] if table else None
        return Operation(kind=OperationKind.RENAME_TABLE, table=table, new_name=qualified(name, cursor.name()))
    if cursor.take("rename"):
        if cursor.take("constraint"):
            return other
        cursor.take("column")
        column = cursor.name()
        cursor.take("to")
        return Operation(kind=OperationKind.RENAME_COLUMN, table=table, column=column, new_name=cursor.name())
    if cursor.take("add"):
        if cursor.peek() in _NO_COLUMN:
            return other
        cursor.take("column")
        conditional = cursor.take("if", "not", "exists")
        return Operation(kind=OperationKind.ADD_COLUMN, table=table, column=cursor.name(), conditional=conditional)
    if cursor.take("alter"):
        cursor.take("column")
        column = cursor.name()
        if cursor.take("type") or cursor.take("set", "data", "type"):
            return Operation(kind=OperationKind.CHANGE_TYPE, table=table, column=column)
        if cursor.take("set", "not", "null"):
            return Operation(kind=OperationKind.SET_NOT_NULL, table=table, column=column)
    if UNKNOWN_VALUE in cursor.peek():
        return Operation(kind=OperationKind.UNKNOWN, table=table)
    return other
