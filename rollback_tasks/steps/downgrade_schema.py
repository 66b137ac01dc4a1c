"""The schema goes back, by the scripts of the release that made it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import alembic_run, containers, postgres, scratch
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Effect, script
from rollback_tasks.steps.base import BaseStep

# Without the mark the way back would do nothing: its folder is flushed as well.
_MARK = 'umask 077; : >"$1" || exit 1; sync "$1" "${1%/*}" 2>/dev/null || sync'


@dataclass(frozen=True, slots=True, kw_only=True)
class DowngradeSchema(BaseStep):
    """``alembic downgrade`` with the deployed image while the application is stopped.

    :param commands: arguments of ``alembic downgrade``, in order.
    :param marker: file on the host that says that the live database is being changed.
    """

    kind: ClassVar[str] = "downgrade_schema"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    deployed: Deployed
    commands: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    marker: str

    def describe(self) -> str:
        """The operator's sentence."""
        there = ", ".join(self.after) or "base"
        return f"downgrade the schema from {', '.join(self.before) or 'base'} to {there} with the deployed image"

    def precondition(self) -> tuple[Check, ...]:
        """Nobody writes, the schema is still the one that was planned for, and the way back exists."""
        return (
            Check("the application is stopped", containers.are_stopped(self.project_, self.project_.app_services)),
            Check("the schema is the planned one", postgres.has_schema(self.project_, self.before)),
            Check("the copy to go back to exists", scratch.has_copy(self.project_, self.run_id)),
        )

    def forward(self) -> tuple[Action, ...]:
        """Mark, then downgrade."""
        mark = script(_MARK, self.marker, effect=Effect.WRITE, place=self.project_.database_site.place)
        return (
            mark,
            *(
                alembic_run.run(
                    *(self.deployed, ("downgrade", revision)),
                    run_id=self.run_id,
                    project=self.project_.name,
                    effect=Effect.DESTROY,
                    timeout=1800,
                )
                for revision in self.commands
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """Success is what ``alembic_version`` says, not the exit code."""
        return (Check("the schema is the target's", postgres.has_schema(self.project_, self.after)),)

    def project(self, state: HostState) -> HostState:
        """The target's schema."""
        return replace(state, schema=self.after)

    def unproject(self, state: HostState) -> HostState:
        """The schema as it was; what was half changed is put aside."""
        return replace(state, schema=self.before)

    def compensation(self) -> Compensation:
        """Swap by rename; what was half changed is put aside, not dropped."""
        return Compensation(
            "make the untouched copy the live database again",
            scratch.swap_back(self.project_, self.run_id, marker=self.marker),
        )
