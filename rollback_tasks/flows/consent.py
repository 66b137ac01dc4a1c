"""Before anything else: is there somebody who can say yes?"""

from __future__ import annotations

from rollback_tasks.errors import UsageError
from rollback_tasks.flows.world import World
from rollback_tasks.model.request import RollbackRequest


def require(request: RollbackRequest, world: World) -> None:
    """Refuse a command that would have to ask where nobody can answer.

    :raises UsageError: there is no terminal, and neither ``--yes`` nor ``--dry-run`` was given.
    """
    if not (request.is_confirmed or request.is_dry_run or world.prompt.is_interactive):
        raise UsageError(
            "nobody can answer the question: there is no terminal",
            details="nothing was changed",
            hint="add --yes to go on without a question, or --dry-run to see what would be done.",
        )
