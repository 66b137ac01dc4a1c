"""``scenario.bad-migration``, ``.bad-code``, ``.failed-deployment``: a release has to go, by the way that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git_files
from rollback_tasks.flows import files, images, rollback
from rollback_tasks.flows.run import run
from rollback_tasks.flows.scenario import procedure
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.release import ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import diagnosis, target
from rollback_tasks.planning.diagnosis import CodeWay, FailureWay
from rollback_tasks.planning.parts import Share


def bad_migration(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Take schema, code, images and compose file of every host back together, and check it. Raises as ``run``."""
    return run(request, configs, world, procedure(_plan_migration, world, asks="Roll back"))


def _plan_migration(session: Session, request: RollbackRequest, world: World, share: Share | None) -> HostPlan:
    full = rollback.plan_session(session, request, world, share)
    return diagnosis.of_migration(session.facts, session.project, full)


def bad_code(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, accepts_drift: bool = False
) -> RunReport:
    """Take the code of every host back and leave its database as it is, and check it. Raises as ``run``.

    :param accepts_drift: as of ``images.Wanted``.
    """
    plan = partial(_plan_code, wanted=images.Wanted(accepts_drift=accepts_drift))
    return run(request, configs, world, procedure(plan, world, asks="Take the code back on"))


def _plan_code(
    session: Session, request: RollbackRequest, world: World, share: Share | None, *, wanted: images.Wanted
) -> HostPlan:
    facts, project = session.facts, session.project
    full = rollback.plan_session(session, request, world)
    way, why = diagnosis.way_of_code(full, is_shared=share is not None)
    found = [*diagnosis.symptoms(facts, project), *diagnosis.schema(full)]
    label = full.target.label if full.target else "an earlier release"
    match way:
        case CodeWay.FULL:
            return diagnosis.with_diagnosis(full, found, f"rollback.full to {label}", why)
        case CodeWay.IMAGES:
            plan = images.plan_session(session, request, world, share, wanted=wanted)
            return diagnosis.with_diagnosis(plan, found, f"rollback.docker to {label}", why)


def failed_deployment(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Bring back what a failed deployment changed on every host, and check it. Raises as ``run``."""
    return run(request, configs, world, procedure(_plan_failure, world, asks="Take the deployment back on"))


def _plan_failure(session: Session, request: RollbackRequest, world: World, share: Share | None) -> HostPlan:
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    # Nothing but what was judged good runs here: going further back would take away what nobody complained of.
    is_same = request.to is None and current.status is ReleaseStatus.GOOD and (share is None or facts.is_healthy)
    full = HostPlan(host=facts.host, current=current, database=project.database)
    if not is_same:
        full = rollback.plan_session(session, request, world, share)
    found = list(diagnosis.symptoms(facts, project))
    commit = current.commit if is_same else full.target.commit if full.target else ""
    changed: tuple[str, ...] = ()
    if commit:
        changed = _changed(session, world, commit)
        of = current.label if is_same else full.target.label if full.target else commit
        shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        found.append(f"files that differ from {of}: {shown or 'none'}")
    found += diagnosis.schema(full)
    way, why = diagnosis.way_of_failure(
        facts, project, current, full, changed, is_same=is_same, is_shared=share is not None
    )
    label = full.target.label if full.target else "an earlier release"
    match way:
        case FailureWay.FULL:
            return diagnosis.with_diagnosis(full, found, f"rollback.full to {label}", why)
        case FailureWay.COMPOSE:
            there = replace(request, to=current.id) if is_same else request
            plan = files.plan_compose(session, there, world, share)
            return diagnosis.with_diagnosis(plan, found, "rollback.compose", why)
        case FailureWay.CONFIG:
            plan = files.plan_config(session, request, world, is_forced=False)
            return diagnosis.with_diagnosis(plan, found, "rollback.config", why)
        case FailureWay.NONE:
            return diagnosis.with_diagnosis(replace(full, noop_reason=why), found, "")


def _changed(session: Session, world: World, commit: str) -> tuple[str, ...]:
    """Return the files of the checkout that are not those of a commit."""
    host, project = world.read_only(session.host), session.project
    found = git_files.read_differing(host.run(git_files.differing(project.folder, commit)).text)
    # Git may have been told to overlook a compose file, which is what counts here.
    is_other = host.run(git_files.differ(project.folder, commit, project.files)).exit_code != 0
    return found if not is_other or set(found) & set(project.files) else (*found, *project.files)
