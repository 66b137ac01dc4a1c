"""The very containers that were stopped come back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import compose_revive, containers
from rollback_tasks.model.facts import Container, grace, ran
from rollback_tasks.model.plan import Action, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeServices(BaseStep):
    """Start again what ran before ``StopServices``, and nothing else.

    :param old: the containers that the services had.
    :param is_pulled: the compose file asks for a pull, which is held back.
    """

    kind: ClassVar[str] = "resume_services"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    old: tuple[Container, ...]
    is_pulled: bool = False

    def describe(self) -> str:
        """The operator's sentence."""
        return f"start {', '.join(self.project_.app_services)} again, unchanged"

    def forward(self) -> tuple[Action, ...]:
        """Start."""
        return (compose_revive.revive(self.project_, self.old, is_pulled=self.is_pulled),)

    def project(self, state: HostState) -> HostState:
        """What ran runs again."""
        return replace(state, running={service: ran(self.old).get(service) for service in state.running})

    def unproject(self, state: HostState) -> HostState:
        """Stopped; the older compensation starts what ran."""
        return replace(state, running=dict.fromkeys(state.running))

    def compensation(self) -> Compensation:
        """Stop again, so that what is older can be undone."""
        services = self.project_.app_services
        return Compensation(
            f"stop {', '.join(services)} again", containers.stop(self.project_, services, grace=grace(self.old))
        )
