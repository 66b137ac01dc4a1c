"""Code and compose file go back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import git_checkout
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRelease(BaseStep):
    """Put the work tree at the target commit, detached: no branch is moved and none is lost.

    :param before: commit of HEAD now, ``branch`` the branch that it is on.
    """

    kind: ClassVar[str] = "checkout_release"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    before: str
    branch: str | None
    after: str
    is_dirty: bool

    def describe(self) -> str:
        """The operator's sentence."""
        return f"switch the checkout to commit {self.after[:12]}"

    def precondition(self) -> tuple[Check, ...]:
        """The work tree is saved."""
        return (Check("the work tree is saved", git_checkout.is_saved(self.project_.folder, self.run_id)),)

    def forward(self) -> tuple[Action, ...]:
        """Switch."""
        return (git_checkout.switch(self.project_.folder, self.after),)

    def postcondition(self) -> tuple[Check, ...]:
        """HEAD and every tracked file are the target's."""
        return (Check("the checkout is the target's", git_checkout.is_at(self.project_.folder, self.after)),)

    def project(self, state: HostState) -> HostState:
        """The target's commit, clean."""
        return replace(state, checkout=self.after)

    def unproject(self, state: HostState) -> HostState:
        """The commit as it was, with the changes that lay in it."""
        return replace(state, checkout=self.before + ("+" if self.is_dirty else ""))

    def compensation(self) -> Compensation:
        """HEAD, branch, index and every file as they were saved."""
        return Compensation(
            f"switch the checkout back to commit {self.before[:12]} with every change that lay in it",
            git_checkout.put_back(self.project_.folder, self.run_id, self.before, self.branch),
        )
