"""HEAD, branch and work tree go to another commit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import git_checkout
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCheckout(BaseStep):
    """Take the checkout from one commit to another, while the application goes on as it is.

    :param before: commit of HEAD now, ``branch`` the branch that it is on.
    :param onto: the branch that HEAD is on afterwards; None = on none.
    :param way: ``switch``, ``merge`` or ``point``, as ``git_checkout.move`` has it.
    """

    kind: ClassVar[str] = "move_checkout"
    project_: Project
    run_id: str
    before: str
    branch: str | None
    after: str
    onto: str | None
    way: str
    is_dirty: bool

    def describe(self) -> str:
        """The operator's sentence."""
        what = {"switch": "switch the checkout", "merge": "bring the checkout", "point": "move HEAD alone"}[self.way]
        if self.onto is None:
            return f"{what} to commit {self.after[:12]}, on no branch"
        return f"{what} to commit {self.after[:12]} on branch {self.onto}"

    def precondition(self) -> tuple[Check, ...]:
        """HEAD is what the plan saw, and the work tree is saved."""
        folder = self.project_.folder
        return (
            Check("the work tree is saved", git_checkout.is_saved(folder, self.run_id)),
            Check("the checkout is where it was", git_checkout.stands_at(folder, self.before, self.branch or "")),
        )

    def forward(self) -> tuple[Action, ...]:
        """Move."""
        onto = self.onto or ""
        return (
            git_checkout.move(
                self.project_.folder, self.run_id, self.way, before=self.before, after=self.after, onto=onto
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """HEAD is there; after a switch every tracked file is, too."""
        folder = self.project_.folder
        checks = [Check("the checkout is at the target", git_checkout.stands_at(folder, self.after, self.onto or ""))]
        if self.way == "switch":
            checks.append(Check("the checkout is the target's", git_checkout.is_at(folder, self.after)))
        return tuple(checks)

    def project(self, state: HostState) -> HostState:
        """The target's commit; changes stay but for a switch."""
        is_clean = self.way == "switch" or not self.is_dirty
        return replace(state, checkout=self.after + ("" if is_clean else "+"))

    def unproject(self, state: HostState) -> HostState:
        """The commit as it was, with the changes that lay in it."""
        return replace(state, checkout=self.before + ("+" if self.is_dirty else ""))

    def compensation(self) -> Compensation:
        """HEAD, branch, index and every file as they were saved."""
        moved = self.after if self.onto is not None and self.onto == self.branch else ""
        return Compensation(
            f"take the checkout back to commit {self.before[:12]} with every change that lay in it",
            git_checkout.put_back(self.project_.folder, self.run_id, self.before, self.branch, moved_to=moved),
        )
