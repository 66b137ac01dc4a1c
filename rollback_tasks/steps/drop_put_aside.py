"""What a run put aside, and nobody will go back to, makes room; its backup stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup, beside, put_aside
from rollback_tasks.model.plan import Action, Check, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPutAside(BaseStep):
    """Drop a database that a run put aside.

    :param database: its name.
    :param backup: of just that database.
    :param says: the operator's sentence.
    """

    kind: ClassVar[str] = "drop_put_aside"
    project_: Project
    run_id: str
    database: str
    backup: str
    size_bytes: int
    says: str

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def precondition(self) -> tuple[Check, ...]:
        """What goes is all in its backup: nobody wrote to it since."""
        place = f"{self.project_.backup_folder}/{self.backup}"
        return (
            Check(
                "its backup is whole",
                backup.has_level(self.project_, self.backup, BackupLevel.READABLE, size_bytes=self.size_bytes),
            ),
            Check(
                f"database {self.database} is as its backup has it",
                beside.verify(self.project_, source=place, run_id=self.run_id, database=self.database),
            ),
        )

    def forward(self) -> tuple[Action, ...]:
        """Drop, unless somebody works in it."""
        return (put_aside.drop_database(self.project_, name=self.database, run_id=self.run_id),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is gone."""
        return (Check("it is gone", put_aside.is_gone(self.project_, name=self.database)),)

    def compensation(self) -> Keep:
        """Its backup brings it back."""
        return Keep(f"its backup, {self.backup}, there and on this machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class DropKeptRows(BaseStep):
    """Drop the schema in which a run kept rows.

    :param backup: proven, of the live database, that holds these rows.
    :param says: the operator's sentence.
    """

    kind: ClassVar[str] = "drop_kept_rows"
    project_: Project
    run_id: str
    schema: str
    backup: str
    size_bytes: int
    says: str

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def precondition(self) -> tuple[Check, ...]:
        """A proven backup has the rows."""
        return (
            Check(
                "the backup that holds these rows is proven",
                backup.has_level(self.project_, self.backup, BackupLevel.RESTORED, size_bytes=self.size_bytes),
            ),
        )

    def forward(self) -> tuple[Action, ...]:
        """Drop, unless something else depends on it."""
        return (put_aside.drop_schema(self.project_, name=self.schema, run_id=self.run_id),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is gone."""
        return (Check("it is gone", put_aside.is_gone(self.project_, name=self.schema)),)

    def compensation(self) -> Keep:
        """A backup has them."""
        return Keep(f"backup {self.backup} holds these rows")
