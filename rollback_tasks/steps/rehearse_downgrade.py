"""The authority on what a downgrade takes is the downgrade, on a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import alembic_run, databases, postgres, rehearsal
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.plan import Action, Check, Compensation
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Effect
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearseDowngrade(BaseStep):
    """Run the real downgrade on the scratch database while the application serves.

    :param accepted: names of what may be lost.
    :param live: the schema of the live database; it must be untouched afterwards.
    """

    kind: ClassVar[str] = "rehearse_downgrade"
    project_: Project
    run_id: str
    deployed: Deployed
    commands: tuple[str, ...]
    live: tuple[str, ...]
    after: tuple[str, ...]
    accepted: frozenset[str]

    def describe(self) -> str:
        """The operator's sentence."""
        return "rehearse the downgrade on the scratch database and compare what it takes"

    def forward(self) -> tuple[Action, ...]:
        """Prove where alembic looks, then downgrade there."""
        project, run_id = self.project_, self.run_id
        there = rehearsal.pointed(project, run_id, self.deployed)
        return (
            rehearsal.note(project, run_id),
            rehearsal.plant(project, run_id),
            rehearsal.looks_at_scratch(project, run_id, self.deployed),
            rehearsal.unplant(project, run_id),
            *(
                alembic_run.run(
                    *(there, ("downgrade", revision)),
                    run_id=run_id,
                    project=project.name,
                    effect=Effect.WRITE,
                    timeout=1800,
                )
                for revision in self.commands
            ),
            rehearsal.lost(project, run_id, self.accepted),
        )

    def compensation(self) -> Compensation:
        """What alembic may still be doing there is ended; an older compensation drops the scratch database."""
        return Compensation("end the rehearsal", alembic_run.end(self.run_id, self.project_.name))

    def postcondition(self) -> tuple[Check, ...]:
        """The scratch database is where the live one will be; the live one did not move."""
        there = databases.scratch_name(self.project_.database, self.run_id)
        reached = postgres.has_schema(self.project_, self.after, database=there)
        return (
            Check("the rehearsal reached the target's schema", reached),
            Check("the live schema did not move", postgres.has_schema(self.project_, self.live)),
        )
