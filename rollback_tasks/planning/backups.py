"""How backups are made, proven again and brought back, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, BackupLevel, Release
from rollback_tasks.planning import guards
from rollback_tasks.planning.database_parts import emergency
from rollback_tasks.planning.parts import Settings
from rollback_tasks.steps.prove_backup import DropScratch
from rollback_tasks.steps.push_backup import PushBackup
from rollback_tasks.steps.verify_backup import VerifyBackup


def creation(
    run_id: str,
    project: Project,
    settings: Settings,
    facts: HostFacts,
    current: Release,
    services: Mapping[str, Service] = MappingProxyType({}),
) -> HostPlan:
    """Return the plan that dumps, copies off the host and proves, while the application goes on serving.

    :param services: of the compose file as it lies in the work tree.
    """
    blockers = tuple(_blockers(facts, project))
    steps: tuple[Step, ...] = ()
    if facts.database is not None and not blockers:
        steps = emergency(project, run_id, facts, current, settings)
    return HostPlan(
        host=facts.host,
        current=current,
        steps=steps,
        blockers=blockers,
        warnings=(*_warnings(facts), *guards.in_builds(facts, project, services)),
        database=project.database,
        does="back the database up",
    )


def verification(
    run_id: str,
    project: Project,
    facts: HostFacts,
    current: Release,
    chosen: Sequence[Backup],
    *,
    is_quick: bool,
) -> HostPlan:
    """Return the plan that proves backups again, one after the other, in one scratch database. Those of other databases
    that lie in the same folder are not this application's to judge."""
    blockers: list[Blocker] = []
    ours = [backup for backup in chosen if backup.database == project.database]
    if not ours:
        blockers.append(Blocker("there is no backup to verify", f"`inv backup.create --host {facts.host}` makes one."))
    if facts.database is None:
        blockers.append(_unreachable(facts))
    elif not is_quick:
        blockers += guards.room_beside(facts.database, copies=1)
    size = facts.database.size_bytes if facts.database else 0
    steps: list[Step] = [
        VerifyBackup(project_=project, run_id=run_id, name=backup.name, size_bytes=size, is_quick=is_quick)
        for backup in ours
    ]
    return HostPlan(
        host=facts.host,
        current=current,
        steps=() if blockers else (*steps, DropScratch(project_=project, run_id=run_id)),
        blockers=tuple(blockers),
        warnings=tuple(
            f"{backup.name}: {backup.damage}" + ("" if backup in ours else "; it is left alone")
            for backup in chosen
            if backup.damage
        ),
        database=project.database,
        does="verify backups",
    )


def return_(
    project: Project,
    settings: Settings,
    facts: HostFacts,
    current: Release,
    copy: Backup,
    *,
    problem: str,
    globals_sha256: str,
) -> HostPlan:
    """Return the plan that brings a backup back to its host.

    :param problem: why the copy is not good; empty where it is.
    """
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="copy a backup to the host")
    known = (*facts.backups, *(backup for backup, _ in facts.others))
    there = next((backup for backup in known if backup.name == copy.name), None)
    if problem:
        return replace(plan, blockers=(Blocker(f"the copy of {copy.name} here is not good: {problem}"),))
    if there is not None and there.level is not BackupLevel.WRITTEN:
        return replace(plan, noop_reason=f"{copy.name} is there, and {there.level.value}")
    if facts.backup_free_bytes < copy.size_bytes:
        blocker = Blocker(
            f"no room for the backup: {facts.backup_free_bytes} bytes free in {project.backup_folder}, "
            f"{copy.size_bytes} needed",
            f"free some, or set backups.remote_dir of {facts.host} to a larger disk.",
        )
        return replace(plan, blockers=(blocker,))
    step = PushBackup(
        project_=project,
        name=copy.name,
        local_folder=settings.local_backups,
        sha256=copy.sha256,
        globals_sha256=globals_sha256,
    )
    return replace(plan, steps=(step,))


def _unreachable(facts: HostFacts) -> Blocker:
    return Blocker(
        f"the database cannot be reached: {facts.database_problem}",
        f"start it (`docker start` its container on {facts.host}), then try again.",
    )


def _blockers(facts: HostFacts, project: Project) -> Iterator[Blocker]:
    if facts.database is None:
        yield _unreachable(facts)
    else:
        yield from guards.room(facts, project, copies=1)


def _warnings(facts: HostFacts) -> Iterator[str]:
    for session in facts.database.sessions if facts.database else ():
        if session.application.startswith("rollback-"):
            yield f"session {session.pid} ({session.application}) was left by an earlier run; it is ended first"
    if abs(facts.clock_skew) > 30:
        yield f"the host's clock is {abs(facts.clock_skew):.0f} s {'ahead' if facts.clock_skew > 0 else 'behind'}"
