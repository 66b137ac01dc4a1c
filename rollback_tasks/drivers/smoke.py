"""The application's own tests, run inside of it."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.shell import Command, Effect, script

# Killing the client does not end what runs in the container; where it has `timeout`, that does.
_RUN = """\
id=$1 limit=$2
shift 2
if docker exec "$id" sh -c 'command -v timeout' >/dev/null 2>&1; then set -- timeout "$limit" "$@"; fi
exec docker exec "$id" "$@"
"""


def run(container: str, words: Sequence[str], *, timeout: float) -> Command:
    """Return the command that runs ``words`` in a container; any exit code is an answer.

    What tests do inside is theirs: it counts as a change.
    """
    return script(
        _RUN,
        container,
        str(max(1, int(timeout))),
        *words,
        effect=Effect.WRITE,
        timeout=timeout + 5,
        ok_codes=frozenset(range(256)),
    )
