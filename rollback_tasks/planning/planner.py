"""From facts to the plan of one host. Pure: the same facts give the same plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.drivers import ledger
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan, HostState, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import guards, sequence
from rollback_tasks.planning.migrations import unaccepted
from rollback_tasks.planning.sequence import Images, Settings, Share
from rollback_tasks.planning.target import Choice, is_same


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What was asked of the host once the target was chosen.

    :param services: of the target's compose file; ``services_problem`` where it cannot be read.
    :param deployed: how to run alembic as the deployed container would; None where there is no container.
    """

    verdict: Verdict | None = None
    verdict_problem: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    services_problem: str = ""
    current_services: Mapping[str, Service] = field(default_factory=dict)
    deployed: Deployed | None = None


def plan_host(
    request: RollbackRequest,
    project: Project,
    settings: Settings,
    facts: HostFacts,
    current: Release,
    choice: Choice,
    details: TargetFacts,
    share: Share | None = None,
) -> HostPlan:
    """Return the plan of one host; what forbids it stands in ``blockers``."""
    plan = HostPlan(host=facts.host, current=current, database=project.database)
    if choice.release is None:
        return replace(plan, blockers=(Blocker(choice.problem, choice.hint),))
    target = choice.release
    verdict = details.verdict
    plan = replace(plan, target=target, verdict=verdict)
    if choice.stays_because:
        return replace(plan, noop_reason=choice.stays_because)
    pictures, missing = _images(project, facts, current, target, details)
    reached = {service: pictures.wanted(service) for service in pictures.pins}
    if verdict is not None and not missing and not pictures.builds and facts.is_healthy:
        settled = replace(target, schema=verdict.target)
        if is_same(current, settled, reached) and not verdict.commands:
            return replace(plan, noop_reason=f"{target.label} runs and is healthy")
    lost = unaccepted(verdict.losses, request.accepted_losses) if verdict else ()
    blockers = [*guards.blockers(facts, project, verdict, lost), *missing]
    if facts.database is not None and verdict is None:
        blockers.append(
            Blocker(
                details.verdict_problem or "the migration scripts cannot be read",
                f"see `inv db.migrations --host {facts.host}`",
            )
        )
    if verdict is not None and verdict.commands and details.deployed is None:
        blockers.append(
            Blocker(
                "the deployed image is not there: the application has no container to downgrade the schema with",
                f"start the deployed release once (`docker compose up -d` on {facts.host}), then plan again.",
            )
        )
    services = (details.current_services, details.services)
    plan = replace(
        plan,
        blockers=tuple(blockers),
        warnings=tuple(guards.warnings(facts, project, verdict, services)),
    )
    if blockers or verdict is None:
        return plan
    steps = sequence.full(
        project=project,
        run_id=request.run_id,
        facts=facts,
        current=current,
        target=target,
        verdict=verdict,
        images=pictures,
        deployed=details.deployed,
        settings=settings,
        accepted=request.accepted_losses,
        share=share,
        ledger_lines=ledger_lines(request, current, target, verdict, reached),
    )
    start = start_state(project, facts, pictures)
    return replace(plan, steps=steps, start=start, end=projected(start, steps))


def start_state(project: Project, facts: HostFacts, pictures: Images) -> HostState:
    """Return what a rollback would change, as it is now."""
    return HostState(
        checkout=facts.git.commit + ("+" if facts.git.dirty else ""),
        images=sequence.meant(facts, pictures.references),
        running={
            service: next(
                (c.image for c in facts.service_containers(service) if c.state in ("running", "restarting")), None
            )
            for service in project.app_services
        },
        schema=facts.database.schema if facts.database else (),
    )


def projected(state: HostState, steps: tuple[Step, ...]) -> HostState:
    """Return what the host will look like after ``steps``."""
    for step in steps:
        state = step.project(state)
    return state


def ledger_lines(
    request: RollbackRequest, current: Release, target: Release, verdict: Verdict, reached: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what the ledger learns: both releases, what is left marked bad, the step back itself."""
    at = datetime.fromtimestamp(request.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = []
    left = current
    if not current.recorded_at:
        left = replace(current, id=release_id(current.commit, request.now))
        lines.append(ledger.recorded(left, at=at, run_id=request.run_id))
    reached_id = target.id
    if not target.recorded_at:
        known = {service: image for service, image in reached.items() if image.startswith("sha256:")}
        found = replace(target, id=release_id(target.commit, request.now), images=known, schema=verdict.target)
        reached_id = found.id
        lines.append(ledger.recorded(found, at=at, run_id=request.run_id))
    reason = request.reason or f"rolled back to {target.label}"
    lines.append(
        ledger.marked(left.id, ReleaseStatus.BAD, at=at, by=request.operator, reason=reason, run_id=request.run_id)
    )
    lines.append(
        ledger.rolled_back(left.id, reached_id, at=at, by=request.operator, reason=reason, run_id=request.run_id)
    )
    return tuple(lines)


def release_id(commit: str, now: float) -> str:
    """Return a new name in the ledger, e.g. ``20261122T031501Z-1a2b3c4``. ``now`` in seconds since the epoch."""
    return f"{datetime.fromtimestamp(now, UTC).strftime('%Y%m%dT%H%M%SZ')}-{commit[:7]}"


def _images(
    project: Project, facts: HostFacts, current: Release, target: Release, details: TargetFacts
) -> tuple[Images, tuple[Blocker, ...]]:
    """Return where each app service's image comes from: the recorded one by digest, else one built from the
    target's commit under a name that says so."""
    left = {
        image_driver.pin_name(project.name, c.service, c.image): c.image
        for c in facts.containers
        if c.service in project.app_services and c.image in facts.images
    }
    if details.services_problem:
        return Images(left=left), (Blocker(f"the target's compose file: {details.services_problem}"),)
    reached: dict[str, str] = {}
    builds = {}
    pins: dict[str, str] = {}
    references: dict[str, str] = {}
    problems = []
    for name in project.app_services:
        service = details.services.get(name)
        if service is None:
            problems.append(Blocker(f"the target's compose file has no service {name}"))
            continue
        references[name] = service.image
        recorded = target.images.get(name, "")
        if not recorded and target.commit == current.commit:
            # What runs was made from that very commit: nothing has to be built again.
            recorded = current.images.get(name, "")
        by_commit = image_driver.pin_name(project.name, name, target.commit)
        found = facts.images.get(recorded) or facts.images.get(by_commit)
        # What a digest in the compose file names is started, whatever was recorded.
        if image_driver.is_fixed(service.image) or (found is None and not service.build):
            found = image_driver.find(facts.images, service.image)
        if found is not None and not recorded and _is_unknown(project, facts, details, name, found, target):
            problems.append(
                Blocker(
                    f"nothing says which image of service {name} release {target.label} had: it was never recorded, "
                    f"and {service.image} now means the image that runs",
                    f"tag the right one on {facts.host} (`docker tag IMAGE {by_commit}`), then plan again.",
                )
            )
        elif found is not None:
            pins[name] = image_driver.pin_name(project.name, name, found)
            reached[pins[name]] = found
        elif service.build and not image_driver.is_fixed(service.image):
            problem = image_driver.build_problem(service.build, project.folder)
            if problem:
                problems.append(
                    Blocker(
                        f"the image of service {name} cannot be built from commit {target.commit[:12]}: {problem}",
                        f"build it on {facts.host} as {by_commit}, then plan again.",
                    )
                )
                continue
            pins[name] = by_commit
            builds[by_commit] = service.build
        else:
            problems.append(
                Blocker(
                    f"image {recorded or service.image} of service {name} is not on the host",
                    f"fetch it first: `docker pull {service.image}` on {facts.host}",
                )
            )
    images = Images(
        left=left,
        reached=reached,
        builds=builds,
        pins=pins,
        references=references,
        is_pulled_now=_is_pulled(project, details.current_services),
        is_pulled_then=_is_pulled(project, details.services),
    )
    return images, (*problems, *_clashing(images))


def _clashing(images: Images) -> Iterator[Blocker]:
    """Yield a blocker for services that compose starts by one name and that had different images."""
    owners: dict[str, str] = {}
    for service, reference in images.references.items():
        other = owners.setdefault(reference, service)
        if {service, other} <= images.pins.keys() and images.wanted(service) != images.wanted(other):
            yield Blocker(
                f"services {other} and {service} both start {reference}, but the release had two images of that name",
                "name another release with --to, or record this one again where both run the same image.",
            )


def _is_unknown(
    project: Project, facts: HostFacts, details: TargetFacts, name: str, found: str, target: Release
) -> bool:
    """True where a name that both commits start by is all that speaks for an image of the application itself."""
    now = details.current_services.get(name)
    is_same_name = now is not None and now.image == details.services[name].image
    by_name = image_driver.find(facts.images, details.services[name].image)
    return (
        name == project.migrations_service
        and target.commit != facts.git.commit
        and is_same_name
        and not image_driver.is_fixed(details.services[name].image)
        and found == by_name
        and image_driver.pin_name(project.name, name, target.commit) not in facts.images
    )


def _is_pulled(project: Project, services: Mapping[str, Service]) -> bool:
    return any(services[name].is_pulled for name in project.app_services if name in services)
