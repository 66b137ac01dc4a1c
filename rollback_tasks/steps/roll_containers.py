"""Containers exchanged without a gap: of these steps the first knows the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import answering, containers, rolling
from rollback_tasks.drivers.answering import Door, Wanted
from rollback_tasks.model.plan import Action, Check, Compensation, Gate, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepServing(BaseStep):
    """Nothing yet: its way back, which runs when the image names are restored, exchanges the containers again.

    :param before: service to the image that runs and the number of its containers.
    :param patience: seconds that a container of the image that ran gets to answer.
    :param grace: seconds that the containers of all services may take together to stop.
    """

    kind: ClassVar[str] = "keep_serving"
    project_: Project
    run_id: str
    before: Wanted
    door: Door
    patience: float
    grace: float

    def describe(self) -> str:
        """The operator's sentence."""
        return "note the containers that serve, so that they can come back without a gap too"

    def unproject(self, state: HostState) -> HostState:
        """What ran runs."""
        return replace(state, running={**state.running, **{name: image for name, (image, _) in self.before.items()}})

    def compensation(self) -> Compensation:
        """Exchange the other way round."""
        logs = f"{self.project_.run_folder(self.run_id)}/evidence"
        back = rolling.swap(self.project_, self.before, logs, door=self.door, patience=self.patience, grace=self.grace)
        return Compensation("exchange the containers for those of the image that ran, these first", back)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBeside(BaseStep):
    """Start containers of the target beside those that serve."""

    kind: ClassVar[str] = "start_beside"
    project_: Project
    wanted: Wanted

    def describe(self) -> str:
        """The operator's sentence."""
        return f"start the target's containers of {', '.join(self.wanted)} beside those that serve"

    def forward(self) -> tuple[Action, ...]:
        """Start."""
        return (rolling.start_beside(self.project_, self.wanted),)

    def compensation(self) -> Keep:
        """The old ones have to serve first."""
        return Keep("they go when the others serve again")


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitBeside(BaseStep):
    """Ask each of the new containers by itself, then what stands in front of them. Times in seconds."""

    kind: ClassVar[str] = "await_beside"
    project_: Project
    wanted: Wanted
    door: Door
    url: str
    timeout: float
    interval: float
    soak: float

    def describe(self) -> str:
        """The operator's sentence."""
        first = next(iter(self.wanted))
        return f"wait up to {self.timeout:g} s until each new container of {first} is healthy, and is asked by others"

    def forward(self) -> tuple[Action, ...]:
        """Ask."""
        find = answering.addresses(self.project_, self.wanted, self.door)
        watch = answering.live(self.project_, self.wanted)
        return (
            Gate(url=self.url, timeout=self.timeout, interval=self.interval, soak=self.soak, find=find, watch=watch),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """A proxy that knows only the old ones would answer nobody once they are gone."""
        first, (image, _) = next(iter(self.wanted.items()))
        reached = answering.is_reached(self.project_, first, image, self.url)
        return (Check(f"whoever asks {self.url} reaches the new containers", reached),)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireOthers(BaseStep):
    """The containers that are left stop, one after the other; each finishes what it was asked.

    :param grace: seconds that they may take together for that.
    """

    kind: ClassVar[str] = "retire_others"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    wanted: Wanted
    grace: float

    def describe(self) -> str:
        """The operator's sentence."""
        return "stop the containers that are left, one after the other, when each has finished what it was asked"

    def forward(self) -> tuple[Action, ...]:
        """Stop."""
        return (rolling.retire(self.project_, self.wanted, grace=self.grace),)

    def postcondition(self) -> tuple[Check, ...]:
        """Only the target's run."""
        images = {service: image for service, (image, _) in self.wanted.items()}
        return (Check("only the target's containers run", containers.runs_images(self.project_, images)),)

    def project(self, state: HostState) -> HostState:
        """The target runs."""
        return replace(state, running={**state.running, **{name: image for name, (image, _) in self.wanted.items()}})

    def compensation(self) -> Keep:
        """The first of these steps does it."""
        return Keep("they are started again where they are needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOthers(BaseStep):
    """The stopped containers go once the others have proved themselves."""

    kind: ClassVar[str] = "remove_others"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    wanted: Wanted

    def describe(self) -> str:
        """The operator's sentence."""
        return "remove the stopped containers; their image and their logs are kept"

    def forward(self) -> tuple[Action, ...]:
        """Remove."""
        return (rolling.remove(self.project_, self.wanted, f"{self.project_.run_folder(self.run_id)}/evidence"),)

    def compensation(self) -> Keep:
        """Their image stays."""
        return Keep("new ones are made of their image where they are needed")
