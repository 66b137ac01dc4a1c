"""Sessions that all others wait for end; what they did not commit goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import sessions
from rollback_tasks.model.plan import Action, Compensation, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSessions(BaseStep):
    """End exactly the sessions that were seen, while others wait for them.

    :param sessions: pid of each, and its start in microseconds since the epoch.
    :param who: each in a few words.
    """

    kind: ClassVar[str] = "end_sessions"
    project_: Project
    sessions: tuple[tuple[int, int], ...]
    who: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return f"end what the others wait for, if they still do: {'; '.join(self.who)}"

    def forward(self) -> tuple[Action, ...]:
        """Cancel what runs, end what is idle in its transaction."""
        return (sessions.end(self.project_, self.sessions),)

    def compensation(self) -> Compensation | Keep:
        """Nobody can bring a session back; its client opens a new one."""
        return Keep("a session that was ended does not come back, nor what it did not commit")
