"""The undo of a step that was done, as a plan shows it. The host performs it with the script that lies there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.model.plan import Compensation, Irreversible, Keep, Step
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(BaseStep):
    """Take one step of a finished run back.

    :param of: kind of that step.
    :param says: what taking it back does.
    """

    kind: ClassVar[str] = "undo"
    of: str
    says: str
    is_away: bool

    @property
    def takes_service_away(self) -> bool:
        """As the step that is taken back."""
        return self.is_away

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def compensation(self) -> Keep:
        """Nothing more to say: going forward again is a run of its own."""
        return Keep("")


def undos(steps: tuple[Step, ...]) -> tuple[Undo, ...]:
    """Given the steps of a finished run, return what takes them back, newest first; what is kept is left out."""
    found = []
    for step in reversed(steps):
        match step.compensation():
            case Compensation(says=says):
                found.append(Undo(of=step.kind, says=says, is_away=step.takes_service_away))
            case Keep() | Irreversible():
                pass
    return tuple(found)


def irreversible(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Given the steps of a run, return what of it cannot be taken back."""
    reasons = [step.compensation() for step in steps]
    return tuple(reason.says for reason in reasons if isinstance(reason, Irreversible))
