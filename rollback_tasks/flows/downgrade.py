"""``rollback.database``: the schema alone goes back, by alembic, with the deployed image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers.alembic import ScriptGraph
from rollback_tasks.drivers.alembic_run import secret_parts
from rollback_tasks.execution import gather_target
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.rollback import with_all_writers
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import downgrading, guards, pictures, target
from rollback_tasks.planning.migrations import count_targets, decide, unaccepted
from rollback_tasks.planning.named_revision import named_heads
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import with_steps


def downgrade(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, to: str) -> RunReport:
    """Take the schema of every host down to ``to``: a revision, ``-N`` or ``base``. Raises as ``run``."""
    plan = partial(plan_session, to=to)
    return run(request, configs, world, Procedure(plan=plan, asks="Downgrade the schema on"))


def plan_session(session: Session, request: RollbackRequest, world: World, share: Share | None, *, to: str) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :raises UsageError: ``to`` names no revision, or several.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="downgrade the schema")
    if facts.database is None:
        return replace(plan, blockers=tuple(guards.blockers(facts, project, None, ())))
    way = gather_target.look_at(world.read_only(session.host), project, facts, facts.git.commit)
    for secret in secret_parts(way.deployed.environment) if way.deployed else ():
        world.hide(secret)
    if way.problem:
        return replace(plan, blockers=(Blocker(way.problem, f"see `inv db.migrations --host {facts.host}`"),))
    verdict = _verdict(session, world, way.deployed_scripts, to)
    plan = replace(plan, verdict=verdict, goal=described(current, schema=verdict.target))
    if verdict.is_possible and not verdict.commands:
        return replace(plan, noop_reason=f"the schema is at {', '.join(verdict.target) or 'base'} already")
    blockers = list(guards.blockers(facts, project, verdict, unaccepted(verdict.losses, request.accepted_losses)))
    services = session.gathered.services
    if verdict.is_possible:
        blockers += downgrading.code_stays(facts, project, verdict, services, way.deployed_scripts)
    if way.deployed is None:
        blockers.append(
            Blocker(
                "the deployed image is not there: the application has no container to downgrade the schema with",
                f"start the deployed release once (`docker compose up -d` on {facts.host}), then plan again.",
            )
        )
    plan = replace(
        plan,
        blockers=tuple(blockers),
        costs=("every migration",) if not verdict.target else (),
        warnings=(
            *guards.warnings(facts, project, verdict, (services, services)),
            *downgrading.warnings(facts, project, verdict),
        ),
    )
    plan = with_all_writers(plan, session, world, share)
    if plan.blockers or way.deployed is None:
        return plan
    steps = downgrading.sequence(
        project=project,
        run_id=request.run_id,
        facts=facts,
        current=current,
        verdict=verdict,
        deployed=way.deployed,
        settings=session.settings,
        accepted=request.accepted_losses,
        share=share,
        is_pulled=pictures.is_pulled(project, services),
    )
    return with_steps(plan, project, facts, steps)


def _verdict(session: Session, world: World, scripts: ScriptGraph, to: str) -> Verdict:
    """Judge the way down, with counts where it costs something."""
    database = session.facts.database
    assert database is not None
    heads = named_heads(scripts, database.schema, to)

    def judge(counts: dict[tuple[str, str], int] | None) -> Verdict:
        return decide(
            live=database.schema,
            deployed=scripts,
            target_graph=scripts,
            target_heads=heads,
            counts=counts,
            to_base=not heads,
        )

    verdict = judge(None)
    if verdict.losses:
        host = world.read_only(session.host)
        verdict = judge(gather_target.count(host, session.project, count_targets(verdict.losses)))
    return verdict
