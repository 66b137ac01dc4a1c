"""The order of a full rollback, and only that."""

from __future__ import annotations

from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning.database_parts import downgrade, emergency, meet, rehearse
from rollback_tasks.planning.parts import (
    Images,
    Settings,
    Share,
    await_healthy,
    prepare_images,
    start_services,
    stop_services,
    switch_images,
)
from rollback_tasks.steps.checkout_release import CheckoutRelease
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.verify_release import VerifyRelease


def full(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    target: Release,
    verdict: Verdict,
    images: Images,
    deployed: Deployed | None,
    settings: Settings,
    accepted: frozenset[str],
    ledger_lines: tuple[str, ...],
    share: Share | None = None,
) -> tuple[Step, ...]:
    """Return the steps of a full rollback (SPEC: order of a full rollback).

    All that can be done while the application serves comes first; the backup is proven and off the host before
    anything is taken away; the schema goes back before the code does, by the deployed image.
    """
    changes_database = share is None or share.leads
    steps: list[Step] = [
        SaveEvidence(project_=project, run_id=run_id),
        prepare_images(project, run_id, target.commit, images),
    ]
    save = SaveCheckout(project_=project, run_id=run_id, target=target.commit, changed=len(facts.git.dirty))
    if changes_database:
        backup, pull, prove, drop = emergency(project, run_id, facts, current, settings)
        steps += [backup, pull, save, prove]
        if verdict.commands and deployed is not None:
            steps.append(rehearse(project, run_id, deployed, verdict, accepted))
        steps.append(drop)
    else:
        steps.append(save)
    steps += meet(share, "prepared", is_down=False)
    steps.append(stop_services(project, facts, images, commit=target.commit))
    steps += meet(share, "stopped", is_down=True)
    if changes_database and verdict.commands and deployed is not None:
        steps += downgrade(project, run_id, facts, deployed, verdict)
    steps += meet(share, "changed", is_down=True)
    steps += [
        CheckoutRelease(
            project_=project,
            run_id=run_id,
            before=facts.git.commit,
            branch=facts.git.branch,
            after=target.commit,
            is_dirty=bool(facts.git.dirty),
        ),
        switch_images(project, facts, images),
        start_services(project, run_id, facts, images),
        await_healthy(project, settings),
        VerifyRelease(
            project_=project,
            commit=target.commit,
            images=images.pins,
            schema=verdict.target,
            one_shots=images.one_shots,
        ),
        *meet(share, "healthy", is_down=True),
        RecordRelease(project_=project, run_id=run_id, left=current.label, lines=ledger_lines),
    ]
    return tuple(steps)
