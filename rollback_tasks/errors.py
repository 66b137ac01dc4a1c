"""The error tree: what happened, what state things are in, and the command to type next."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of every task; public API, documented in README."""

    DONE = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    RESTORED = 4
    STRANDED = 5
    LOCKED = 6
    UNREACHABLE = 7
    DECLINED = 8
    PROBLEMS = 9


class RollbackError(Exception):
    """A failure with a name.

    :param brief: what happened, lower case, without a full stop.
    :param details: what state things are in now; empty where the brief says it all.
    :param hint: a sentence that names the next command to type; empty where there is none.
    :param host: the inventory name of the host that it happened on, if one.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, brief: str, *, details: str = "", hint: str = "", host: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint
        self.host = host

    def __str__(self) -> str:
        lines = [f"{self.host}: {self.brief}" if self.host else self.brief]
        if self.details:
            lines.append(self.details)
        if self.hint:
            lines.append(f"HINT: {self.hint}")
        return "\n".join(lines)


class UsageError(RollbackError):
    """A flag is missing, unknown or contradicts another; nothing was touched."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """hosts.yaml is missing or wrong.

    :param problems: every problem, each with its path in the file.
    """

    def __init__(self, path: str, problems: Sequence[str], *, hint: str = "") -> None:
        self.path = path
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            f"{path}: {count} problem{'' if count == 1 else 's'}",
            details="\n".join(f"  {problem}" for problem in self.problems),
            hint=hint,
        )


class PlanRefused(RollbackError):
    """The plan has blockers, or no longer fits the host; nothing was changed."""

    exit_code = ExitCode.REFUSED


class StepFailed(RollbackError):
    """A step did not do what it promised; its run is put back by the compensations."""

    exit_code = ExitCode.RESTORED


class Stranded(RollbackError):
    """Putting things back failed as well: the host needs a person."""

    exit_code = ExitCode.STRANDED


class LockHeld(RollbackError):
    """Another run holds the host, or left it unfinished."""

    exit_code = ExitCode.LOCKED


class Unreachable(RollbackError):
    """No connection could be made; the host is untouched."""

    exit_code = ExitCode.UNREACHABLE


class HostKeyUnknown(Unreachable):
    """The host's key is in no known_hosts file that holds for it."""


class HostKeyChanged(Unreachable):
    """The host shows another key than the one that is known, or a revoked one."""


class AuthenticationFailed(Unreachable):
    """The host refused every identity that was offered."""


class ConnectionLost(RollbackError):
    """The connection broke while a command ran: its outcome is unknown, never "failed"."""

    exit_code = ExitCode.STRANDED


class CommandTimedOut(StepFailed):
    """A remote command ran over its time limit and was ended on the host."""


class CommandFailed(StepFailed):
    """A remote command ended with an exit code that its caller does not accept.

    :param argv: the words of the command as a person may read them (no secret stands there).
    :param exit_code_seen: what the remote process returned.
    :param stderr: the last lines that it printed, decoded.
    """

    def __init__(self, argv: Sequence[str], exit_code_seen: int, stderr: str, *, host: str = "") -> None:
        self.argv = tuple(argv)
        self.exit_code_seen = exit_code_seen
        self.stderr = stderr
        super().__init__(
            f"{self.argv[0] if self.argv else 'command'} ended with exit code {exit_code_seen}",
            details=stderr.strip()[-2000:],
            host=host,
        )


class NotReadOnly(RollbackError):
    """A command that changes something was given to a read-only host: a bug in a flow."""


class Declined(RollbackError):
    """The operator said no; nothing was changed."""

    exit_code = ExitCode.DECLINED


class ProblemsFound(RollbackError):
    """A check ran to its end and found problems."""

    exit_code = ExitCode.PROBLEMS


class MalformedAnswer(StepFailed):
    """A tool answered in a form that its driver cannot read."""
