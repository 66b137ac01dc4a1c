"""``rollback.pitr``: the database of a moment; recovered beside, dumped, restored and swapped in like any backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import wal_commits
from rollback_tasks.flows import archive, rollback
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.restore import look
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.recovery import ArchiveFacts, BaseBackup, Target
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import pictures, recovery_sequence, restore_sequence, restoring, target, window
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.planning.restoring import RestoreFacts


def pitr(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    wanted: Target,
    assumed: str,
    proves: bool,
) -> RunReport:
    """Take the database of every host to a moment or a restore point. Raises as ``run``.

    :param assumed: what was assumed of the moment as it was typed; empty where nothing was.
    :param proves: False where what is live is too broken for its backup to be proven.
    """
    plan = partial(plan_session, wanted=wanted, assumed=assumed, proves=proves)
    return run(request, configs, world, Procedure(plan=plan, asks=f"Take the database to {wanted} on"))


def plan_session(
    session: Session,
    request: RollbackRequest,
    world: World,
    share: Share | None,
    *,
    wanted: Target,
    assumed: str,
    proves: bool,
) -> HostPlan:
    """Return the plan of a host; only READ commands are run."""
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    does = f"take the database to {wanted}"
    plan = HostPlan(host=facts.host, current=current, database=project.database, does=does)
    found = archive.look(session, world)
    if facts.database is None or found.facts is None:
        blocked = tuple(restoring.possible(replace(facts, database=None), project, 0, RestoreFacts()))
        return replace(plan, blockers=blocked)
    choice = _choose(session, world, found.facts, found.bases, wanted)
    notes = (*((assumed,) if assumed else ()), *choice.notes)
    if choice.base is None:
        return replace(plan, blockers=choice.blockers, warnings=notes)
    seen = look(session, world, None)
    also = recovery_sequence.room(facts, choice.base)
    blockers = restoring.possible(facts, project, 0, seen, dumps=2, also=also)
    source = recovery_sequence.source(project, request.run_id, facts)
    steps = restore_sequence.restoring(
        project=project,
        run_id=request.run_id,
        facts=facts,
        current=current,
        source=source,
        settings=session.settings,
        share=share,
        proves=proves,
        first=recovery_sequence.recovering(
            project=project,
            run_id=request.run_id,
            facts=facts,
            current=current,
            cluster=found.facts.cluster,
            choice=choice,
            wanted=wanted,
            settings=session.settings,
        ),
        is_pulled=pictures.is_pulled(project, session.gathered.services),
    )
    plan = replace(
        with_steps(plan, project, facts, steps),
        costs=restoring.costs(project, request.run_id, since=str(wanted), backup={}, live={}),
        goal={
            **described(current),
            "moment": str(wanted),
            "backup": recovery_sequence.backup_name(project, request.run_id),
        },
        warnings=(*notes, *restoring.warnings(facts, project, None), *restoring.broken(seen, proves=proves)),
        blockers=tuple(blockers),
    )
    plan = rollback.with_all_writers(plan, session, world, share)
    return replace(plan, steps=()) if plan.blockers else plan


def _choose(
    session: Session, world: World, facts: ArchiveFacts, bases: Sequence[BaseBackup], wanted: Target
) -> window.Choice:
    """Read the log around what is wanted, and choose where the recovery starts."""
    host, project, name = world.read_only(session.host), session.project, session.config.name
    if facts.archived is None or not bases:
        problem = window.archiving_problem(facts)
        choice = window.choose_point("", (), facts, (), host=name)
        if not problem:
            return choice
        hint = 'see README, "Write-ahead log archiving".'
        return replace(choice, blockers=(Blocker(f"nothing can be recovered: {problem}", hint), *choice.blockers))
    if wanted.moment is not None:
        base = window.base_for(wanted.moment, bases) or bases[-1]
        reach = window.window(base, facts.archived, facts.live)
        commits = None
        if reach.end:
            answer = host.run(wal_commits.commits(project, facts, base.start_wal, reach.end, wanted.moment))
            commits = wal_commits.read_commits(answer.text)
        return window.choose_moment(wanted.moment, bases, facts, commits, host=name)
    first, last = bases[-1].start_wal, facts.current or "F" * 24
    answer = host.run(wal_commits.points(project, facts, first, last))
    return window.choose_point(wanted.point, bases, facts, wal_commits.read_points(answer.text), host=name)
