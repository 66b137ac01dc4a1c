"""From a session to the plan of its host."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rollback_tasks.drivers.alembic_run import secret_parts
from rollback_tasks.errors import RollbackError, UsageError
from rollback_tasks.execution import gather_target, lock
from rollback_tasks.flows.session import AT_ONCE, Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import target
from rollback_tasks.planning.migrations import count_targets, decide, differences
from rollback_tasks.planning.planner import TargetFacts, plan_host
from rollback_tasks.planning.sequence import Share


def plan_session(session: Session, request: RollbackRequest, world: World, share: Share | None = None) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :param share: its part where several of the hosts share one database.
    :raises UsageError: ``--to`` names nothing that the host knows.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    choice = target.choose(facts, current, request.to, session.gathered.resolved)
    if choice.is_unknown:
        raise UsageError(choice.problem, details="nothing was changed", hint=choice.hint, host=facts.host)
    details = TargetFacts(current_services=session.gathered.services)
    if choice.release is not None and not choice.stays_because:
        details = _look(session, choice.release, world)
    plan = plan_host(request, project, session.settings, facts, current, choice, details, share)
    return _with_all_writers(plan, session, world, share)


def _with_all_writers(plan: HostPlan, session: Session, world: World, share: Share | None) -> HostPlan:
    """Block a plan that would change the database under hosts that nobody named."""
    there = session.config.database.host
    known = {session.config.name, *(share.others if share else ())}
    others = [
        name
        for name, config in world.hosts.items()
        if there is not None and config.database.host == there and name not in known
    ]
    if not others or plan.verdict is None or not plan.verdict.commands:
        return plan
    named = ",".join(sorted({*known, *others}))
    blocker = Blocker(
        f"{', '.join(others)} writes to the same database and would lose its schema",
        f"take all of them back together: --host {named}",
    )
    return replace(plan, blockers=(*plan.blockers, blocker), steps=())


def groups(sessions: Sequence[Session]) -> list[tuple[str, ...]]:
    """Return the hosts in groups that share one database, each group in the order of the inventory; a host that
    shares none is a group of its own."""
    found: dict[tuple[str, ...], list[str]] = {}
    for session in sessions:
        config = session.config
        there = config.database.host
        key = ("alone", config.name) if there is None else ("shared", there, config.database.name)
        found.setdefault(key, []).append(config.name)
    return [tuple(names) for names in found.values()]


def plan_all(
    sessions: Sequence[Session], request: RollbackRequest, world: World
) -> tuple[dict[str, HostPlan], dict[str, RollbackError]]:
    """Plan every host at once; return the plans, in the order of the inventory, and why others have none.

    :raises UsageError: ``--to`` names nothing, or one deployment is named twice.
    """
    _named_once(sessions)

    def attempt(session: Session, share: Share | None) -> HostPlan | RollbackError:
        try:
            if session.facts.lock is not None:
                raise lock.held(session.facts.host, session.facts.lock)
            if session.facts.unfinished:
                raise lock.unfinished_run(session.facts.host, session.facts.unfinished)
            return plan_session(session, request, world, share)
        except RollbackError as error:
            return error

    def plan(chosen: Sequence[Session]) -> dict[str, HostPlan | RollbackError]:
        shares = _shares(chosen)
        names = [session.config.name for session in chosen]
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            return dict(zip(names, pool.map(attempt, chosen, [shares.get(name) for name in names]), strict=True))

    results = plan(sessions)
    # Who needs nothing has no part in a group: the others are planned again without it.
    idle = {name for name, result in results.items() if isinstance(result, HostPlan) and result.is_noop}
    rest = [session for session in sessions if session.config.name not in idle]
    if idle and _shares(rest) != {name: s for name, s in _shares(sessions).items() if name not in idle}:
        results |= plan(rest)
    for result in results.values():
        if isinstance(result, UsageError):
            raise result
    plans = {name: result for name, result in results.items() if isinstance(result, HostPlan)}
    return _same_target(plans, request), {n: r for n, r in results.items() if isinstance(r, RollbackError)}


def _shares(sessions: Sequence[Session]) -> dict[str, Share]:
    """Return the part of every host that shares its database with another one."""
    return {
        name: Share(others=tuple(other for other in group if other != name), leads=name == group[0])
        for group in groups(sessions)
        if len(group) > 1
        for name in group
    }


def _named_once(sessions: Sequence[Session]) -> None:
    """Raise UsageError where two names mean one deployment: it would be rolled back twice."""
    owners: dict[str, str] = {}
    for session in sessions:
        name = session.config.name
        other = owners.setdefault(session.facts.identity, name)
        if other != name:
            raise UsageError(
                f"{other} and {name} are the same deployment on the same machine",
                details="nothing was changed",
                hint=f"leave one of them out: --host {other}.",
            )


def _same_target(plans: dict[str, HostPlan], request: RollbackRequest) -> dict[str, HostPlan]:
    """Block hosts that would go to different releases where the operator named none: a fleet has to agree."""
    commits = {plan.target.commit for plan in plans.values() if plan.target is not None}
    if request.to is not None or len(commits) < 2:
        return plans
    told = ", ".join(f"{name} to {plan.target.label}" for name, plan in plans.items() if plan.target is not None)
    blocker = Blocker(f"the hosts would go to different releases: {told}", "name one for all with --to.")
    return {
        name: replace(plan, blockers=(*plan.blockers, blocker), noop_reason="", steps=())
        for name, plan in plans.items()
    }


def _look(session: Session, release: Release, world: World) -> TargetFacts:
    """Ask the host for what the way to ``release`` is made of, and judge it."""
    host = world.read_only(session.host)
    project, facts = session.project, session.facts
    way = gather_target.look_at(host, project, facts, release.commit)
    for secret in secret_parts(way.deployed.environment) if way.deployed else ():
        world.hide(secret)
    details = TargetFacts(
        services=way.services,
        services_problem=way.services_problem,
        current_services=session.gathered.services,
        deployed=way.deployed,
        verdict_problem=way.problem,
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
        )

    verdict = judge(None)
    if verdict.losses:
        verdict = judge(gather_target.count(host, project, count_targets(verdict.losses)))
    told = differences(way.deployed_scripts, way.commit_scripts) if way.is_read_from_image else ()
    return replace(details, verdict=replace(verdict, warnings=(*verdict.warnings, *told)))
