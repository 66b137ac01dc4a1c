"""What happens during a run, as values. Sinks in ``reporting`` show them."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_tasks.model.outcome import HostReport, RunReport
from rollback_tasks.model.plan import Plan


@dataclass(frozen=True, slots=True)
class Note:
    """A line of progress; ``host`` is empty where it concerns none."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class PlanReady:
    """All hosts are planned; nothing was changed yet."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step is about to act; its compensation is already on the host."""

    host: str
    number: int
    count: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step acted and its postcondition holds."""

    host: str
    number: int
    count: int
    kind: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed; compensations follow."""

    host: str
    number: int
    count: int
    kind: str
    problem: str


@dataclass(frozen=True, slots=True)
class Compensated:
    """One compensation ran on the host. ``is_done`` is False where it failed; ``why`` are its last words then."""

    host: str
    kind: str
    is_done: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class HostDone:
    """A host reached its outcome."""

    report: HostReport


@dataclass(frozen=True, slots=True)
class RunDone:
    """The run is over."""

    report: RunReport


Event = Note | PlanReady | StepStarted | StepDone | StepFailed | Compensated | HostDone | RunDone
