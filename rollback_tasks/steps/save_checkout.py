"""Nothing of the work tree is lost: not a change, not an untracked file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import git_checkout
from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCheckout(BaseStep):
    """A safety branch at HEAD; index and work tree as commits beside it."""

    kind: ClassVar[str] = "save_checkout"
    project_: Project
    run_id: str
    target: str
    changed: int

    @property
    def branch(self) -> str:
        """The safety branch."""
        return f"rollback/before-{self.run_id}"

    def describe(self) -> str:
        """The operator's sentence."""
        files = f" with {self.changed} changed file{'' if self.changed == 1 else 's'}" if self.changed else ""
        return f"save the checkout{files} as branch {self.branch}"

    def forward(self) -> tuple[Action, ...]:
        """Write commits and refs; tree and index do not move."""
        return (git_checkout.save(self.project_.folder, self.run_id, self.target),)

    def postcondition(self) -> tuple[Check, ...]:
        """The refs are there."""
        return (Check("the work tree is saved", git_checkout.is_saved(self.project_.folder, self.run_id)),)

    def project(self, state: HostState) -> HostState:
        """A branch more."""
        return state.keeping(f"branch {self.branch}")

    def compensation(self) -> Compensation | Keep:
        """The branch is the way back by hand."""
        return Keep(f"branch {self.branch} stays")
