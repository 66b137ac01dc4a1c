"""The database of a moment, made beside the live one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rollback_tasks.drivers import backup, base_backup, postgres, recovery
from rollback_tasks.model.plan import Action, Check, Compensation, HostState
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import Cluster, Target
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverBeside(BaseStep):
    """Unpack a base backup and roll it forward to the target in a container of its own, which stops there.

    :param moment: ISO time with offset; empty = to ``point``.
    :param segments: of the log that have to be replayed; the time limit grows with them.
    """

    kind: ClassVar[str] = "recover_beside"
    project_: Project
    run_id: str
    base: str
    cluster: Cluster
    moment: str
    point: str
    unpacked_bytes: int
    segments: int

    @property
    def target(self) -> Target:
        """Where it stops."""
        return Target(moment=datetime.fromisoformat(self.moment) if self.moment else None, point=self.point)

    def describe(self) -> str:
        """The operator's sentence."""
        return f"recover base backup {self.base} to {self.target} in a container beside, without network"

    def precondition(self) -> tuple[Check, ...]:
        """The base backup is what it was."""
        return (Check("the base backup is whole", base_backup.has(self.project_, self.base)),)

    def forward(self) -> tuple[Action, ...]:
        """Unpack and start; wait, and prove where it stopped."""
        timeout = 600 + self.unpacked_bytes / 5_000_000
        limit = 300 + 10 * self.segments
        return (
            recovery.begin(
                self.project_, self.cluster, self.target, base=self.base, run_id=self.run_id, timeout=timeout
            ),
            recovery.await_target(self.project_, self.cluster, self.target, run_id=self.run_id, limit=limit),
        )

    def compensation(self) -> Compensation:
        """All of it is the run's own."""
        return Compensation("remove the recovery container and its data", recovery.drop(self.project_, self.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRecovered(BaseStep):
    """Make an ordinary backup of the application's database as the recovered server has it.

    :param schema: alembic heads that it has to have: the code that runs stays.
    """

    kind: ClassVar[str] = "dump_recovered"
    project_: Project
    run_id: str
    name: str
    commit: str
    schema: tuple[str, ...]
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return f"make a backup of the recovered database {self.project_.database} and read it back"

    def forward(self) -> tuple[Action, ...]:
        """The same protocol as for the live one."""
        there = recovery.recovered(self.project_, self.run_id)
        timeout = 600 + self.size_bytes / 5_000_000
        return (backup.dump(there, name=self.name, run_id=self.run_id, commit=self.commit, timeout=timeout),)

    def postcondition(self) -> tuple[Check, ...]:
        """It is whole, and fits the code: what does not is a backup to be restored together with a release."""
        there = recovery.recovered(self.project_, self.run_id)
        return (
            Check(
                "the backup is readable",
                backup.has_level(self.project_, self.name, BackupLevel.READABLE, size_bytes=self.size_bytes),
            ),
            Check(
                "the recovered database has the schema of the code that runs "
                f"(else `inv rollback.restore --backup {self.name} --with-release R` takes both back)",
                postgres.has_schema(there, self.schema),
            ),
        )

    def project(self, state: HostState) -> HostState:
        """A backup more."""
        return state.keeping(f"backup {self.name}")

    def compensation(self) -> Compensation:
        """A finished backup stays."""
        return Compensation(
            "remove what an unfinished dump left; a finished one stays",
            recovery.forget_partial(self.project_, self.name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRecovery(BaseStep):
    """The recovered server has done its work."""

    kind: ClassVar[str] = "drop_recovery"
    project_: Project
    run_id: str

    def describe(self) -> str:
        """The operator's sentence."""
        return "remove the recovery container and its data"

    def forward(self) -> tuple[Action, ...]:
        """Remove what the run made itself."""
        return (recovery.drop(self.project_, self.run_id),)
