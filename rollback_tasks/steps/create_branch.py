"""A branch more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import git_refs
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBranch(BaseStep):
    """Make a branch at a commit; HEAD stays where it is."""

    kind: ClassVar[str] = "create_branch"
    project_: Project
    run_id: str
    name: str
    commit: str

    def describe(self) -> str:
        """The operator's sentence."""
        return f"make branch {self.name} at commit {self.commit[:12]}"

    def forward(self) -> tuple[Action, ...]:
        """Make it."""
        return (git_refs.create_branch(self.project_.folder, self.run_id, self.name, self.commit),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is there."""
        ref = git_refs.HEADS + self.name
        return (Check("the branch is there", git_refs.points_to(self.project_.folder, ref, self.commit)),)

    def compensation(self) -> Compensation:
        """What somebody has put onto it since stays."""
        return Compensation(
            f"take branch {self.name} away, where nothing was put onto it",
            git_refs.delete_branch(self.project_.folder, self.name, self.commit),
        )
