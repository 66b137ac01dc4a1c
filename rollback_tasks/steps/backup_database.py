"""The emergency backup, up to "every block can be read"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from rollback_tasks.drivers import backup
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupDatabase(BaseStep):
    """Dump with the counts of its own snapshot.

    :param size_bytes: of the database; the time limit grows with it.
    :param images: service to image id, of what is deployed.
    """

    kind: ClassVar[str] = "backup_database"
    project_: Project
    run_id: str
    name: str
    commit: str
    size_bytes: int
    host: str = ""
    images: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """The operator's sentence."""
        return f"back up database {self.project_.database} on the host and read the dump back"

    def forward(self) -> tuple[Action, ...]:
        """Dump, hash, read back, name."""
        # 5 MB a second is a tenth of what a small machine does; a dump that is slower hangs.
        timeout = 600 + self.size_bytes / 5_000_000
        return (
            backup.dump(
                self.project_,
                name=self.name,
                run_id=self.run_id,
                commit=self.commit,
                timeout=timeout,
                host=self.host,
                images=self.images,
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """The manifest says so and the bytes agree."""
        return (
            Check(
                "the backup is readable",
                backup.has_level(self.project_, self.name, BackupLevel.READABLE, size_bytes=self.size_bytes),
            ),
        )

    def project(self, state: HostState) -> HostState:
        """A backup more."""
        return state.keeping(f"backup {self.name}")

    def compensation(self) -> Compensation:
        """A finished backup stays; what a cut one left is ended."""
        return Compensation(
            "end what an unfinished dump left; a finished one stays",
            backup.end_leftovers(self.project_, name=self.name, run_id=self.run_id),
        )
