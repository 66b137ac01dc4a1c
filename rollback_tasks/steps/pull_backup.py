"""The backup leaves the host: a disk that dies must not take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.model.plan import Action, Compensation, Fetch, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PullBackup(BaseStep):
    """Copy dump and manifest to the laptop, hash compared.

    :param local_folder: absolute folder on the laptop.
    """

    kind: ClassVar[str] = "pull_backup"
    project_: Project
    name: str
    local_folder: str

    def describe(self) -> str:
        """The operator's sentence."""
        return f"copy the backup to {self.local_folder} on this machine"

    def forward(self) -> tuple[Action, ...]:
        """The dump, then its manifest."""
        remote = f"{self.project_.backup_folder}/{self.name}"
        local = f"{self.local_folder}/{self.name}"
        return (Fetch(remote, local, self.project_.database_site.place),)

    def compensation(self) -> Compensation | Keep:
        """A backup more does no harm."""
        return Keep("the copied backup stays")
