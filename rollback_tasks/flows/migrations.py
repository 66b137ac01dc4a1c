"""Where the schema stands: the live database, the scripts of image and checkout, and one step back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import StepFailed
from rollback_tasks.execution import gather_target
from rollback_tasks.flows.everywhere import OfHost, everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning.migrations import count_targets, decide, differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the schema of one host stands.

    :param image: heads of the scripts that the deployed image holds; None where they cannot be read.
    :param pending: revisions of the deployed scripts that were not applied, oldest first.
    :param unknown: rows of the database that the deployed scripts do not know: other code migrated it.
    :param back: what undoing the newest applied revisions would be; None where that cannot be said.
    :param problem: why scripts cannot be read.
    """

    database: tuple[str, ...]
    image: tuple[str, ...] | None
    checkout: tuple[str, ...]
    pending: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    back: Verdict | None = None
    problem: str = ""


def standings(configs: Sequence[HostConfig], world: World) -> list[OfHost[Standing]]:
    """Return where every host's schema stands."""
    return everywhere(configs, world, lambda session: _standing(session, world))


def _standing(session: Session, world: World) -> Standing:
    facts, project = session.facts, session.project
    if facts.database is None:
        raise StepFailed(
            f"the database cannot be reached: {facts.database_problem}",
            details="nothing was changed",
            hint=f"`inv db.connections --host {session.config.name}` tells more.",
            host=session.config.name,
        )
    host = world.read_only(session.host)
    live = facts.database.schema
    way = gather_target.look_at(host, project, facts, facts.git.commit)
    deployed = way.deployed_scripts
    if way.problem:
        return Standing(database=live, image=None, checkout=(), problem=way.problem)
    unknown = tuple(row for row in live if row not in deployed)
    pending = (
        () if unknown else tuple(reversed(deployed.newest_first(set(deployed.scripts) - deployed.ancestors(live))))
    )
    back = None
    if live and not unknown:
        parents = tuple(sorted({parent for row in live for parent in deployed.parents[row]}))

        def judge(counts: dict[tuple[str, str], int] | None = None) -> Verdict:
            return decide(
                live=live,
                deployed=deployed,
                target_graph=deployed,
                target_heads=parents,
                to_base=not parents,
                counts=counts,
            )

        back = judge()
        if back.losses:
            back = judge(gather_target.count(host, project, count_targets(back.losses)))
    return Standing(
        database=live,
        image=deployed.heads if way.is_read_from_image else None,
        checkout=way.commit_scripts.heads,
        pending=pending,
        unknown=unknown,
        differences=differences(deployed, way.commit_scripts) if way.is_read_from_image else (),
        back=back,
    )
