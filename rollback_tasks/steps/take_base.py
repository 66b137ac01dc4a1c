"""A physical base backup, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import base_backup
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBase(BaseStep):
    """Copy the whole cluster into one archive, unpack it beside and compare every file with the server's own sums."""

    kind: ClassVar[str] = "take_base"
    project_: Project
    run_id: str
    name: str
    segment_bytes: int
    cluster_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return "copy the whole cluster while it serves, unpack the copy beside and check every file of it"

    def forward(self) -> tuple[Action, ...]:
        """Take, hash, check, name."""
        timeout = 900 + self.cluster_bytes / 3_000_000
        return (
            base_backup.take(
                self.project_, segment_bytes=self.segment_bytes, name=self.name, run_id=self.run_id, timeout=timeout
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """The bytes are those of the manifest."""
        return (Check("the base backup is whole", base_backup.has(self.project_, self.name)),)

    def project(self, state: HostState) -> HostState:
        """A base backup more."""
        return state.keeping(f"base backup {self.name}")

    def compensation(self) -> Compensation:
        """A finished one stays; what a cut one left is removed."""
        return Compensation(
            "remove what an unfinished base backup left; a finished one stays",
            base_backup.end_leftovers(self.project_, name=self.name, run_id=self.run_id),
        )
