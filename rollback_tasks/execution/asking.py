"""Many commands in few round trips: one for each host that they belong to in turn."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import groupby

from rollback_tasks.ports import Completed, Host
from rollback_tasks.shell import Command, batch, unbatch


def ask(host: Host, commands: Sequence[Command]) -> list[Completed]:
    """Run ``commands`` in order, those that follow each other on one host in one round trip; return the answers of
    those that ran.

    It stops behind the first command whose exit code is not accepted: fewer answers than commands, or a last one that
    is not accepted, tell that. Raises as ``Host.run`` where a connection fails.
    """
    answers: list[Completed] = []
    for _, group in groupby(commands, key=lambda command: command.place):
        together = tuple(group)
        token = f"answer-{secrets.token_hex(12)}"
        done = host.run(batch(together, token=token))
        answers += [
            Completed(exit_code=code, stdout=stdout, stderr=stderr, seconds=done.seconds)
            for code, stdout, stderr in unbatch(done.stdout, done.stderr, token=token)
        ]
        if len(answers) < len(commands) and not _is_accepted(answers, commands):
            break
    return answers


def _is_accepted(answers: Sequence[Completed], commands: Sequence[Command]) -> bool:
    """True where the last answer allows to go on."""
    return bool(answers) and answers[-1].exit_code in commands[len(answers) - 1].ok_codes


def all_hold(host: Host, checks: Sequence[Command]) -> bool:
    """True where every check ends with exit code 0."""
    answers = ask(host, checks)
    return len(answers) == len(checks) and all(answer.exit_code == 0 for answer in answers)
