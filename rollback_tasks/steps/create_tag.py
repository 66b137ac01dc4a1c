"""A release gets its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import git_refs
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTag(BaseStep):
    """Make an annotated tag on a commit; a tag that is there is never moved."""

    kind: ClassVar[str] = "create_tag"
    project_: Project
    run_id: str
    name: str
    commit: str
    message: str
    signature: Signature

    def describe(self) -> str:
        """The operator's sentence."""
        return f"tag commit {self.commit[:12]} as {self.name}"

    def forward(self) -> tuple[Action, ...]:
        """Make it."""
        project = self.project_
        return (git_refs.create_tag(project.folder, self.run_id, self.name, self.commit, self.message, self.signature),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is there."""
        ref = git_refs.TAGS + self.name
        return (Check("the tag is there", git_refs.points_to(self.project_.folder, ref, self.commit)),)

    def compensation(self) -> Compensation:
        """Only the tag that this run made."""
        return Compensation(
            f"take tag {self.name} away", git_refs.delete_tag(self.project_.folder, self.run_id, self.name)
        )
