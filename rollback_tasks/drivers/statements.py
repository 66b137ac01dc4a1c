"""SQL that goes both ways: over a session of this machine, or as a script for psql beside the server."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rollback_tasks.ports import Statement

# A setting of the application's database or role must not end or change what the tool asks. With pg_catalog alone in
# the path, names come back whole and no table or function of the application stands before one of the server.
SETTINGS = tuple(
    Statement(f"set {name} = {value}")
    for name, value in (
        ("client_encoding", "'UTF8'"),
        ("statement_timeout", "'30min'"),
        ("lock_timeout", "'10s'"),
        ("idle_in_transaction_session_timeout", "0"),
        ("search_path", "pg_catalog"),
        ("row_security", "off"),
    )
)
BEGIN = Statement("begin transaction isolation level repeatable read, read only")
COMMIT = Statement("commit")

# psql makes the savepoints by itself; one line an error.
_HEAD = "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK on\n\\set VERBOSITY terse\n"
_PLACE = re.compile(r"^psql:[^:\n]*:\d+: (?=[A-Z]+:)", re.MULTILINE)


def snapshot(*statements: Statement) -> tuple[Statement, ...]:
    """Return statements that all see the database as it was at one moment, and change nothing."""
    return (*SETTINGS, BEGIN, *statements, COMMIT)


def as_script(statements: Sequence[Statement]) -> str:
    """Return statements as a script for psql that does what ``ports.Database.ask`` promises."""
    return _HEAD + "".join(f"{each.text}\n\\gexec\n" if each.runs_answer else f"{each.text};\n" for each in statements)


def errors_of(text: str) -> str:
    """Given what psql said on stderr, return it as ``ports.Database.ask`` promises: without the place in the script."""
    return _PLACE.sub("", text)
