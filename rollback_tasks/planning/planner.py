"""From facts to the plan of one host. Pure: the same facts give the same plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollback_tasks.drivers import ledger
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.moments import compact, stamp
from rollback_tasks.model.plan import Blocker, HostPlan, HostState, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import checkout_guards, guards, parts, sequence, start_guards
from rollback_tasks.planning.migrations import unaccepted
from rollback_tasks.planning.parts import Images, Settings, Share
from rollback_tasks.planning.pictures import TargetFacts, pictures_of
from rollback_tasks.planning.target import Choice, is_same

__all__ = ["TargetFacts", "ledger_lines", "plan_host", "projected", "release_id", "start_state"]


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
    pictures, missing = pictures_of(project, facts, current, target, details)
    reached = {service: pictures.wanted(service) for service in pictures.pins}
    if verdict is not None and not missing and not pictures.builds and facts.is_healthy:
        settled = replace(target, schema=verdict.target)
        if is_same(current, settled, reached) and not verdict.commands:
            return replace(plan, noop_reason=f"{target.label} runs and is healthy")
    lost = unaccepted(verdict.losses, request.accepted_losses) if verdict else ()
    blockers = [
        *guards.blockers(facts, project, verdict, lost),
        *missing,
        *checkout_guards.unmovable(facts, project, details.traits),
        *checkout_guards.unbuildable(facts, project, details.traits, pictures),
        *start_guards.ports_taken(facts, project, details.current_services, details.services),
    ]
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
        warnings=(*guards.warnings(facts, project, verdict, services), *checkout_guards.told(details.traits)),
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
    return with_steps(plan, project, facts, steps, pictures)


def with_steps(
    plan: HostPlan, project: Project, facts: HostFacts, steps: tuple[Step, ...], pictures: Images | None = None
) -> HostPlan:
    """Return the plan with its steps, and what they make of the host.

    :param pictures: of the target; None where the images stay.
    """
    start = start_state(project, facts, pictures or Images(references=dict(facts.compose_images)))
    return replace(plan, steps=steps, start=start, end=projected(start, steps))


def start_state(project: Project, facts: HostFacts, pictures: Images) -> HostState:
    """Return what a rollback would change, as it is now."""
    return HostState(
        checkout=facts.git.commit + ("+" if facts.git.dirty else ""),
        images=parts.meant(facts, pictures.references),
        running={
            service: next((c.image for c in facts.service_containers(service) if c.is_up), None)
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
    at = stamp(request.now)
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
    return f"{compact(now)}-{commit[:7]}"
