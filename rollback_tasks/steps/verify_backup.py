"""A backup that was proven once is proven again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup_check, scratch
from rollback_tasks.model.plan import Action, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyBackup(BaseStep):
    """Hash, read, restore beside and count. A bad backup is an answer, no failure.

    :param size_bytes: of the live database; the time limit grows with it.
    :param is_quick: leave the restore out.
    """

    kind: ClassVar[str] = "verify_backup"
    project_: Project
    run_id: str
    name: str
    size_bytes: int
    is_quick: bool = False

    def describe(self) -> str:
        """The operator's sentence."""
        how = "hash and read" if self.is_quick else "hash, read, restore beside and count"
        return f"{how} {self.name}"

    def forward(self) -> tuple[Action, ...]:
        """One command, which writes down what it found."""
        return (
            backup_check.verify(
                self.project_,
                backup=self.name,
                run_id=self.run_id,
                is_quick=self.is_quick,
                timeout=600 + self.size_bytes / 2_000_000,
            ),
        )

    def compensation(self) -> Compensation:
        """The scratch database is the run's own."""
        return Compensation("drop the run's scratch database", scratch.drop_scratch(self.project_, self.run_id))
