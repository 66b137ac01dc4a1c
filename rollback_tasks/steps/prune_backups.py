"""Backups that nobody needs any more go, here and there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup_folder
from rollback_tasks.model.plan import Action, Forget, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneBackups(BaseStep):
    """Remove backups, or files that belong to none, from the host.

    :param newest: the newest proven backup, without which nothing is removed.
    :param says: the operator's sentence.
    """

    kind: ClassVar[str] = "prune_backups"
    project_: Project
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    newest: str = ""
    says: str = ""

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def forward(self) -> tuple[Action, ...]:
        """Remove, manifests first."""
        return (backup_folder.prune(self.project_, names=self.names, files=self.files, newest=self.newest),)

    def compensation(self) -> Keep:
        """Nothing needs them: the newest proven backup stays."""
        return Keep("the newest proven backup; what is removed is gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCopies(BaseStep):
    """Remove copies of backups, or what cut downloads left, from the laptop."""

    kind: ClassVar[str] = "prune_copies"
    paths: tuple[str, ...]
    says: str = ""

    def describe(self) -> str:
        """The operator's sentence."""
        return self.says

    def forward(self) -> tuple[Action, ...]:
        """Remove, manifests first; what another process is downloading stays."""
        return (Forget(self.paths),)

    def compensation(self) -> Keep:
        """Nothing needs them: the newest proven copy stays."""
        return Keep("the newest proven copy; what is removed is gone")
