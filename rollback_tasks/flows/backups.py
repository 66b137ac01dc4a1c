"""``backup.*`` on hosts: make backups, prove them again, and bring them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import backup_check, backup_folder
from rollback_tasks.drivers.backup_check import Verified
from rollback_tasks.errors import RollbackError, UsageError
from rollback_tasks.flows.copies import MANIFEST, copies, named
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.release import Backup, BackupLevel
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import backups, target
from rollback_tasks.planning.parts import Share


def create(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Back up the database of every host; one that several hosts share, once. Raises as ``run``."""

    def plan(session: Session, request: RollbackRequest, _world: World, share: Share | None) -> HostPlan:
        if share is not None and not share.leads:
            return shared(session, share)
        current = target.current_release(session.facts, session.project)
        services = session.gathered.services
        return backups.creation(request.run_id, session.project, session.settings, session.facts, current, services)

    return run(request, configs, world, Procedure(plan=plan, asks="Back up"))


def verify(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    names: Sequence[str] = (),
    is_quick: bool = False,
) -> RunReport:
    """Prove backups again, all or those of ``names``, and hash their copies on this laptop. A host with a problem ends
    as ``problems``. Raises as ``run``.

    :param is_quick: hash and read, but restore nothing.
    """

    def plan(session: Session, request: RollbackRequest, _world: World, share: Share | None) -> HostPlan:
        if share is not None and not share.leads:
            return shared(session, share)
        chosen = named(session.facts.backups, names, session.config.name)
        current = target.current_release(session.facts, session.project)
        return backups.verification(request.run_id, session.project, session.facts, current, chosen, is_quick=is_quick)

    judge = partial(_judged, request=request, world=world, names=names)
    return run(request, configs, world, Procedure(plan=plan, asks="Verify the backups of", judge=judge))


def _judged(
    session: Session, report: HostReport, *, request: RollbackRequest, world: World, names: Sequence[str]
) -> HostReport:
    """Add what was found; a problem there or here decides the outcome."""
    host, project = session.host, session.project
    try:
        found = backup_check.read_answers(host.run(backup_check.answers(project, request.run_id)).text)
        files = backup_folder.read_survey(host.run(backup_folder.survey(project)).text).files
        here = [copy for copy in copies(session, world) if not names or copy.name in names]
        told = {copy.name: _copy_problem(copy, session, world) for copy in here}
    except RollbackError as error:
        return replace(report, outcome=Outcome.PROBLEMS, error=f"what was found is not known: {error.brief}")
    known = {backup.name for backup in (*session.facts.backups, *(backup for backup, _ in session.facts.others))}
    torn = [file.name for file in files if file.name.endswith(MANIFEST) and file.name[: -len(MANIFEST)] not in known]
    problems = [f"{each.name}: {each.problem}" for each in found if each.problem]
    problems += [f"{name} cannot be read" for name in torn if not names]
    problems += [f"the copy of {name} here: {problem}" for name, problem in told.items() if problem]
    extra = {"backups": [_verified_fields(each, told) for each in found]}
    if not problems:
        return replace(report, extra=extra)
    return replace(
        report,
        outcome=Outcome.PROBLEMS,
        error="\n".join(problems),
        hint=_hint(session.config.name, found, told),
        extra=extra,
    )


def _copy_problem(copy: Backup, session: Session, world: World) -> str:
    if copy.damage:
        return copy.damage
    there = next((backup for backup in session.facts.backups if backup.name == copy.name), None)
    if there is not None and there.sha256 != copy.sha256:
        return "its manifest is not that of the host"
    is_whole = world.laptop.digest(f"{session.settings.local_backups}/{copy.name}.dump") == copy.sha256
    return "" if is_whole else "its bytes are not those that were written"


def _verified_fields(found: Verified, told: dict[str, str]) -> dict[str, object]:
    copy = told.get(found.name)
    return {
        "name": found.name,
        "verified": found.level.value,
        "problem": found.problem or None,
        "copy": None if copy is None else copy or "ok",
    }


def _hint(host: str, found: Sequence[Verified], told: dict[str, str]) -> str:
    """Return how the first problem is mended: from the other side where that is good, else by a new backup."""
    bad = {each.name for each in found if each.problem}
    lost = [each.name for each in found if each.level is BackupLevel.WRITTEN and told.get(each.name) == ""]
    if lost:
        return f"`inv backup.push --host {host} --backup {lost[0]}` brings it back from the good copy here."
    here = [name for name, problem in told.items() if problem and name not in bad]
    if here and not bad:
        return f"`inv backup.pull --host {host} --backup {here[0]}` copies it again."
    return f"`inv backup.create --host {host}` makes a new one."


def push(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, name: str) -> RunReport:
    """Bring a backup back to a host that lost it, from this laptop's copy. Raises as ``run``.

    :raises UsageError: there is no copy of this name.
    """

    def plan(session: Session, _request: RollbackRequest, world: World, share: Share | None) -> HostPlan:
        if share is not None and not share.leads:
            return shared(session, share)
        folder = session.settings.local_backups
        copy = next((copy for copy in copies(session, world) if copy.name == name), None)
        if copy is None:
            raise UsageError(
                f"there is no copy of {name!r} in {folder}",
                details="nothing was changed",
                hint=f"`inv backup.list --host {session.config.name}` shows what is here.",
                host=session.config.name,
            )
        said = json.loads(world.laptop.read(f"{folder}/{name}{MANIFEST}") or b"{}")
        roles = said.get("globals")
        return backups.return_(
            session.project,
            session.settings,
            session.facts,
            target.current_release(session.facts, session.project),
            copy,
            problem=_copy_problem(copy, session, world),
            globals_sha256=str(roles.get("sha256", "")) if isinstance(roles, dict) else "",
        )

    return run(request, configs, world, Procedure(plan=plan, asks="Copy a backup to"))


def shared(session: Session, share: Share) -> HostPlan:
    """Return the plan of a host whose database another host of the run takes care of."""
    return HostPlan(
        host=session.config.name,
        current=target.current_release(session.facts, session.project),
        database=session.project.database,
        noop_reason=f"its database is shared with {', '.join(share.others)}, where it is done",
    )
