"""``rollback.full`` and ``rollback.plan``: code, images, compose file and schema back to a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers.alembic_run import secret_parts
from rollback_tasks.execution import gather_target
from rollback_tasks.flows import choosing
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import target
from rollback_tasks.planning.migrations import count_targets, decide, differences
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import TargetFacts, plan_host


def full(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Take every host back to its target. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=plan_session))


def plan_session(session: Session, request: RollbackRequest, world: World, share: Share | None = None) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :param share: its part where several of the hosts share one database.
    :raises UsageError: ``--to`` names nothing that the host knows.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    choice = choosing.choose(session, current, request.to)
    details = TargetFacts(current_services=session.gathered.services)
    if choice.release is not None and not choice.stays_because:
        details = look(session, choice.release, world)
    plan = plan_host(request, project, session.settings, facts, current, choice, details, share)
    if plan.verdict is None or not plan.verdict.commands:
        return plan
    return with_all_writers(plan, session, world, share)


def with_all_writers(plan: HostPlan, session: Session, world: World, share: Share | None) -> HostPlan:
    """Block a plan that would change the database under hosts that nobody named."""
    config = session.config
    there = config.database.host or config.name
    known = {config.name, *(share.others if share else ())}
    others = [name for name, other in world.hosts.items() if other.database.host == there and name not in known]
    if not others:
        return plan
    if config.database.host is None:
        blocker = Blocker(
            f"{', '.join(others)} writes to the database that this host serves",
            f"name who writes to it, it is changed through them: --host {','.join(others)}",
        )
    else:
        blocker = Blocker(
            f"{', '.join(others)} writes to the same database and would lose its schema",
            f"take all of them back together: --host {','.join(sorted({*known, *others}))}",
        )
    return replace(plan, blockers=(*plan.blockers, blocker), steps=())


def look(session: Session, release: Release, world: World, *, code_only: bool = False) -> TargetFacts:
    """Ask the host for what the way to ``release`` is made of, and judge it.

    :param code_only: the database is left alone, and so is the checkout, but for its compose files.
    """
    host = world.read_only(session.host)
    project, facts = session.project, session.facts
    way = gather_target.look_at(host, project, facts, release.commit, keeps_variables=code_only)
    for secret in secret_parts(way.deployed.environment) if way.deployed else ():
        world.hide(secret)
    details = TargetFacts(
        services=way.services,
        services_problem=way.services_problem,
        current_services=session.gathered.services,
        deployed=way.deployed,
        verdict_problem=way.problem,
        traits=way.traits,
    )
    if way.problem or facts.database is None:
        return details

    def judge(counts: dict[tuple[str, str], int] | None) -> Verdict:
        assert facts.database is not None
        return decide(
            live=facts.database.schema,
            deployed=way.deployed_scripts,
            target_graph=way.target_scripts,
            target_heads=release.schema or None,
            counts=counts,
            code_only=code_only,
        )

    verdict = judge(None)
    if verdict.losses:
        verdict = judge(gather_target.count(host, project, count_targets(verdict.losses)))
    told = differences(way.deployed_scripts, way.commit_scripts) if way.is_read_from_image else ()
    return replace(details, verdict=replace(verdict, warnings=(*verdict.warnings, *told)))
