"""Many commands in one round trip."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from rollback_tasks.ports import Completed, Host
from rollback_tasks.shell import Command, batch, unbatch


def ask(host: Host, commands: Sequence[Command]) -> list[Completed]:
    """Run ``commands`` in order in one round trip; return the answers of those that ran.

    The batch stops behind the first command whose exit code is not accepted: fewer answers than commands, or a
    last one that is not accepted, tell that. Raises as ``Host.run`` where the connection fails.
    """
    token = f"answer-{secrets.token_hex(12)}"
    done = host.run(batch(commands, token=token))
    return [
        Completed(exit_code=code, stdout=stdout, stderr=stderr, seconds=done.seconds)
        for code, stdout, stderr in unbatch(done.stdout, done.stderr, token=token)
    ]
