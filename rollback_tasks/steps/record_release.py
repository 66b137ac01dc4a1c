"""The ledger learns what happened, so that the next rollback goes further back and not forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import ledger
from rollback_tasks.model.plan import Action, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRelease(BaseStep):
    """Append lines to the ledger.

    :param lines: made by ``drivers.ledger``; each carries the run id.
    """

    kind: ClassVar[str] = "record_release"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    run_id: str
    left: str
    lines: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return f"mark {self.left} as bad in the ledger of releases"

    def forward(self) -> tuple[Action, ...]:
        """Append."""
        return (ledger.append(self.project_.state_folder, self.lines),)

    def compensation(self) -> Compensation:
        """An append-only file is taken back by a line."""
        return Compensation(
            "take the run's lines in the ledger back", ledger.void(self.project_.state_folder, self.run_id)
        )
