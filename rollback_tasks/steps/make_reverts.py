"""The commits that take others back, made before anything moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import git_revert
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeReverts(BaseStep):
    """Make the commits beside the checkout.

    :param before: what they stand on.
    :param commits: what is taken back, newest first; ``subjects`` their first lines.
    :param after: the last of the new commits, as the rehearsal made it.
    """

    kind: ClassVar[str] = "make_reverts"
    project_: Project
    run_id: str
    before: str
    commits: tuple[str, ...]
    subjects: tuple[str, ...]
    mainline: int | None
    signature: Signature
    after: str

    def describe(self) -> str:
        """The operator's sentence."""
        count = len(self.commits)
        named = [f"{commit[:12]} {subject}" for commit, subject in zip(self.commits, self.subjects, strict=True)]
        shown = ", ".join(named[:10]) + (f" and {count - 10} more" if count > 10 else "")
        return f"make the {'commit that reverts' if count == 1 else f'{count} commits that revert'} {shown}"

    def forward(self) -> tuple[Action, ...]:
        """Write commits; checkout and branches stay."""
        return (
            git_revert.make(
                self.project_.folder,
                self.run_id,
                self.before,
                self.commits,
                self.mainline,
                self.signature,
                self.after,
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """They are the ones that the plan saw."""
        return (Check("the commits are made", git_revert.is_made(self.project_.folder, self.run_id, self.after)),)

    def compensation(self) -> Compensation:
        """Nothing holds them any more."""
        return Compensation("let go of the new commits", git_revert.forget(self.project_.folder, self.run_id))
