"""Success is an application that answers, and goes on answering."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from rollback_tasks.drivers import answering, containers
from rollback_tasks.drivers.answering import Wanted
from rollback_tasks.model.plan import Action, Gate
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitHealthy(BaseStep):
    """Ask the health URL until it answers well and through the soak. Times in seconds.

    :param wanted: service to image and number of containers; of two releases, this one is watched.
    """

    kind: ClassVar[str] = "await_healthy"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    url: str
    timeout: float
    interval: float
    soak: float
    wanted: Wanted = field(default_factory=dict)

    def describe(self) -> str:
        """The operator's sentence."""
        return f"wait up to {self.timeout:g} s until {self.url} is healthy, and {self.soak:g} s more"

    def forward(self) -> tuple[Action, ...]:
        """Ask."""
        asked = gate(self.project_, url=self.url, timeout=self.timeout, interval=self.interval, soak=self.soak)
        return (replace(asked, watch=answering.live(self.project_, self.wanted)) if self.wanted else asked,)


def gate(project: Project, *, url: str, timeout: float, interval: float, soak: float) -> Gate:
    """Return the gate of a project's health URL; it ends early when the containers keep dying."""
    watch = containers.alive(project, project.app_services)
    return Gate(url=url, timeout=timeout, interval=interval, soak=soak, watch=watch)
