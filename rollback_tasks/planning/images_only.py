"""The plan that changes images and nothing else: checkout, compose file and database stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import parts, start_guards
from rollback_tasks.planning.mixed import ledger_lines
from rollback_tasks.planning.parts import Images, Settings
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.planning.start_guards import Starting
from rollback_tasks.steps.await_running import AwaitRunning
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.verify_release import VerifyRelease


def judge(
    plan: HostPlan,
    facts: HostFacts,
    project: Project,
    start: Starting,
    services: Mapping[str, Service],
    *,
    label: str,
    problem: str,
    accepts_drift: bool,
) -> HostPlan:
    """Return the plan with what forbids it, and what the operator should know.

    :param label: what the operator calls where it goes.
    :param problem: why there is no verdict.
    """
    verdict = plan.verdict
    blockers = (
        *start_guards.schema_blockers(verdict, start, facts, label),
        *start_guards.drift_blockers(start, facts, is_accepted=accepts_drift),
    )
    warnings = (
        *(start_guards.drift(start) if accepts_drift else ()),
        *start_guards.warnings(verdict, start, facts, project, services, problem),
    )
    return replace(plan, blockers=(*plan.blockers, *blockers), warnings=(*plan.warnings, *warnings))


def is_there(project: Project, facts: HostFacts, current: Release, images: Images) -> bool:
    """True where the images already run, and well."""
    wanted = {service: images.wanted(service) for service in images.pins}
    return facts.is_healthy and dict(current.images) == wanted and set(wanted) == set(project.app_services)


def switch(
    request: RollbackRequest,
    project: Project,
    settings: Settings,
    facts: HostFacts,
    current: Release,
    reached: Release,
    images: Images,
    plan: HostPlan,
    label: str,
) -> HostPlan:
    """Return the plan with its steps: other images under the same names.

    :param reached: the release as it is recorded then.
    """
    run_id = request.run_id
    steps: tuple[Step, ...] = (
        SaveEvidence(project_=project, run_id=run_id),
        parts.prepare_images(project, run_id, current.commit, images),
        parts.stop_services(project, facts, images),
        parts.switch_images(project, facts, images),
        parts.start_services(project, run_id, facts, images),
        settle(project, settings, facts),
        verify(project, facts, images, plan.verdict),
        RecordRelease(
            project_=project,
            run_id=run_id,
            left=current.label,
            lines=ledger_lines(request, current, reached, label),
        ),
    )
    return with_steps(plan, project, facts, steps, images)


def settle(project: Project, settings: Settings, facts: HostFacts) -> Step:
    """Return the step that waits for the application: healthy, or just alive where the database is away."""
    if facts.database is None:
        return AwaitRunning(project_=project, seconds=max(5.0, settings.health_soak))
    return parts.await_healthy(project, settings)


def verify(project: Project, facts: HostFacts, images: Images, verdict: Verdict | None) -> VerifyRelease:
    """Return the step that proves the images, and that nobody moved the schema."""
    schema = None if verdict is None or facts.database is None else facts.database.schema
    return VerifyRelease(project_=project, commit="", images=images.pins, schema=schema, one_shots=images.one_shots)
