"""``rollback.compose`` and ``rollback.config``: containers made anew from a compose file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git_files, git_history
from rollback_tasks.execution import gather_start
from rollback_tasks.flows import choosing
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.rollback import look
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning import checkout_guards, containers_only, images_only, mixed, start_guards, target
from rollback_tasks.planning.file_pictures import file_pictures, left_alone
from rollback_tasks.planning.parts import Images, Share


def compose(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Bring the compose file of an earlier commit back on every host. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=plan_compose, asks="Bring the compose file back on"))


def plan_compose(session: Session, request: RollbackRequest, world: World, _share: Share | None) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :raises UsageError: ``--to`` names nothing that the host knows.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="bring the compose file back")
    found = _earlier(session, request, world, current)
    if isinstance(found, HostPlan):
        return replace(found, does=plan.does)
    plan = replace(plan, target=found)
    host = world.read_only(session.host)
    if host.run(git_files.differ(project.folder, found.commit, project.files)).exit_code == 0:
        anew = f"; `inv rollback.config --host {facts.host}` makes the containers anew from it"
        reason = f"the compose file is that of {found.label}{'' if facts.is_healthy else anew}"
        return replace(plan, noop_reason=reason)
    if facts.git.unmerged:
        brief = f"the checkout holds an unfinished merge: {', '.join(facts.git.unmerged[:5])}"
        return replace(plan, blockers=(Blocker(brief, "finish it or take it back, then plan again."),))
    details = look(session, found, world, code_only=True)
    if details.services_problem:
        return replace(plan, blockers=(Blocker(f"the target's compose file: {details.services_problem}"),))
    now = session.gathered.services
    pictures, problems = file_pictures(project, facts, now, details.services)
    if pictures.builds:
        traits = git_history.read_traits(host.run(git_history.traits(project.folder, facts.git.commit)).text)
        problems = (*problems, *checkout_guards.unbuildable(facts, project, traits, pictures))
    problems = (*problems, *start_guards.ports_taken(facts, project, now, details.services))
    images = {name: pictures.wanted(name) for name in pictures.pins}
    verdict = details.verdict if images != dict(current.images) else _same_schema(current)
    start = gather_start.look(host, project, facts, details.services)
    drift = tuple(start_guards.drift(start)) if now else ()
    dirty = (f"uncommitted changes in the work tree are saved first: {', '.join(facts.git.dirty[:5])}",)
    builds = ("an image is built from the commit that is checked out, without uncommitted changes",)
    warnings = (
        *(dirty if facts.git.dirty else ()),
        *(builds if pictures.builds and facts.git.dirty else ()),
        *left_alone(project, now, details.services),
        *drift,
        *containers_only.warnings(facts, project),
    )
    plan = replace(plan, blockers=problems, verdict=verdict, warnings=warnings)
    plan = images_only.judge(
        plan,
        facts,
        project,
        replace(start, drifted={}),
        details.services,
        label=found.label,
        problem=details.verdict_problem,
        accepts_drift=True,
    )
    if plan.blockers:
        return plan
    # Where only the work tree was changed, the release that runs is the one that is gone back to.
    is_same = found.commit == current.commit and images == dict(current.images)
    reached = current if is_same else mixed.mix(request, current, f"compose file of {found.label}", images)
    made = containers_only.switch_file(
        request, project, session.settings, facts, found.commit, reached, pictures, plan, found.label
    )
    return replace(made, goal=described(reached))


def _same_schema(current: Release) -> Verdict:
    """The images stay, so whatever the schema is, they run on it."""
    return Verdict(kind=VerdictKind.CODE_ONLY, current=current.schema, target=current.schema)


def _earlier(session: Session, request: RollbackRequest, world: World, current: Release) -> Release | HostPlan:
    """Return the release, or just the commit, whose compose file is wanted.

    By default that of the checkout itself where somebody changed the file by hand under a good release; else the last
    good one before; where nothing is recorded the version before the last change of the file.
    """
    facts, project = session.facts, session.project
    plan = HostPlan(host=facts.host, current=current, database=project.database)
    is_by_hand = request.to is None and bool(
        world.read_only(session.host).run(git_files.differ(project.folder, current.commit, project.files)).exit_code
    )
    if is_by_hand and current.status is ReleaseStatus.GOOD:
        return current
    choice = choosing.choose(session, current, request.to)
    if choice.stays_because:
        return replace(plan, noop_reason=choice.stays_because)
    if choice.release is not None:
        return choice.release
    if is_by_hand:
        return current
    said = world.read_only(session.host).run(git_files.before_last_change(project.folder, project.files)).text.strip()
    if not said:
        brief = "git knows no earlier version of the compose file"
        return replace(plan, blockers=(Blocker(brief, "name a commit with --to."),))
    return Release(id=said[:12], commit=said, names=(said[:12],))


def config(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, is_forced: bool = False
) -> RunReport:
    """Make the containers of every host anew from the compose file that is there. Raises as ``run``.

    :param is_forced: also where they already are what the file says, and healthy.
    """

    def plan(session: Session, request: RollbackRequest, world: World, _share: Share | None) -> HostPlan:
        return plan_config(session, request, world, is_forced=is_forced)

    return run(request, configs, world, Procedure(plan=plan, asks="Make the containers anew on"))


def plan_config(session: Session, request: RollbackRequest, world: World, *, is_forced: bool) -> HostPlan:
    """Return the plan of a host; only READ commands are run."""
    facts, project, services = session.facts, session.project, session.gathered.services
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="make containers anew")
    if facts.compose_problem:
        hint = f"`inv rollback.compose --host {facts.host}` brings an earlier file back."
        return replace(plan, blockers=(Blocker(f"compose refuses its file: {facts.compose_problem}", hint),))
    start = gather_start.look(world.read_only(session.host), project, facts, services)
    pictures, problems = file_pictures(project, facts, services, services)
    problems = (*problems, *_not_there(pictures, facts))
    images = {name: pictures.wanted(name) for name in pictures.pins}
    drift = tuple(start_guards.drift(start))
    plan = replace(plan, blockers=problems, verdict=_same_schema(current))
    if not problems and facts.is_healthy and not drift and images == dict(current.images) and not is_forced:
        told = "the containers are what the compose file says, and healthy (--force makes them anew all the same)"
        return replace(plan, noop_reason=told)
    plan = images_only.judge(
        plan,
        facts,
        project,
        replace(start, drifted={}),
        services,
        label="it",
        problem="",
        accepts_drift=True,
    )
    if plan.blockers:
        return plan
    reached = replace(current, images=images)
    plan = replace(plan, target=reached, costs=drift if facts.is_healthy else (), warnings=(*plan.warnings, *drift))
    return containers_only.recreate(request, project, session.settings, facts, pictures, plan)


def _not_there(pictures: Images, facts: HostFacts) -> list[Blocker]:
    """Return a blocker for each image that would have to be made or fetched: only containers are made anew here."""
    missing = [*pictures.builds, *pictures.pulls.values()]
    hint = f"`docker compose build` or `docker compose pull` on {facts.host} brings it, then plan again."
    return [Blocker(f"the image {name} is not on the host", hint) for name in missing]
