"""From sessions to the plans of their hosts, whatever the command is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rollback_tasks.errors import RollbackError, UsageError
from rollback_tasks.execution import lock
from rollback_tasks.flows.session import AT_ONCE, Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning.parts import Share

PlanSession = Callable[[Session, RollbackRequest, World, Share | None], HostPlan]


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
    sessions: Sequence[Session], request: RollbackRequest, world: World, plan_session: PlanSession
) -> tuple[dict[str, HostPlan], dict[str, RollbackError]]:
    """Plan every host at once; return the plans, in the order of the inventory, and why others have none.

    :param plan_session: gives the plan of one host, from READ commands, and its share where several have one database.
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
