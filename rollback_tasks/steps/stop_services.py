"""Downtime begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import compose_revive, containers
from rollback_tasks.model.facts import Container, grace, ran
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServices(BaseStep):
    """Stop the application; its containers stay.

    :param old: the containers that the services have now.
    :param is_pulled: the compose file asks for a pull, which is held back.
    :param otherwise: commit of a compose file that containers can be made from, where compose refuses the one that is
        there; empty = it is as good as it was.
    """

    kind: ClassVar[str] = "stop_services"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    old: tuple[Container, ...]
    is_pulled: bool = False
    otherwise: str = ""

    def describe(self) -> str:
        """The operator's sentence."""
        return f"stop {', '.join(self.project_.app_services)}"

    def forward(self) -> tuple[Action, ...]:
        """Stop."""
        return (containers.stop(self.project_, self.project_.app_services, grace=grace(self.old)),)

    def postcondition(self) -> tuple[Check, ...]:
        """Nothing of it runs."""
        return (Check("the application is stopped", containers.are_stopped(self.project_, self.project_.app_services)),)

    def project(self, state: HostState) -> HostState:
        """Stopped."""
        return replace(state, running=dict.fromkeys(state.running))

    def unproject(self, state: HostState) -> HostState:
        """What ran runs again."""
        return replace(state, running={service: ran(self.old).get(service) for service in state.running})

    def compensation(self) -> Compensation:
        """The same containers, or new ones from the restored files and images."""
        return Compensation(
            f"start {', '.join(self.project_.app_services)} as before",
            compose_revive.revive(self.project_, self.old, is_pulled=self.is_pulled, otherwise=self.otherwise),
        )
