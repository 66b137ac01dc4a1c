"""A backup comes back to a host that lost it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup_folder
from rollback_tasks.model.plan import Action, Compensation, Send
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PushBackup(BaseStep):
    """Copy dump, roles and manifest to the host, where the hash is proven before the names appear.

    :param local_folder: absolute folder on the laptop.
    :param globals_sha256: of the roles; empty where the backup has none.
    """

    kind: ClassVar[str] = "push_backup"
    project_: Project
    name: str
    local_folder: str
    sha256: str
    globals_sha256: str = ""

    def describe(self) -> str:
        """The operator's sentence."""
        return f"copy {self.name} from {self.local_folder} on this machine to the host and prove its hash there"

    def forward(self) -> tuple[Action, ...]:
        """The manifest last."""
        ends = [".dump", *([".globals.sql"] if self.globals_sha256 else []), ".manifest.json"]
        remote, local = f"{self.project_.backup_folder}/{self.name}", f"{self.local_folder}/{self.name}"
        at = self.project_.database_site.place
        sends = [Send(f"{remote}{end}.partial", f"{local}{end}", at) for end in ends]
        accept = backup_folder.accept(
            self.project_, name=self.name, sha256=self.sha256, globals_sha256=self.globals_sha256
        )
        return (*sends, accept)

    def compensation(self) -> Compensation:
        """A backup that came whole stays."""
        return Compensation(
            "remove what a cut transfer left; a whole one stays", backup_folder.drop_partial(self.project_, self.name)
        )
