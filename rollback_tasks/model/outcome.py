"""How a run ended: for people, programs and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rollback_tasks.errors import ExitCode


class Outcome(Enum):
    """The words of the JSON report; public API."""

    DONE = "done"
    NOOP = "noop"
    PLANNED = "planned"
    BLOCKED = "blocked"
    RESTORED = "restored"
    STRANDED = "stranded"
    LOCKED = "locked"
    UNREACHABLE = "unreachable"
    DECLINED = "declined"
    PROBLEMS = "problems"
    FAILED = "failed"


class StepState(Enum):
    """States of a step in journals and reports."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What became of one step."""

    kind: str
    state: StepState
    seconds: float = 0.0


_EXIT_CODES: Mapping[Outcome, ExitCode] = {
    Outcome.DONE: ExitCode.DONE,
    Outcome.NOOP: ExitCode.DONE,
    Outcome.PLANNED: ExitCode.DONE,
    Outcome.BLOCKED: ExitCode.REFUSED,
    Outcome.RESTORED: ExitCode.RESTORED,
    Outcome.STRANDED: ExitCode.STRANDED,
    Outcome.LOCKED: ExitCode.LOCKED,
    Outcome.UNREACHABLE: ExitCode.UNREACHABLE,
    Outcome.DECLINED: ExitCode.DECLINED,
    Outcome.PROBLEMS: ExitCode.PROBLEMS,
    Outcome.FAILED: ExitCode.BUG,
}

# The worst host decides, in this order (SPEC: exit codes).
_WORST_FIRST = (
    ExitCode.STRANDED,
    ExitCode.RESTORED,
    ExitCode.BUG,
    ExitCode.UNREACHABLE,
    ExitCode.LOCKED,
    ExitCode.REFUSED,
    ExitCode.PROBLEMS,
    ExitCode.DECLINED,
    ExitCode.USAGE,
    ExitCode.DONE,
)


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """Given the hosts' exit codes, return the one that the fleet exits with; DONE for none."""
    return min(codes, key=_WORST_FIRST.index, default=ExitCode.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What is said about one host afterwards. ``extra`` holds what only some tasks report."""

    host: str
    outcome: Outcome
    verdict: str | None = None
    left: Mapping[str, Any] | None = None
    reached: Mapping[str, Any] | None = None
    steps: tuple[StepRecord, ...] = ()
    backup: Mapping[str, Any] | None = None
    downtime_seconds: float | None = None
    error: str | None = None
    hint: str | None = None
    warnings: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code that this host alone would give."""
        return _EXIT_CODES[self.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What is said about a run, in the order of the inventory."""

    task: str
    run_id: str
    hosts: tuple[HostReport, ...] = ()
    report: str | None = None
    next: str | None = None
    error: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The worst host's code."""
        return worst([host.exit_code for host in self.hosts])

    @property
    def outcome(self) -> Outcome:
        """The worst host's outcome; a run in which one host was done and others needed nothing is done."""
        if not self.hosts:
            return Outcome.NOOP
        code = self.exit_code
        outcomes = [host.outcome for host in self.hosts if host.exit_code == code]
        return Outcome.DONE if Outcome.DONE in outcomes else outcomes[0]
