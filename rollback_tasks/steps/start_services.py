"""Start the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rollback_tasks.drivers import compose, containers
from rollback_tasks.model.plan import Action, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StartServices(BaseStep):
    """Recreate the application's containers from the target's files and images.

    :param old_ids: containers that must not be taken for the target's.
    :param images: service to the target's image, for the projection.
    :param is_pulled: the target's compose file asks for a pull, which is held back.
    :param scale: service to its number of containers, where somebody had chosen another one than the file's.
    :param is_anew: False leaves containers that already are what the file says.
    """

    kind: ClassVar[str] = "start_services"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    old_ids: tuple[str, ...]
    images: Mapping[str, str]
    is_pulled: bool = False
    scale: Mapping[str, int] = field(default_factory=dict)
    is_anew: bool = True

    def describe(self) -> str:
        """The operator's sentence."""
        numbers = {service: f" ({count} containers)" for service, count in self.scale.items()}
        return f"start {', '.join(service + numbers.get(service, '') for service in self.project_.app_services)}"

    def forward(self) -> tuple[Action, ...]:
        """Recreate without building."""
        services = self.project_.app_services
        return (compose.up(self.project_, services, is_pulled=self.is_pulled, scale=self.scale, is_anew=self.is_anew),)

    def project(self, state: HostState) -> HostState:
        """The target runs."""
        return replace(state, running={service: self.images.get(service) for service in state.running})

    def unproject(self, state: HostState) -> HostState:
        """Nothing runs; the older compensation starts what ran."""
        return replace(state, running=dict.fromkeys(state.running))

    def compensation(self) -> Compensation:
        """Remove what was started; its logs are kept."""
        logs = f"{self.project_.run_folder(self.run_id)}/evidence"
        return Compensation(
            "remove the containers of the target, keeping their logs",
            containers.discard_new(self.project_, self.project_.app_services, self.old_ids, logs),
        )
