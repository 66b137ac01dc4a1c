"""A backup comes back beside what is live, while the application goes on serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup, beside, consistency
from rollback_tasks.drivers.databases import restored_name
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreBeside(BaseStep):
    """Restore a dump into a new database of the run's own.

    :param source: absolute path of the backup on the host that serves the database, without ending.
    :param size_bytes: of the dump; the time limit grows with it.
    """

    kind: ClassVar[str] = "restore_beside"
    project_: Project
    run_id: str
    source: str
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        there = restored_name(self.project_.database, self.run_id)
        return f"restore {self.source.rpartition('/')[2]} into a new database {there}, beside the live one"

    def precondition(self) -> tuple[Check, ...]:
        """The dump still is what the plan looked at: somebody may have brought another one meanwhile."""
        whole = backup.is_whole(self.project_, self.source, size_bytes=self.size_bytes)
        return (Check("the backup is whole", whole),)

    def forward(self) -> tuple[Action, ...]:
        """Make, fill, analyze."""
        # A dump is a seventh to a third of its database; a restore that is slower than 1 MB of it a second hangs.
        timeout = 600 + self.size_bytes / 300_000
        return (beside.restore(self.project_, source=self.source, run_id=self.run_id, timeout=timeout),)

    def compensation(self) -> Compensation:
        """The database is the run's own until it is live."""
        return Compensation("drop the restored database", beside.drop(self.project_, self.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRestored(BaseStep):
    """What was restored is what the manifest says, to the row.

    :param is_compared: the live database is compared with it at the end of the run.
    """

    kind: ClassVar[str] = "verify_restored"
    project_: Project
    run_id: str
    source: str
    is_compared: bool = True

    def describe(self) -> str:
        """The operator's sentence."""
        return "compare every row count and the schema of the restored database with the manifest"

    def forward(self) -> tuple[Action, ...]:
        """Keep its consistency, to be compared with at the end."""
        if not self.is_compared:
            return ()
        there = restored_name(self.project_.database, self.run_id)
        return (consistency.keep_before(self.project_, self.run_id, database=there),)

    def postcondition(self) -> tuple[Check, ...]:
        """Exactly."""
        return (
            Check(
                "the restored database is what its manifest says",
                beside.verify(self.project_, source=self.source, run_id=self.run_id),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRestored(BaseStep):
    """What was restored beside has given what it was for."""

    kind: ClassVar[str] = "drop_restored"
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return "drop the restored database; the backup stays"

    def forward(self) -> tuple[Action, ...]:
        """Drop what the run made itself."""
        return (beside.drop(self.project_, self.run_id),)
