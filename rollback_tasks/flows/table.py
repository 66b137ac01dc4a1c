"""``rollback.table``: the rows of one table from a backup, while the application serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.flows import restore
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import restoring, tables, target
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.planning.tables import TableWish


def table(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, backup: str, wish: TableWish
) -> RunReport:
    """Put the rows of one table back on every host. Raises as ``run``."""
    plan = partial(plan_session, name=backup, wish=wish)
    return run(request, configs, world, Procedure(plan=plan, asks=f"Restore table {wish.table} on"))


def plan_session(
    session: Session, request: RollbackRequest, world: World, share: Share | None, *, name: str, wish: TableWish
) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :raises UsageError: nobody has such a backup.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does=f"restore table {wish.table}")
    if share is not None and not share.leads:
        return replace(plan, noop_reason=f"{share.others[0]} has the same database and restores it there")
    chosen = restore.choose(session, world, name)
    if isinstance(chosen, tuple):
        return replace(plan, blockers=chosen)
    found = restore.look(session, world, chosen)
    plan = replace(
        plan,
        blockers=(
            *restoring.usable(facts, project, chosen, found, is_foreign_meant=wish.is_foreign_meant),
            *restoring.room(facts, project, chosen.size_bytes, found),
            *tables.blockers(facts, chosen, found.counts, wish),
        ),
        warnings=(*tables.warnings(facts, chosen), *restoring.broken(found, proves=wish.proves)),
        costs=tables.costs(request.run_id, wish),
        goal={**described(current), "backup": chosen.name, "table": wish.table},
    )
    if plan.blockers:
        return plan
    steps = tables.sequence(
        project=project,
        run_id=request.run_id,
        facts=facts,
        current=current,
        backup=chosen,
        settings=session.settings,
        wish=wish,
    )
    return with_steps(plan, project, facts, steps)
