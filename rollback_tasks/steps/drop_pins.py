"""Images of old releases may go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import images
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPins(BaseStep):
    """Take pinning tags away; an image that has no other name goes with its last one.

    :param pins: tag to image id, ``releases`` the labels of what they were of.
    """

    kind: ClassVar[str] = "drop_pins"
    project_: Project
    pins: Mapping[str, str]
    releases: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        count = len(self.pins)
        owners = f" of {', '.join(self.releases[:10])}" if self.releases else " of no recorded release"
        return f"take {count} pin{'' if count == 1 else 's'} away from images{owners}"

    def forward(self) -> tuple[Action, ...]:
        """Take away."""
        return (images.unpin(self.pins),)

    def postcondition(self) -> tuple[Check, ...]:
        """They are gone."""
        return (Check("the pins are gone", images.are_unpinned(self.pins)),)

    def compensation(self) -> Compensation:
        """What is still there is pinned again; what went can be built again from its commit."""
        return Compensation("pin again the images that are still there", images.repin(self.pins))
