"""A way back that does not grow with the database: a copy inside the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import containers, databases, scratch
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDatabase(BaseStep):
    """Copy the live database as it stands with the application stopped.

    :param marker: file on the host that says that the live one was changed since.
    """

    kind: ClassVar[str] = "copy_database"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    marker: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The copy."""
        return databases.copy_name(self.project_.database, self.run_id)

    def describe(self) -> str:
        """The operator's sentence."""
        return f"copy the database inside the server to {self.name}, kept for going back"

    def precondition(self) -> tuple[Check, ...]:
        """Nobody of the application writes: an engine that was restarted starts containers again."""
        return (Check("the application is stopped", containers.are_stopped(self.project_, self.project_.app_services)),)

    def forward(self) -> tuple[Action, ...]:
        """End other sessions, copy, open again."""
        return (scratch.copy(self.project_, self.run_id, timeout=300 + self.size_bytes / 5_000_000),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is there."""
        return (Check("the copy exists", scratch.has_copy(self.project_, self.run_id)),)

    def project(self, state: HostState) -> HostState:
        """A database more."""
        return state.keeping(f"database {self.name}")

    def compensation(self) -> Compensation:
        """Drop it, unless it is the only good one."""
        return Compensation(
            "drop the copy, where nothing was changed since it was made",
            scratch.drop_copy(self.project_, self.run_id, marker=self.marker),
        )
