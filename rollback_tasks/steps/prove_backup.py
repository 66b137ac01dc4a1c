"""A backup that was never restored is a hope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup, consistency, scratch
from rollback_tasks.model.plan import Action, Check, Compensation, Fetch
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveBackup(BaseStep):
    """Restore into a scratch database, compare every count, write the level down, here and there."""

    kind: ClassVar[str] = "prove_backup"
    project_: Project
    run_id: str
    name: str
    local_folder: str
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return "prove the backup: restore it into a scratch database and compare all row counts"

    def forward(self) -> tuple[Action, ...]:
        """Restore beside; then the manifest with its new level follows the dump to the laptop."""
        timeout = 600 + self.size_bytes / 2_000_000
        remote = f"{self.project_.backup_folder}/{self.name}"
        return (
            scratch.prove(self.project_, backup=self.name, run_id=self.run_id, timeout=timeout),
            Fetch(remote, f"{self.local_folder}/{self.name}", self.project_.database_site.place),
            consistency.keep_before(self.project_, self.run_id),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """The level is restored."""
        return (
            Check(
                "the backup was restored and compared",
                backup.has_level(self.project_, self.name, BackupLevel.RESTORED, size_bytes=self.size_bytes),
            ),
        )

    def compensation(self) -> Compensation:
        """The scratch database is the run's own."""
        return Compensation("drop the run's scratch database", scratch.drop_scratch(self.project_, self.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropScratch(BaseStep):
    """The scratch database has done its work before downtime starts."""

    kind: ClassVar[str] = "drop_scratch"
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return "drop the scratch database"

    def forward(self) -> tuple[Action, ...]:
        """Drop what the run made itself."""
        return (scratch.drop_scratch(self.project_, self.run_id),)
