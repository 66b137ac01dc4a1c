"""The order of a restore, whatever its dump is, and only that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_tasks.model.facts import HostFacts, ran
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, Release
from rollback_tasks.planning import parts
from rollback_tasks.planning.database_parts import emergency, meet
from rollback_tasks.planning.parts import Settings, Share
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.prove_backup import DropScratch, ProveBackup
from rollback_tasks.steps.restore_beside import RestoreBeside, VerifyRestored
from rollback_tasks.steps.resume_services import ResumeServices
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.swap_database import NoteServed, SwapDatabase
from rollback_tasks.steps.verify_release import VerifyRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dump to restore, with its manifest beside it.

    :param path: absolute, on the host that serves the database, without ending.
    :param schema: the alembic heads that it holds.
    :param size_bytes: of the dump, about.
    """

    path: str
    schema: tuple[str, ...]
    size_bytes: int


def of_backup(backup: Backup) -> Source:
    """Return the dump of a backup that lies on the host."""
    return Source(path=backup.path.removesuffix(".dump"), schema=backup.schema, size_bytes=backup.size_bytes)


def beside(project: Project, run_id: str, source: Source) -> tuple[Step, ...]:
    """Return the steps that restore and compare while the application serves."""
    return (
        RestoreBeside(project_=project, run_id=run_id, source=source.path, size_bytes=source.size_bytes),
        VerifyRestored(project_=project, run_id=run_id, source=source.path),
    )


def swap(project: Project, run_id: str, source: Source, facts: HostFacts) -> tuple[Step, ...]:
    """Return the steps that give what was restored the place of the live database, with the application stopped."""
    before = facts.database.schema if facts.database else ()
    exchange = SwapDatabase(project_=project, run_id=run_id, before=before, after=source.schema)
    note = NoteServed(project_=project, run_id=run_id)
    # The guards of several hosts act each for itself: an application may come back before the swap is taken back.
    return (exchange, note) if project.site is None else (note, exchange)


def restoring(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    source: Source,
    settings: Settings,
    share: Share | None = None,
    first: Sequence[Step] = (),
    is_pulled: bool = False,
    proves: bool = True,
) -> tuple[Step, ...]:
    """Return the steps of a restore; the release stays.

    :param first: steps that make the dump of ``source``; they come after the emergency backup.
    :param is_pulled: the compose file asks for a pull, which is held back.
    :param proves: as of ``emergency``.
    """
    leads = share is None or share.leads
    old = tuple(c for c in facts.containers if c.service in project.app_services)

    steps: list[Step] = [SaveEvidence(project_=project, run_id=run_id)]
    if leads:
        steps += emergency(project, run_id, facts, current, settings, proves=proves)
        steps += [*first, *beside(project, run_id, source)]
    steps += meet(share, "prepared", is_down=False)
    steps.append(StopServices(project_=project, old=old, is_pulled=is_pulled))
    steps += meet(share, "stopped", is_down=True)
    if leads:
        steps += swap(project, run_id, source, facts)
    steps += meet(share, "changed", is_down=True)
    steps += serving_again(project, facts, settings, source.schema, is_pulled=is_pulled)
    steps += meet(share, "healthy", is_down=True)
    return tuple(steps)


def serving_again(
    project: Project, facts: HostFacts, settings: Settings, schema: tuple[str, ...], *, is_pulled: bool
) -> tuple[Step, ...]:
    """Return the steps that start again what ran, unchanged, and hold it against the schema; none where nothing ran."""
    old = tuple(c for c in facts.containers if c.service in project.app_services)
    images = ran(old)
    if not images:
        return ()
    return (
        ResumeServices(project_=project, old=old, is_pulled=is_pulled),
        parts.await_healthy(project, settings),
        VerifyRelease(project_=project, commit=facts.git.commit, images=images, schema=schema),
    )


def spliced(
    steps: Sequence[Step], *, project: Project, run_id: str, source: Source, facts: HostFacts, proves: bool = True
) -> tuple[Step, ...]:
    """Return the steps of a rollback of code alone with those of a restore put in their places."""
    steps = [step for step in steps if proves or not isinstance(step, ProveBackup)]
    return tuple(_spliced(steps, beside(project, run_id, source), swap(project, run_id, source, facts)))


def _spliced(steps: Sequence[Step], early: tuple[Step, ...], late: tuple[Step, ...]) -> Iterator[Step]:
    leads = any(isinstance(step, BackupDatabase) for step in steps)
    is_swapped = not leads
    for step in steps:
        is_place = step.kind == "checkout_release" or (isinstance(step, MeetOthers) and step.point == "changed")
        if is_place and not is_swapped:
            is_swapped = True
            yield from late
        yield step
        if leads and isinstance(step, DropScratch):
            yield from early
