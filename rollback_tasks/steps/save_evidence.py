"""Keep what the broken release has to say before anything is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import containers
from rollback_tasks.model.plan import Action, Compensation, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveEvidence(BaseStep):
    """Container logs and descriptions, without their environment, to the run's folder."""

    kind: ClassVar[str] = "save_evidence"
    project_: Project
    run_id: str

    @property
    def place(self) -> str:
        """The folder on the host."""
        return f"{self.project_.run_folder(self.run_id)}/evidence"

    def describe(self) -> str:
        """The operator's sentence."""
        return "save logs and state of every container as evidence"

    def forward(self) -> tuple[Action, ...]:
        """Write the files."""
        return (containers.save_evidence(self.project_, self.place),)

    def compensation(self) -> Compensation | Keep:
        """Evidence is kept."""
        return Keep(f"the evidence stays in {self.place}")
