"""A new volume with the data of a backup, made and proven beside the live one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import backup, beside, consistency, exchange, filling, fresh, postgres
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.model.volumes import DataVolume
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVolume(BaseStep):
    """A volume, a cluster in it that is like the live one, and a server on it that nobody else reaches."""

    kind: ClassVar[str] = "make_volume"
    project_: Project
    run_id: str
    volume: DataVolume

    def describe(self) -> str:
        """The operator's sentence."""
        return (
            f"make volume {self.volume.aside(self.run_id)} with an empty cluster, with the settings of the live one, "
            "in a container beside, without network"
        )

    def forward(self) -> tuple[Action, ...]:
        """Whatever an earlier try left goes first."""
        return (
            fresh.drop(self.project_, self.volume, self.run_id),
            fresh.make(self.project_, self.volume, self.run_id),
        )

    def compensation(self) -> Compensation:
        """All of it is the run's own, until the application has it."""
        return Compensation(
            "remove the new volume, unless the application wrote to what it holds",
            fresh.drop(self.project_, self.volume, self.run_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FillVolume(BaseStep):
    """Roles of the live cluster, data of the backup.

    :param source: absolute path of the backup on the host, without ending.
    :param size_bytes: of the dump; the time limit grows with it.
    """

    kind: ClassVar[str] = "fill_volume"
    project_: Project
    run_id: str
    source: str
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return f"take every role along, with its password, and restore {self.source.rpartition('/')[2]} into it"

    def precondition(self) -> tuple[Check, ...]:
        """The dump still is what the plan looked at."""
        whole = backup.is_whole(self.project_, self.source, size_bytes=self.size_bytes)
        return (Check("the backup is whole", whole),)

    def forward(self) -> tuple[Action, ...]:
        """Fill, analyze; keep its consistency, to be compared with at the end."""
        timeout = 600 + self.size_bytes / 300_000
        there = fresh.new(self.project_, self.run_id)
        kept = consistency.keep_before(there, self.run_id, database=self.project_.database)
        return (filling.fill(self.project_, source=self.source, run_id=self.run_id, timeout=timeout), kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseVolume(BaseStep):
    """What is in it is proven, and its server ends.

    :param schema: alembic heads of the backup.
    :param archives: the live server archives its log.
    :param size_bytes: of the dump; the time limit grows with it.
    """

    kind: ClassVar[str] = "close_volume"
    project_: Project
    run_id: str
    volume: DataVolume
    source: str
    schema: tuple[str, ...]
    archives: bool
    size_bytes: int

    def describe(self) -> str:
        """The operator's sentence."""
        return (
            "compare every row count, the schema and every role, shut the new server down, read all its pages, and try "
            "with an empty folder whether the exchange will work"
        )

    def precondition(self) -> tuple[Check, ...]:
        """Exactly."""
        there = fresh.new(self.project_, self.run_id)
        same = beside.verify(there, source=self.source, run_id=self.run_id, database=self.project_.database)
        return (
            Check("the restored database is what its manifest says", same),
            Check("the schema is that of the backup", postgres.has_schema(there, self.schema)),
            Check("the roles are those of the live cluster", filling.has_same_roles(self.project_, self.run_id)),
        )

    def forward(self) -> tuple[Action, ...]:
        """Stop, look."""
        timeout = 900 + self.size_bytes / 1_000_000
        closed = filling.close(self.project_, self.volume, self.run_id, archives=self.archives, timeout=timeout)
        return (closed, exchange.rehearse(self.project_, self.volume, self.run_id))
