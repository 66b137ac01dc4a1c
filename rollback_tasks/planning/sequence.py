"""The order of a full rollback, and only that."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning.parts import (
    Images,
    Settings,
    await_healthy,
    meant,
    prepare_images,
    start_services,
    stop_services,
    switch_images,
)
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.checkout_release import CheckoutRelease
from rollback_tasks.steps.copy_database import CopyDatabase
from rollback_tasks.steps.downgrade_schema import DowngradeSchema
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.prove_backup import DropScratch, ProveBackup
from rollback_tasks.steps.pull_backup import PullBackup
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.rehearse_downgrade import RehearseDowngrade
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.verify_release import VerifyRelease

__all__ = ["Images", "Settings", "Share", "full", "meant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A host's part where several share one database.

    :param others: the other hosts of the group.
    :param leads: True for the one host whose plan holds the database's steps.
    """

    others: tuple[str, ...]
    leads: bool


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
    assert facts.database is not None
    changes_database = share is None or share.leads
    size = facts.database.size_bytes
    backup = project.backup_name(run_id)
    marker = f"{project.database_site.run_folder(run_id)}/schema-changed"

    def meet(point: str, *, is_down: bool) -> list[Step]:
        return [] if share is None else [MeetOthers(point=point, others=share.others, is_down=is_down)]

    steps: list[Step] = [
        SaveEvidence(project_=project, run_id=run_id),
        prepare_images(project, run_id, target.commit, images),
    ]
    save = SaveCheckout(project_=project, run_id=run_id, target=target.commit, changed=len(facts.git.dirty))
    if changes_database:
        local = settings.local_backups
        steps += [
            BackupDatabase(
                project_=project,
                run_id=run_id,
                name=backup,
                commit=current.commit,
                size_bytes=size,
                host=facts.host,
                images=current.images,
            ),
            PullBackup(project_=project, name=backup, local_folder=local),
            save,
            ProveBackup(project_=project, run_id=run_id, name=backup, local_folder=local, size_bytes=size),
        ]
        if verdict.commands and deployed is not None:
            steps.append(
                RehearseDowngrade(
                    project_=project,
                    run_id=run_id,
                    deployed=deployed,
                    commands=verdict.commands,
                    live=verdict.current,
                    after=verdict.target,
                    accepted=accepted,
                )
            )
        steps.append(DropScratch(project_=project, run_id=run_id))
    else:
        steps.append(save)
    steps += meet("prepared", is_down=False)
    steps.append(stop_services(project, facts, images))
    steps += meet("stopped", is_down=True)
    if changes_database and verdict.commands and deployed is not None:
        steps += [
            CopyDatabase(project_=project, run_id=run_id, marker=marker, size_bytes=size),
            DowngradeSchema(
                project_=project,
                run_id=run_id,
                deployed=deployed,
                commands=verdict.commands,
                before=verdict.current,
                after=verdict.target,
                marker=marker,
            ),
        ]
    steps += meet("changed", is_down=True)
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
        *meet("healthy", is_down=True),
        RecordRelease(project_=project, run_id=run_id, left=current.label, lines=ledger_lines),
    ]
    return tuple(steps)
