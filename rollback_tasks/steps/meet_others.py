"""Hosts that share a database stop, change and start together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.model.plan import Action, Meet
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetOthers(BaseStep):
    """Wait until every host of the group has come this far.

    :param point: ``prepared``, ``stopped``, ``changed`` or ``healthy``.
    :param others: inventory names.
    :param is_down: the service was taken away before.
    """

    kind: ClassVar[str] = "meet_others"
    point: str
    others: tuple[str, ...]
    is_down: bool

    @property
    def takes_service_away(self) -> bool:
        """True from the stop on."""
        return self.is_down

    def describe(self) -> str:
        """The operator's sentence."""
        said = {
            "prepared": "prepared",
            "stopped": "stopped",
            "changed": "done with the database",
            "healthy": "healthy",
        }
        return f"wait until {', '.join(self.others)} {'is' if len(self.others) == 1 else 'are'} {said[self.point]} too"

    def forward(self) -> tuple[Action, ...]:
        """Wait."""
        return (Meet(self.point),)
