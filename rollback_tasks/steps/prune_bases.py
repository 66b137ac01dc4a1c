"""Base backups that nobody needs any more go, and the log before the oldest one that stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import base_backup
from rollback_tasks.model.plan import Action, Check, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneBases(BaseStep):
    """Remove base backups.

    :param newest: the newest whole one.
    :param says: the operator's sentence.
    """

    kind: ClassVar[str] = "prune_bases"
    project_: Project
    names: tuple[str, ...]
    newest: str
    says: str

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def precondition(self) -> tuple[Check, ...]:
        """There is a good one to stay."""
        return (Check("the newest base backup is whole", base_backup.has(self.project_, self.newest)),)

    def forward(self) -> tuple[Action, ...]:
        """Remove, manifests first."""
        return (base_backup.prune(self.project_, names=self.names, newest=self.newest),)

    def compensation(self) -> Keep:
        """Nothing needs them: a newer one stays."""
        return Keep("the newer base backups; what is removed is gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneWal(BaseStep):
    """Remove the segments of the archived log that no base backup needs.

    :param oldest: the first one that stays.
    :param says: the operator's sentence.
    """

    kind: ClassVar[str] = "prune_wal"
    project_: Project
    oldest: str
    says: str

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def forward(self) -> tuple[Action, ...]:
        """Remove what is older than what the oldest base backup begins with."""
        return (base_backup.prune_wal(self.project_, oldest=self.oldest),)

    def compensation(self) -> Keep:
        """Nothing can be rolled forward with them."""
        return Keep("the log from the oldest base backup on; what is removed is gone")
