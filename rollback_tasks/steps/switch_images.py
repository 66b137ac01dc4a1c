"""The names that compose starts by mean the target's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from rollback_tasks.drivers import images
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchImages(BaseStep):
    """Point image references at the pinned images.

    :param before: reference to the image id that it means now; one that means none is missing here.
    :param after: reference to the pin of the target's image.
    :param after_images: service to the target's image, for the projection.
    :param before_images: service to the image now, for the projection.
    :param is_down: the service was taken away before.
    """

    kind: ClassVar[str] = "switch_images"
    project_: Project
    before: Mapping[str, str]
    after: Mapping[str, str]
    before_images: Mapping[str, str]
    after_images: Mapping[str, str]
    is_down: bool = True

    @property
    def takes_service_away(self) -> bool:
        """True where the application is stopped for it."""
        return self.is_down

    def describe(self) -> str:
        """The operator's sentence."""
        if not self.after:
            return "keep the image names: the compose file fixes its images by digest"
        return f"make {', '.join(sorted(self.after))} mean the target's image"

    def forward(self) -> tuple[Action, ...]:
        """Tag."""
        return (images.tag(self.after),)

    def postcondition(self) -> tuple[Check, ...]:
        """The references mean the pinned images."""
        return (Check("compose would start the target's images", images.mean(self.after)),)

    def project(self, state: HostState) -> HostState:
        """The target's images."""
        return replace(state, images={**state.images, **self.after_images})

    def unproject(self, state: HostState) -> HostState:
        """The images as they were, and no names where there were none."""
        others = {service: image for service, image in state.images.items() if service not in self.after_images}
        return replace(state, images={**others, **self.before_images})

    def compensation(self) -> Compensation:
        """The names as they were."""
        absent = self.after.keys() - self.before.keys()
        return Compensation("make the image names mean what they meant", images.retag(self.before, absent))
