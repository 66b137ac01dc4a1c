"""What a host is examined by, and the answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollback_tasks.drivers.compose import Service
from rollback_tasks.drivers.swap import Obstacles
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup
from rollback_tasks.planning.put_aside import PutAside


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The answer of one check.

    :param problem: what would keep a rollback from working; empty where nothing would.
    :param warning: what makes it worse than it could be.
    :param next: the command to type, or what to do.
    """

    check: str
    says: str = ""
    problem: str = ""
    warning: str = ""
    next: str = ""

    @property
    def result(self) -> str:
        """One word."""
        return "PROBLEM" if self.problem else "warning" if self.warning else "ok"

    @property
    def text(self) -> str:
        """What is to be read."""
        return self.problem or self.warning or self.says


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What was asked of a host.

    :param health_url: of the application.
    :param services: of the compose file.
    :param missing: programs that the host lacks; ``is_writable``: the tool may write its own folder.
    :param archive: None where the server could not say.
    :param put_aside: by runs on this database, the youngest first.
    :param strange: base backups of another cluster.
    :param damaged: lines of the ledger that cannot be read.
    :param now: seconds since the epoch.
    """

    facts: HostFacts
    project: Project
    health_url: str
    services: Mapping[str, Service]
    missing: frozenset[str]
    is_writable: bool
    archive: ArchiveFacts | None
    bases: tuple[BaseBackup, ...]
    strange: int
    obstacles: Obstacles | None
    damaged: int
    now: float
    put_aside: tuple[PutAside, ...] = ()
