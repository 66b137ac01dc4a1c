"""``rollback.rolling``: the containers of an earlier release back, without a gap in service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.flows.images import Wanted, aimed
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import mixed
from rollback_tasks.planning import rolling as plans
from rollback_tasks.planning.parts import Share


def rolling(request: RollbackRequest, configs: Sequence[HostConfig], world: World, wanted: Wanted) -> RunReport:
    """Exchange the containers of every host for those of an earlier release. Raises as ``run``."""

    def plan(session: Session, request: RollbackRequest, world: World, _share: Share | None) -> HostPlan:
        facts, project, services = session.facts, session.project, session.gathered.services
        aim = aimed(session, request, world, wanted)
        made = replace(aim.plan, does="exchange containers without a gap")
        if aim.is_over:
            return made
        blockers = tuple(plans.blockers(project, facts, services, made, aim.label))
        if blockers:
            return replace(made, blockers=blockers)
        images = {name: aim.images.wanted(name) for name in aim.images.pins}
        reached = mixed.mix(request, aim.current, f"images of {aim.label}", images)
        made = plans.roll(request, project, session.settings, facts, services, reached, aim.images, made, aim.label)
        return replace(made, goal=described(reached))

    return run(request, configs, world, Procedure(plan=plan, asks="Exchange the containers on"))
