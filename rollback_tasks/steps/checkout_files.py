"""The compose file goes back, and nothing else of the checkout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import git_checkout, git_files
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutFiles(BaseStep):
    """Lay the compose files of a commit into the work tree; HEAD and every other file stay.

    :param before: commit of HEAD.
    """

    kind: ClassVar[str] = "checkout_files"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    before: str
    after: str
    is_dirty: bool

    def describe(self) -> str:
        """The operator's sentence."""
        return f"lay {', '.join(self.project_.files)} of commit {self.after[:12]} into the checkout"

    def precondition(self) -> tuple[Check, ...]:
        """The work tree is saved."""
        return (Check("the work tree is saved", git_checkout.is_saved(self.project_.folder, self.run_id)),)

    def forward(self) -> tuple[Action, ...]:
        """Switch them."""
        return (git_files.switch_files(self.project_.folder, self.after, self.project_.files),)

    def postcondition(self) -> tuple[Check, ...]:
        """They are the commit's."""
        check = git_files.are_at(self.project_.folder, self.after, self.project_.files)
        return (Check("the compose files are the target's", check),)

    def project(self, state: HostState) -> HostState:
        """HEAD with other files."""
        return replace(state, checkout=f"{self.before}+{self.after}")

    def unproject(self, state: HostState) -> HostState:
        """The commit as it was, with the changes that lay in it."""
        return replace(state, checkout=self.before + ("+" if self.is_dirty else ""))

    def compensation(self) -> Compensation:
        """The files as they were saved."""
        return Compensation(
            f"put {', '.join(self.project_.files)} back as they were",
            git_files.put_files_back(self.project_.folder, self.run_id, self.project_.files),
        )
