"""Commands of a step that travel together, and which of them failed."""

from __future__ import annotations

from rollback_tasks.errors import CommandFailed, CommandTimedOut, StepFailed
from rollback_tasks.execution import journal
from rollback_tasks.execution.asking import ask
from rollback_tasks.execution.settling import Fenced
from rollback_tasks.model.plan import Check
from rollback_tasks.ports import Host
from rollback_tasks.shell import Command


class Pending:
    """Collects commands that need no input, to run them in as few round trips as can be."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._commands: list[tuple[str, Command]] = []

    def add(self, command: Command, says: str = "") -> None:
        """Add a command; ``says`` is the problem where it fails, empty = what the command itself says."""
        self._commands.append((says, command))

    def check(self, checks: tuple[Check, ...], what: str) -> None:
        """Add checks; a failing one reads ``what: says``."""
        for check in checks:
            self.add(check.command, f"{what}: {check.says}")

    def flush(self) -> None:
        """Run what is pending; raise for the first that failed.

        :raises Fenced: the run is no longer ours.
        :raises StepFailed: a command failed or a condition does not hold.
        """
        if not self._commands:
            return
        commands, self._commands = self._commands, []
        answers = ask(self._host, [command for _, command in commands])
        name = self._host.name
        if not answers:
            raise StepFailed("the host did not answer the step's script", host=name)
        said, command = commands[len(answers) - 1]
        last = answers[-1]
        if last.exit_code not in command.ok_codes:
            if last.exit_code == journal.FENCED:
                raise Fenced("another decision was taken on the host while this run was away", host=name)
            if last.exit_code == 124:
                raise CommandTimedOut(f"a command ran longer than {command.timeout:g} s", host=name)
            failed = CommandFailed(_readable(command), last.exit_code, last.error_text, host=name)
            raise StepFailed(said or failed.brief, details=failed.details, host=name) from failed
        if len(answers) < len(commands):
            raise StepFailed("the step's script ended early", host=name)


def _readable(command: Command) -> tuple[str, ...]:
    """Return a command's words as a person may read them: not a script's whole text."""
    if command.argv[:2] == ("sh", "-c"):
        return ("a script on the host",)
    return command.argv
