"""The steps that every sequence around the database is put together from."""

from __future__ import annotations

from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning.parts import Settings, Share
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.copy_database import CopyDatabase
from rollback_tasks.steps.downgrade_schema import DowngradeSchema
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.prove_backup import DropScratch, ProveBackup
from rollback_tasks.steps.pull_backup import PullBackup
from rollback_tasks.steps.rehearse_downgrade import RehearseDowngrade


def meet(share: Share | None, point: str, *, is_down: bool) -> tuple[Step, ...]:
    """Wait for the hosts that share the database; nothing where none does."""
    return () if share is None else (MeetOthers(point=point, others=share.others, is_down=is_down),)


def emergency(
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    settings: Settings,
    *,
    proves: bool = True,
) -> tuple[Step, ...]:
    """Return the steps that back up what is live, off the host and proven, before anything of it is put aside.

    :param proves: False where what is live is so broken that it cannot be restored: the dump is read back only.
    """
    assert facts.database is not None
    size, name, local = facts.database.size_bytes, project.backup_name(run_id), settings.local_backups
    made = (
        BackupDatabase(
            project_=project,
            run_id=run_id,
            name=name,
            commit=current.commit,
            size_bytes=size,
            host=facts.host,
            images=current.images,
        ),
        PullBackup(project_=project, name=name, local_folder=local),
    )
    if not proves:
        return made
    return (
        *made,
        ProveBackup(project_=project, run_id=run_id, name=name, local_folder=local, size_bytes=size),
        DropScratch(project_=project, run_id=run_id),
    )


def rehearse(
    project: Project, run_id: str, deployed: Deployed, verdict: Verdict, accepted: frozenset[str]
) -> RehearseDowngrade:
    """Try the downgrade in the scratch database that the proof of the backup left."""
    return RehearseDowngrade(
        project_=project,
        run_id=run_id,
        deployed=deployed,
        commands=verdict.commands,
        live=verdict.current,
        after=verdict.target,
        accepted=accepted,
    )


def downgrade(
    project: Project, run_id: str, facts: HostFacts, deployed: Deployed, verdict: Verdict
) -> tuple[Step, ...]:
    """Copy the database inside the server, then take its schema back; the application is stopped."""
    assert facts.database is not None
    marker = f"{project.database_site.run_folder(run_id)}/schema-changed"
    return (
        CopyDatabase(project_=project, run_id=run_id, marker=marker, size_bytes=facts.database.size_bytes),
        DowngradeSchema(
            project_=project,
            run_id=run_id,
            deployed=deployed,
            commands=verdict.commands,
            before=verdict.current,
            after=verdict.target,
            marker=marker,
        ),
    )
