"""The server stops, its volume gets the new data, the old data is kept in the other volume, the server starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import containers, exchange, postgres
from rollback_tasks.drivers.fresh import keeper
from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.model.volumes import DataVolume
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDatabase(BaseStep):
    """The live server ends by itself."""

    kind: ClassVar[str] = "stop_database"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return f"shut the database server down ({self.project_.db_service})"

    def precondition(self) -> tuple[Check, ...]:
        """Nobody of the application writes."""
        stopped = containers.are_stopped(self.project_, self.project_.app_services)
        return (Check("the application is stopped", stopped),)

    def forward(self) -> tuple[Action, ...]:
        """Stop."""
        return (exchange.stop(self.project_, self.run_id),)

    def postcondition(self) -> tuple[Check, ...]:
        """It was not killed."""
        return (Check("the database server has ended well", exchange.is_stopped(self.project_)),)

    def compensation(self) -> Compensation:
        """Start it, on whatever its volume holds then: what is newer was undone before."""
        return Compensation("start the database server", exchange.start(self.project_))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeVolumes(BaseStep):
    """Two volumes give each other their data; nothing is copied and nothing removed.

    :param before: alembic heads of the live database; ``after``: of the backup.
    """

    kind: ClassVar[str] = "exchange_volumes"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    volume: DataVolume
    before: tuple[str, ...]
    after: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return (
            f"exchange the data of volume {self.volume.name} for the new one; "
            f"the old data is kept as volume {self.volume.aside(self.run_id)}"
        )

    def forward(self) -> tuple[Action, ...]:
        """Rename; then see to it that no prune takes what is kept."""
        return (
            exchange.forward(self.project_, self.volume, self.run_id),
            exchange.keep(self.project_, self.volume, self.run_id),
        )

    def project(self, state: HostState) -> HostState:
        """The backup's schema."""
        return replace(state, schema=self.after).keeping(f"volume {self.volume.aside(self.run_id)}")

    def unproject(self, state: HostState) -> HostState:
        """The schema as it was."""
        return replace(state, schema=self.before)

    def compensation(self) -> Compensation:
        """Exchange back."""
        return Compensation(
            f"stop the database server and give volume {self.volume.name} its old data back",
            exchange.back(self.project_, self.volume, self.run_id),
        )

    def told(self, host: str) -> str:
        """Return what the operator should know afterwards."""
        aside = self.volume.aside(self.run_id)
        return (
            f"the old data is kept in volume {aside}; when nobody needs it any more, remove it on {host}: "
            f"docker rm {keeper(self.run_id)} && docker volume rm {aside}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDatabase(BaseStep):
    """The server starts on the new data."""

    kind: ClassVar[str] = "start_database"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    volume: DataVolume
    after: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return "start the database server on the new data, and wait until it answers"

    def forward(self) -> tuple[Action, ...]:
        """Start."""
        return (exchange.start(self.project_),)

    def postcondition(self) -> tuple[Check, ...]:
        """It really is the other data."""
        return (
            Check("the server runs on the new data", exchange.is_live(self.project_, self.volume, self.run_id)),
            Check("the schema is that of the backup", postgres.has_schema(self.project_, self.after)),
        )

    def compensation(self) -> Keep:
        """The step before it stops the server again."""
        return Keep("it is stopped before its data is exchanged back")
