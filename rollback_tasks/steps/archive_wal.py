"""What is written now gets into the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import wal
from rollback_tasks.model.plan import Action, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveWal(BaseStep):
    """Finish the current segment, and wait until that very file is in the archive: the proof that archiving works."""

    kind: ClassVar[str] = "archive_wal"
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return f"finish the current segment of the log and wait until it is in {self.project_.wal_archive}"

    def forward(self) -> tuple[Action, ...]:
        """Commit, switch, wait."""
        return (wal.close(self.project_, run_id=self.run_id),)

    def compensation(self) -> Keep:
        """A segment more in the archive changes nothing."""
        return Keep("the segment stays in the archive")
