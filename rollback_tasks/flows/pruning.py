"""``backup.prune``: what nobody needs any more makes room, on hosts, in their servers, and here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import backup_folder
from rollback_tasks.drivers.backup_folder import Folder
from rollback_tasks.flows import archive
from rollback_tasks.flows.backups import shared
from rollback_tasks.flows.copies import copies
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import Outcome, RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import base_pruning, put_aside, target
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.pruning import Laptop, pruning, with_more
from rollback_tasks.planning.put_aside import KEEP_DAYS


def prune(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    keep: int | None = None,
    keep_bases: int = 2,
    keep_days: int = KEEP_DAYS,
) -> RunReport:
    """Remove the backups that nobody needs, what runs put aside long ago, and what cut runs left; without ``--yes``
    show them. Raises as ``run``.

    :param keep: proven backups that stay; None = as the inventory says.
    :param keep_bases: base backups that stay, of those that can be rolled forward.
    :param keep_days: for which what a run put aside stays in any case.
    """

    def plan(session: Session, request: RollbackRequest, world: World, share: Share | None) -> HostPlan:
        if share is not None and not share.leads:
            return shared(session, share)
        host = world.read_only(session.host)
        local = session.settings.local_backups
        names = world.laptop.names(local)
        folder = backup_folder.read_survey(host.run(backup_folder.survey(session.project)).text)
        plan = pruning(
            session.project,
            session.facts,
            target.current_release(session.facts, session.project),
            folder,
            Laptop(
                folder=local,
                copies=copies(session, world),
                sizes={file: world.laptop.size(f"{local}/{file}") or 0 for file in names},
            ),
            keep=session.config.backups.keep if keep is None else keep,
        )
        if session.facts.database is None:
            return plan
        plan = _with_bases(plan, session, world, keep_bases)
        return _with_put_aside(plan, session, world, request.run_id, folder, keep_days)

    request = replace(request, is_dry_run=request.is_dry_run or not request.is_confirmed)
    report = run(request, configs, world, Procedure(plan=plan, asks="Remove backups of"))
    if report.outcome is Outcome.PLANNED and report.next is None:
        hosts = ",".join(host.host for host in report.hosts if host.outcome is Outcome.PLANNED)
        return replace(report, next=f"`inv backup.prune --host {hosts} --yes` does it.")
    return report


def _with_bases(plan: HostPlan, session: Session, world: World, keep: int) -> HostPlan:
    """Add base backups and the log, where there are any."""
    if not session.facts.bases:
        return plan
    found = archive.look(session, world)
    if found.facts is None:
        return plan
    bases = base_pruning.retention(found.bases, found.facts, has_strange=bool(found.strange), keep=keep)
    notes = base_pruning.warnings(bases, count=len(found.bases), strange=found.strange)
    return with_more(plan, base_pruning.steps(session.project, bases), notes)


def _with_put_aside(
    plan: HostPlan, session: Session, world: World, run_id: str, folder: Folder, keep_days: int
) -> HostPlan:
    """Add what runs put aside in the server."""
    facts, project = session.facts, session.project
    assert facts.database is not None
    found = put_aside.put_aside(facts.database, project, now=world.clock.now(), idle=folder.idle)
    going = put_aside.going(
        found,
        project=project,
        facts=facts,
        run_id=run_id,
        runs=folder.runs,
        local_folder=session.settings.local_backups,
        keep_days=keep_days,
    )
    return with_more(plan, going.steps, [f"{name} stays: {why}" for name, why in going.stays.items()])
