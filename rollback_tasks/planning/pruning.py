"""The plan of a prune: what goes on the host, and what goes on the laptop, by one rule each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rollback_tasks.drivers.backup_folder import File, Folder, base_leftovers, leftovers
from rollback_tasks.drivers.databases import put_aside_by
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, Release
from rollback_tasks.planning.retention import needs, retention
from rollback_tasks.steps.prune_backups import PruneBackups, PruneCopies

_ENDS = (".manifest.json", ".dump", ".globals.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laptop:
    """The folder of a host's copies on the laptop.

    :param copies: newest first.
    :param sizes: name of every file in it to its bytes.
    """

    folder: str
    copies: tuple[Backup, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)


def pruning(
    project: Project, facts: HostFacts, current: Release, folder: Folder, laptop: Laptop, *, keep: int
) -> HostPlan:
    """Return the plan that removes what nobody needs. Copies on the laptop are counted among themselves, so that it
    keeps as many as the host, whatever the host lost.

    :param keep: proven backups that stay.
    """
    databases = facts.database.databases if facts.database else ()
    # Other databases may use the same folder: theirs are theirs.
    backups, copies = (
        tuple(backup for backup in found if backup.database == project.database)
        for found in (facts.backups, laptop.copies)
    )
    wanted = needs(backups, ledger=facts.ledger, runs=folder.runs, databases=databases)
    there = retention(backups, keep=keep, needs=wanted)
    wanted_here = needs(copies, ledger=facts.ledger, runs=folder.runs, databases=databases)
    here = retention(copies, keep=keep, needs=wanted_here)
    aside = _aside(project, facts, [backup for backup, _ in facts.others], keep)
    aside_here = _aside(project, facts, laptop.copies, keep)
    steps = (
        *_on_host(project, (*there.removed, *aside), there.newest, folder),
        *_on_laptop(project, laptop, (*here.removed, *aside_here)),
    )
    spared = {**here.spared, **there.spared}
    return HostPlan(
        host=facts.host,
        current=current,
        steps=steps,
        warnings=tuple(f"{name} is kept beyond the newest {keep}: {why}" for name, why in spared.items()),
        database=project.database,
        does="remove backups",
        noop_reason="" if steps else "nothing is there that may go",
    )


def _aside(project: Project, facts: HostFacts, known: Sequence[Backup], keep: int) -> tuple[Backup, ...]:
    """Return the backups of what runs put aside, beyond the newest ``keep`` and where it is no longer in the server."""
    aside = [backup for backup in known if put_aside_by(project.database, backup.database)]
    live = facts.database.databases if facts.database else ()
    return tuple(backup for backup in aside[max(keep, 1) :] if facts.database and backup.database not in live)


def with_more(plan: HostPlan, steps: Iterable[Step], warnings: Iterable[str]) -> HostPlan:
    """Return the plan with more that goes."""
    every = (*plan.steps, *steps)
    return replace(
        plan,
        steps=every,
        warnings=(*plan.warnings, *warnings),
        noop_reason="" if every else plan.noop_reason,
        does="remove what nobody needs",
    )


def _on_host(project: Project, removed: tuple[Backup, ...], newest: str, folder: Folder) -> Iterator[Step]:
    for backup in removed:
        yield PruneBackups(
            project_=project,
            names=(backup.name,),
            newest=newest,
            says=f"remove backup {backup.name} ({_about(backup)})",
        )
    manifests = [file.name.removesuffix(_ENDS[0]) for file in folder.files if file.name.endswith(_ENDS[0])]
    files = (*leftovers(folder.files, manifests, prefix=project.backup_prefix), *base_leftovers(folder))
    if files:
        yield PruneBackups(project_=project, files=tuple(file.name for file in files), says=f"remove {_told(files)}")


def _on_laptop(project: Project, laptop: Laptop, removed: tuple[Backup, ...]) -> Iterator[Step]:
    for copy in removed:
        paths = tuple(f"{laptop.folder}/{copy.name}{end}" for end in _ENDS)
        yield PruneCopies(paths=paths, says=f"remove the copy of {copy.name} on this machine ({_about(copy)})")
    files = [File(name=name, size_bytes=size) for name, size in laptop.sizes.items()]
    manifests = [file.name.removesuffix(_ENDS[0]) for file in files if file.name.endswith(_ENDS[0])]
    left = leftovers(files, manifests, prefix=project.backup_prefix)
    if left:
        paths = tuple(f"{laptop.folder}/{file.name}" for file in left)
        yield PruneCopies(paths=paths, says=f"remove on this machine {_told(left)}")


def _about(backup: Backup) -> str:
    return f"{backup.damage or backup.level.value}, of {backup.taken_at}, {backup.size_bytes} bytes"


def _told(files: tuple[File, ...]) -> str:
    """Return leftover files as a sentence's end."""
    total = sum(file.size_bytes for file in files)
    shown = ", ".join(file.name for file in files[:5]) + (" ..." if len(files) > 5 else "")
    return f"{len(files)} leftover file{'' if len(files) == 1 else 's'} ({total} bytes): {shown}"
