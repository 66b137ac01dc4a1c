"""One table gets its rows back from a restored database; readers do not notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import table_rows
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTable(BaseStep):
    """Compare the table's columns in both databases, and lay the backup's rows beside the live ones.

    :param source: absolute path of the backup on the host that serves the database, without ending.
    :param size_bytes: of the dump; the time limit grows with it.
    """

    kind: ClassVar[str] = "stage_table"
    project_: Project
    run_id: str
    table: str
    source: str
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return f"compare the columns of {self.table} and lay its rows of the backup beside the live table"

    def forward(self) -> tuple[Action, ...]:
        """Copy."""
        timeout = 300 + self.size_bytes / 300_000
        return (
            table_rows.stage(self.project_, table=self.table, source=self.source, run_id=self.run_id, timeout=timeout),
        )

    def compensation(self) -> Compensation:
        """They lie in a schema of the run's own."""
        return Compensation("drop the rows that were laid beside", table_rows.discard(self.project_, self.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeTable(BaseStep):
    """One transaction, in which foreign keys both ways are checked; what it changes is kept as it was.

    :param replaces: rows that differ get the backup's values.
    :param deletes: rows that the backup does not have are deleted.
    :param is_quiet: the table's own triggers do not fire.
    """

    kind: ClassVar[str] = "merge_table"
    project_: Project
    run_id: str
    table: str
    replaces: bool
    deletes: bool
    is_quiet: bool
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        also = [
            word
            for word, is_meant in (
                ("give rows that differ the backup's values", self.replaces),
                ("delete rows that the backup does not have", self.deletes),
            )
            if is_meant
        ]
        does = " and ".join([f"insert the missing rows of {self.table}", *also])
        quiet = ", its triggers silent" if self.is_quiet else ""
        return f"{does}, in one transaction{quiet}; rows that change are kept as they were"

    def forward(self) -> tuple[Action, ...]:
        """Merge."""
        return (
            table_rows.merge(
                self.project_,
                table=self.table,
                run_id=self.run_id,
                replaces=self.replaces,
                deletes=self.deletes,
                is_quiet=self.is_quiet,
                timeout=300 + self.size_bytes / 300_000,
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """It was committed."""
        return (Check("the rows came back", table_rows.is_merged(self.project_, self.run_id)),)

    def project(self, state: HostState) -> HostState:
        """What is needed for the way back stays."""
        return state.keeping(f"schema {table_rows.schema_name(self.run_id)}")

    def compensation(self) -> Compensation:
        """From what was kept."""
        return Compensation(
            f"give the rows of {self.table} back what they held", table_rows.undo(self.project_, self.run_id)
        )
