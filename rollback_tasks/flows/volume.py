"""``rollback.volume``: a new volume from a backup takes the place of the old one, which is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import volumes
from rollback_tasks.errors import CommandFailed
from rollback_tasks.flows import rollback
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.restore import choose, look
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan, Step
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.volumes import VolumeFacts
from rollback_tasks.planning import pictures, restoring, target
from rollback_tasks.planning import volume as plans
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.planning.volume import Wish
from rollback_tasks.steps.exchange_volumes import ExchangeVolumes


def volume(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    backup: str,
    wish: Wish,
    proves: bool,
) -> RunReport:
    """Exchange the database's volume on every host for one made from the backup of that name. Raises as ``run``.

    :param proves: False where what is live is too broken for its backup to be proven.
    """
    plan = partial(plan_session, name=backup, wish=wish, proves=proves)
    return run(request, configs, world, Procedure(plan=plan, asks="Exchange the database's volume on"))


def plan_session(
    session: Session,
    request: RollbackRequest,
    world: World,
    share: Share | None,
    *,
    name: str,
    wish: Wish,
    proves: bool,
) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :raises UsageError: nobody has such a backup.
    """
    facts, project, run_id = session.facts, session.project, request.run_id
    current = target.current_release(facts, project)
    does = "exchange the database's volume"
    plan = HostPlan(host=facts.host, current=current, database=project.database, does=does)
    chosen = choose(session, world, name)
    if isinstance(chosen, tuple):
        return replace(plan, blockers=chosen)
    found = VolumeFacts() if project.site is not None else _look(session, world)
    blocked = tuple(plans.blockers(facts, project, found, chosen, wish))
    image = next((c.image for c in facts.service_containers(project.db_service)), "")
    place = plans.data_volume(found, image)
    if place is None or found.cluster is None:
        return replace(plan, blockers=blocked)
    seen = look(session, world, chosen)
    blockers = [
        *blocked,
        *restoring.usable(facts, project, chosen, seen),
        *restoring.possible(facts, project, chosen.size_bytes, seen),
        *restoring.fit(facts, chosen.schema, seen.deployed, flag="with-release"),
    ]
    if request.is_confirmed and not request.is_dry_run:
        blockers += restoring.unaccepted(restoring.lost(chosen.counts, seen.counts), request.accepted_losses)
    steps = plans.sequence(
        project=project,
        run_id=run_id,
        facts=facts,
        current=current,
        backup=chosen,
        volume=place,
        archives=found.cluster.archives,
        settings=session.settings,
        is_pulled=pictures.is_pulled(project, session.gathered.services),
        proves=proves,
    )
    rows = restoring.costs(project, run_id, since=chosen.taken_at, backup=chosen.counts, live=seen.counts)[:-1]
    plan = replace(
        with_steps(plan, project, facts, steps),
        costs=plans.costs(place, run_id, rows, since=chosen.taken_at),
        goal={
            **described(current, schema=chosen.schema),
            "backup": chosen.name,
            "old_volume": place.aside(run_id),
        },
        warnings=(
            *plans.warnings(found, wish),
            *restoring.warnings(facts, project, chosen),
            *restoring.broken(seen, proves=proves),
        ),
        blockers=tuple(dict.fromkeys(blockers)),
    )
    plan = rollback.with_all_writers(plan, session, world, share)
    return replace(plan, steps=()) if plan.blockers else plan


def _look(session: Session, world: World) -> VolumeFacts:
    """Ask where the cluster lies, and what else is in it."""
    host, project = world.read_only(session.host), session.project
    try:
        count, mounts = volumes.read_mounts(host.run(volumes.mounts(project)).text)
        strays = {name: host.run(volumes.strays(project, name)).text for name in ("postgres", "template1")}
        cluster = volumes.read_cluster(host.run(volumes.cluster(project)).text, strays)
        found = VolumeFacts(containers=count, mounts=mounts, cluster=cluster)
        mount = plans.mount_of(found)
        if mount is None or mount.kind != "volume":
            return found
        driver, options, users = volumes.read_volume(host.run(volumes.volume(project, mount.name)).text, project)
        return replace(found, driver=driver, options=options, users=users)
    except CommandFailed as error:
        return VolumeFacts(problem=error.details.strip() or error.brief)


def gone(session: Session, world: World, run_id: str, steps: Sequence[Step]) -> tuple[Blocker, ...]:
    """Return why what a finished run put aside in a volume cannot come back."""
    host = world.read_only(session.host)
    asides = [step.volume.aside(run_id) for step in steps if isinstance(step, ExchangeVolumes)]
    missing = [name for name in asides if host.run(volumes.is_there(session.project, name)).exit_code != 0]
    hint = f"`inv rollback.plan --host {session.config.name}` shows the way to an earlier release instead."
    return tuple(Blocker(f"volume {name} is gone, and the old data with it", hint) for name in missing)
