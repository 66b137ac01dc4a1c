"""Plans that make containers anew: from the compose file of another commit, or from the one that is there."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import parts
from rollback_tasks.planning.images_only import settle, verify
from rollback_tasks.planning.mixed import ledger_lines
from rollback_tasks.planning.parts import Images, Settings
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.steps.checkout_files import CheckoutFiles
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.save_evidence import SaveEvidence


def switch_file(
    request: RollbackRequest,
    project: Project,
    settings: Settings,
    facts: HostFacts,
    commit: str,
    reached: Release,
    images: Images,
    plan: HostPlan,
    label: str,
) -> HostPlan:
    """Return the plan with its steps: the compose files of ``commit``, and containers made from them.

    :param reached: the release as it is recorded then; the one that runs where nothing else of it changes.
    """
    run_id = request.run_id
    record = RecordRelease(
        project_=project,
        run_id=run_id,
        left=plan.current.label,
        lines=ledger_lines(request, plan.current, reached, label),
    )
    steps: tuple[Step, ...] = (
        SaveEvidence(project_=project, run_id=run_id),
        parts.prepare_images(project, run_id, facts.git.commit, images),
        SaveCheckout(project_=project, run_id=run_id, target=commit, changed=len(facts.git.dirty)),
        parts.stop_services(project, facts, images, commit=commit),
        CheckoutFiles(
            project_=project,
            run_id=run_id,
            before=facts.git.commit,
            after=commit,
            is_dirty=bool(facts.git.dirty),
        ),
        parts.switch_images(project, facts, images),
        parts.start_services(project, run_id, facts, images, is_anew=not facts.compose_problem),
        settle(project, settings, facts),
        verify(project, facts, images, plan.verdict),
        *(() if reached.id == plan.current.id else (record,)),
    )
    return with_steps(plan, project, facts, steps, images)


def warnings(facts: HostFacts, project: Project) -> Iterator[str]:
    """Yield what the operator should know where compose refuses the file that is there: it makes no container anew, so
    what runs is started again rather than replaced wherever it already is what the other file says."""
    if facts.compose_problem and facts.up(project.app_services):
        yield (
            f"compose refuses the file that is there ({facts.compose_problem.splitlines()[-1]}): containers that have "
            "to be replaced cannot be made anew from it, should the other file fail too"
        )


def recreate(
    request: RollbackRequest, project: Project, settings: Settings, facts: HostFacts, images: Images, plan: HostPlan
) -> HostPlan:
    """Return the plan with its steps: new containers from the compose file as it is, with the images that run."""
    run_id = request.run_id
    steps: tuple[Step, ...] = (
        SaveEvidence(project_=project, run_id=run_id),
        parts.prepare_images(project, run_id, facts.git.commit, images),
        parts.stop_services(project, facts, images),
        parts.switch_images(project, facts, images),
        parts.start_services(project, run_id, facts, images),
        settle(project, settings, facts),
        verify(project, facts, images, plan.verdict),
    )
    return with_steps(plan, project, facts, steps, images)
