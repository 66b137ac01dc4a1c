"""Where nobody can say that the application is healthy, its containers at least have to live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import containers
from rollback_tasks.model.plan import Action
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitRunning(BaseStep):
    """Watch the containers: none may end badly or be started anew for some time.

    :param seconds: for which they have to live.
    """

    kind: ClassVar[str] = "await_running"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    seconds: float

    def describe(self) -> str:
        """The operator's sentence."""
        return f"watch for {self.seconds:g} s that the containers live: health cannot be asked without the database"

    def forward(self) -> tuple[Action, ...]:
        """Watch."""
        return (containers.live_on(self.project_, self.project_.app_services, self.seconds),)
