"""The target is tried where no client can reach it, before it is among those that serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import trial
from rollback_tasks.drivers.answering import Door
from rollback_tasks.model.plan import Action, Compensation, Gate
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class TryBeside(BaseStep):
    """Start one container of the target under no name of its service, ask it, and remove it. Times in seconds."""

    kind: ClassVar[str] = "try_beside"
    project_: Project
    run_id: str
    service: str
    door: Door
    url: str
    timeout: float
    interval: float
    soak: float

    def describe(self) -> str:
        """The operator's sentence."""
        return f"try one container of the target's {self.service} that no client reaches, on the data as it is"

    def forward(self) -> tuple[Action, ...]:
        """Start, ask, remove."""
        services = (self.service,)
        return (
            trial.start_trial(self.project_, self.run_id, self.service),
            Gate(
                url=self.url,
                timeout=self.timeout,
                interval=self.interval,
                soak=self.soak,
                find=trial.trial_place(self.run_id, self.service, self.door),
                watch=trial.trial_lives(self.run_id, services),
                is_strict=True,
            ),
            trial.end_trial(self.project_, self.run_id, services),
        )

    def compensation(self) -> Compensation:
        """Remove it."""
        gone = trial.end_trial(self.project_, self.run_id, (self.service,))
        return Compensation("remove the container of the trial, keeping its logs", gone)
