"""``rollback.docker``: images back, and nothing else; the database is not touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import UsageError
from rollback_tasks.execution import gather_start
from rollback_tasks.execution.gather_start import Start
from rollback_tasks.flows import choosing
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.rollback import look
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import images_only, mixed, target
from rollback_tasks.planning.named_image import named_images
from rollback_tasks.planning.parts import Images, Share
from rollback_tasks.planning.pictures import TargetFacts, recorded_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator asked for besides ``--to``.

    :param images: as typed with ``--image``.
    :param accepts_drift: ``--accept-config``.
    """

    images: tuple[str, ...] = ()
    accepts_drift: bool = False


def docker(request: RollbackRequest, configs: Sequence[HostConfig], world: World, wanted: Wanted) -> RunReport:
    """Put the images of an earlier release back on every host. Raises as ``run``."""
    if request.to is not None and wanted.images:
        raise UsageError("--to and --image are two ways to say the same", hint="give one of them.")

    plan = partial(plan_session, wanted=wanted)
    return run(request, configs, world, Procedure(plan=plan, asks="Put images back on"))


def plan_session(
    session: Session, request: RollbackRequest, world: World, _share: Share | None, *, wanted: Wanted
) -> HostPlan:
    """Return the plan of a host; only READ commands are run. Raises as ``aimed``."""
    aim = aimed(session, request, world, wanted)
    if aim.is_over:
        return aim.plan
    of = f"images of {aim.label}"
    images = {name: aim.images.wanted(name) for name in aim.images.pins}
    reached = mixed.mix(request, aim.current, of, images)
    made = images_only.switch(
        request,
        session.project,
        session.settings,
        session.facts,
        aim.current,
        reached,
        aim.images,
        aim.plan,
        aim.label,
    )
    return replace(made, goal=described(reached))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Where images go back to on one host.

    :param plan: blocked, nothing to do, or without its steps yet.
    """

    plan: HostPlan
    current: Release
    images: Images = field(default_factory=Images)
    label: str = ""
    start: Start = field(default_factory=Start)

    @property
    def is_over(self) -> bool:
        """True where nothing remains to be planned."""
        return bool(self.plan.blockers) or self.plan.is_noop


def aimed(session: Session, request: RollbackRequest, world: World, wanted: Wanted) -> Aim:
    """Return what a host goes back to; only READ commands are run.

    :raises UsageError: ``--to`` or ``--image`` names nothing that makes sense.
    """
    facts, project, services = session.facts, session.project, session.gathered.services
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="put images back")
    if facts.compose_problem:
        hint = f"`inv rollback.compose --host {facts.host}` brings an earlier file back."
        blocker = Blocker(f"compose refuses its file: {facts.compose_problem}", hint)
        return Aim(plan=replace(plan, blockers=(blocker,)), current=current)
    found = _release(session, request, current, wanted)
    if isinstance(found, HostPlan):
        return Aim(plan=replace(found, does=plan.does), current=current)
    pictures, problems = recorded_pictures(project, facts, current, found, services)
    plan = replace(plan, target=found, blockers=problems)
    if not problems and images_only.is_there(project, facts, current, pictures):
        return Aim(plan=replace(plan, noop_reason=f"the images of {found.label} run and are healthy"), current=current)
    start = gather_start.look(world.read_only(session.host), project, facts, services)
    details = TargetFacts()
    if not (wanted.images and found.commit == current.commit):
        details = look(session, found, world, code_only=True)
    stays = f"the checkout stays at {current.label}: a build there makes what is left again"
    plan = replace(plan, verdict=details.verdict, warnings=(stays,))
    plan = images_only.judge(
        *(plan, facts, project, start, services),
        label=found.label,
        problem=details.verdict_problem,
        accepts_drift=wanted.accepts_drift,
    )
    return Aim(plan=plan, current=current, images=pictures, label=found.label, start=start)


def _release(session: Session, request: RollbackRequest, current: Release, wanted: Wanted) -> Release | HostPlan:
    """Return the release whose images are wanted, or the plan of a host that has none, or is there."""
    facts, project = session.facts, session.project
    plan = HostPlan(host=facts.host, current=current, database=project.database)
    if wanted.images:
        named = named_images(wanted.images, project, facts, session.gathered.services)
        if isinstance(named, Blocker):
            return replace(plan, blockers=(named,))
        images = {**current.images, **named}
        known = [r for r in facts.ledger if not r.mixed and named.items() <= dict(r.images).items()]
        if known:
            return replace(known[-1], images=images)
        told = ", ".join(sorted({image.removeprefix("sha256:")[:12] for image in named.values()}))
        return Release(id=told, commit=current.commit, images=images)
    choice = choosing.choose(session, current, request.to)
    if choice.release is None:
        hint = (
            f"name an image with --image ID: `docker image ls --all --no-trunc` on {facts.host} shows those that are "
            "there, also the ones without a name."
        )
        return replace(plan, blockers=(Blocker(choice.problem, hint),))
    if choice.stays_because:
        return replace(plan, noop_reason=choice.stays_because)
    return choice.release
