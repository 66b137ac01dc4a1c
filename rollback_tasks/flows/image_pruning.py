"""``release.prune``: images of old releases may go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import images
from rollback_tasks.flows import redo
from rollback_tasks.flows.git_checkout import asked, checkout_of
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import image_pruning
from rollback_tasks.planning.parts import Share


def prune(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, keep: int) -> RunReport:
    """Unpin the images that nobody needs. Raises as ``run``.

    :param keep: newest releases whose images stay.
    """
    return run(request, configs, world, Procedure(plan=partial(_plan, keep=keep), asks="Unpin images on"))


def _plan(session: Session, request: RollbackRequest, world: World, _share: Share | None, *, keep: int) -> HostPlan:
    last = redo.newest(session, world)
    command = images.needed(session.project.state_folder, last.run_id if last else "")
    needed = asked(session, world, command).text.split()
    return image_pruning.prune(checkout_of(session, request), keep, needed)
