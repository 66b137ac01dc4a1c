"""The restored database takes the place of the live one, by rename."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import containers, postgres, swap
from rollback_tasks.drivers.databases import copy_name
from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapDatabase(BaseStep):
    """Two renames in one transaction; the old database is kept.

    :param before: alembic heads of the live database.
    :param after: those of the restored one.
    """

    kind: ClassVar[str] = "swap_database"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return (
            "end all sessions and make the restored database the live one by rename; "
            f"the old one is kept as {copy_name(self.project_.database, self.run_id)}"
        )

    def precondition(self) -> tuple[Check, ...]:
        """Nobody of the application writes, and there is something to swap in."""
        return (
            Check("the application is stopped", containers.are_stopped(self.project_, self.project_.app_services)),
            Check("the restored database waits beside the live one", swap.is_ready(self.project_, self.run_id)),
        )

    def forward(self) -> tuple[Action, ...]:
        """Copy the properties of the database itself, end sessions, rename."""
        return (swap.forward(self.project_, self.run_id),)

    def postcondition(self) -> tuple[Check, ...]:
        """The other one is live, the old one there."""
        return (
            Check("the restored database is live", swap.is_swapped(self.project_, self.run_id)),
            Check("the schema is that of the backup", postgres.has_schema(self.project_, self.after)),
        )

    def project(self, state: HostState) -> HostState:
        """The backup's schema."""
        return replace(state, schema=self.after).keeping(f"database {copy_name(self.project_.database, self.run_id)}")

    def unproject(self, state: HostState) -> HostState:
        """The schema as it was."""
        return replace(state, schema=self.before)

    def compensation(self) -> Compensation:
        """Swap by rename; nothing that was written is dropped."""
        return Compensation("make the old database the live one again", swap.back(self.project_, self.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteServed(BaseStep):
    """From here on the application may write to what was restored: it is no longer the run's to drop."""

    kind: ClassVar[str] = "note_served"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return "note that the application may write to the restored database"

    def forward(self) -> tuple[Action, ...]:
        """One file."""
        return (swap.note_served(self.project_, self.run_id),)

    def compensation(self) -> Keep:
        """What was noted stays true."""
        return Keep("the note stays in the run's folder")
