"""The order of a recovery beside, and only that: it ends in a backup like any other."""

from __future__ import annotations

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import BaseBackup, Cluster, Target
from rollback_tasks.model.release import Release
from rollback_tasks.planning.parts import Settings
from rollback_tasks.planning.restore_sequence import Source
from rollback_tasks.planning.rooms import Need
from rollback_tasks.planning.window import Choice
from rollback_tasks.steps.archive_wal import ArchiveWal
from rollback_tasks.steps.pull_backup import PullBackup
from rollback_tasks.steps.recover_beside import DropRecovery, DumpRecovered, RecoverBeside

# The cluster as it was, and what the log adds to it.
_ROOM = 1.3


def backup_name(project: Project, run_id: str) -> str:
    """Return the name of the backup that a run makes of the recovered database."""
    return f"{project.backup_name(run_id)}-recovered"


def source(project: Project, run_id: str, facts: HostFacts) -> Source:
    """Return the dump that ``recovering`` makes. It has to have the schema that is live: the code stays."""
    assert facts.database is not None
    return Source(
        path=f"{project.backup_folder}/{backup_name(project, run_id)}",
        schema=facts.database.schema,
        size_bytes=facts.database.size_bytes,
    )


def recovering(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    cluster: Cluster,
    choice: Choice,
    wanted: Target,
    settings: Settings,
) -> tuple[Step, ...]:
    """Return the steps that make a backup of the database as it was, while the application serves."""
    base, name = choice.base, backup_name(project, run_id)
    assert base is not None
    assert facts.database is not None
    steps: list[Step] = [ArchiveWal(project_=project, run_id=run_id)] if choice.closes else []
    steps += [
        RecoverBeside(
            project_=project,
            run_id=run_id,
            base=base.name,
            cluster=cluster,
            moment="" if wanted.moment is None else wanted.moment.isoformat(),
            point=wanted.point,
            unpacked_bytes=base.unpacked_bytes,
            segments=choice.segments,
        ),
        DumpRecovered(
            project_=project,
            run_id=run_id,
            name=name,
            commit=current.commit,
            schema=facts.database.schema,
            size_bytes=facts.database.size_bytes,
        ),
        PullBackup(project_=project, name=name, local_folder=settings.local_backups),
        DropRecovery(project_=project, run_id=run_id),
    ]
    return tuple(steps)


def room(facts: HostFacts, base: BaseBackup) -> tuple[Need, ...]:
    """Return the room that the recovery beside takes until its dump is made: its volume lies where Docker keeps its
    data, wherever the live database lies."""
    if not facts.docker_free_bytes:
        return ()
    return (
        Need(
            what="the recovery beside the live database",
            where="where Docker keeps its volumes",
            disk=facts.docker_disk,
            free_bytes=facts.docker_free_bytes,
            needed_bytes=round(base.unpacked_bytes * _ROOM),
            hint="free some on the disk of Docker's data, then plan again.",
        ),
    )
