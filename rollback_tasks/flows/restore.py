"""``rollback.restore``: the database from a backup; restored beside, compared, swapped in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import backup as backups
from rollback_tasks.drivers import consistency, postgres, swap
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.drivers.statements import as_script
from rollback_tasks.execution import gather_target
from rollback_tasks.flows import choosing, rollback
from rollback_tasks.flows.reports import described
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Backup
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning import pictures, restore_sequence, restoring, target
from rollback_tasks.planning.parts import Share
from rollback_tasks.planning.planner import plan_host, projected, with_steps
from rollback_tasks.planning.restoring import RestoreFacts
from rollback_tasks.planning.target import Choice
from rollback_tasks.shell import Effect


def restore(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    backup: str,
    release: str | None,
    proves: bool = True,
    is_foreign_meant: bool = False,
) -> RunReport:
    """Restore the database of every host from the backup of that name. Raises as ``run``.

    :param release: code, images and compose file go back to it as well; None: they stay.
    :param proves: False where what is live is too broken for its backup to be proven.
    :param is_foreign_meant: the backup may be of another deployment, or of a database that a run put aside.
    """
    plan = partial(
        plan_session,
        name=backup,
        with_release=release is not None,
        proves=proves,
        is_foreign_meant=is_foreign_meant,
    )
    return run(replace(request, to=release), configs, world, Procedure(plan=plan, asks="Restore the database on"))


def plan_session(
    session: Session,
    request: RollbackRequest,
    world: World,
    share: Share | None,
    *,
    name: str,
    with_release: bool,
    proves: bool,
    is_foreign_meant: bool = False,
) -> HostPlan:
    """Return the plan of a host; only READ commands are run.

    :raises UsageError: nobody has such a backup, or no release is called like that.
    """
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    plan = HostPlan(host=facts.host, current=current, database=project.database, does="restore the database")
    chosen = choose(session, world, name)
    if isinstance(chosen, tuple):
        return replace(plan, blockers=chosen)
    found = look(session, world, chosen)
    source = restore_sequence.of_backup(chosen)
    blockers = [
        *restoring.usable(facts, project, chosen, found, is_foreign_meant=is_foreign_meant),
        *restoring.possible(facts, project, chosen.size_bytes, found),
    ]
    if request.is_confirmed and not request.is_dry_run:
        blockers += restoring.unaccepted(restoring.lost(chosen.counts, found.counts), request.accepted_losses)
    if with_release:
        plan = _with_release(plan, session, request, world, share, chosen, proves=proves)
    else:
        blockers += restoring.fit(facts, chosen.schema, found.deployed, flag="with-release")
        steps = restore_sequence.restoring(
            project=project,
            run_id=request.run_id,
            facts=facts,
            current=current,
            source=source,
            settings=session.settings,
            share=share,
            proves=proves,
            is_pulled=pictures.is_pulled(project, session.gathered.services),
        )
        plan = with_steps(plan, project, facts, steps)
    plan = replace(
        plan,
        verdict=None,
        does="restore the database",
        costs=restoring.costs(project, request.run_id, since=chosen.taken_at, backup=chosen.counts, live=found.counts),
        goal={
            **described(plan.target or current, schema=chosen.schema, images=plan.end.running if plan.end else None),
            "backup": chosen.name,
        },
        warnings=(
            *plan.warnings,
            *restoring.warnings(facts, project, chosen),
            *restoring.broken(found, proves=proves),
        ),
        blockers=(*plan.blockers, *blockers),
    )
    plan = rollback.with_all_writers(plan, session, world, share)
    return replace(plan, steps=()) if plan.blockers else plan


def choose(session: Session, world: World, name: str) -> Backup | tuple[Blocker, ...]:
    """Return the backup of that name where it could be restored; else why not.

    :raises UsageError: nobody has such a backup.
    """
    facts = session.facts
    chosen = restoring.choose(facts, name)
    if chosen is None:
        manifest = f"{session.settings.local_backups}/{restoring.bare(name)}.manifest.json"
        return (restoring.missing(facts, name, is_here=world.laptop.read(manifest) is not None),)
    if facts.database is None:
        return tuple(restoring.possible(facts, session.project, 0, RestoreFacts()))
    return chosen


def look(session: Session, world: World, chosen: Backup | None) -> RestoreFacts:
    """Ask the host for what a restore depends on. ``chosen``: its bytes are compared with its manifest."""
    host, project, facts = world.read_only(session.host), session.project, session.facts
    damage, is_here = "", False
    if chosen is not None:
        asked = backups.has_level(project, chosen.name, chosen.level, size_bytes=chosen.size_bytes)
        answer = host.run(replace(asked, ok_codes=frozenset(range(124))))
        if answer.exit_code != 0:
            damage = answer.error_text.strip() or "its bytes are not those that its manifest tells"
            is_here = world.laptop.digest(f"{session.settings.local_backups}/{chosen.name}.dump") == chosen.sha256
    way = gather_target.look_at(host, project, facts, facts.git.commit)
    asked = sql(project, as_script(consistency.FOREIGN_KEYS), effect=Effect.READ, timeout=1800)
    keys = host.run(asked)
    problems = consistency.read(keys.text, keys.error_text).problems
    return RestoreFacts(
        damage=damage,
        is_here=is_here,
        counts=postgres.read_counts(host.run(postgres.counts(project)).text),
        broken=tuple(f"{problem.name}: {problem.says}" for problem in problems),
        obstacles=swap.read_obstacles(host.run(swap.obstacles(project)).text),
        deployed=None if way.problem else way.deployed_scripts,
    )


def _with_release(
    plan: HostPlan,
    session: Session,
    request: RollbackRequest,
    world: World,
    share: Share | None,
    chosen: Backup,
    *,
    proves: bool,
) -> HostPlan:
    """Return the plan that takes the code to a release and the database to the backup, in one downtime."""
    facts, project = session.facts, session.project
    release = choosing.named(session, plan.current, request.to)
    details = rollback.look(session, release, world)
    needed = release.schema or (details.verdict.target if details.verdict else ())
    live = facts.database.schema if facts.database else ()
    verdict = Verdict(kind=VerdictKind.CODE_ONLY, current=live, target=chosen.schema)
    planned = plan_host(
        request,
        project,
        session.settings,
        facts,
        plan.current,
        Choice(release=release),
        replace(details, verdict=verdict),
        share,
    )
    blockers = list(planned.blockers)
    if set(needed) != set(chosen.schema):
        blockers.append(
            Blocker(
                f"release {release.label} needs schema {', '.join(needed) or 'none'}, "
                f"the backup is at {', '.join(chosen.schema) or 'none'}",
                f"`inv release.list --host {facts.host}` shows which release had that schema.",
            )
        )
    if planned.is_noop:
        blockers.append(
            Blocker(f"release {release.label} runs already", "leave --with-release out: the code stays what it is.")
        )
    steps = restore_sequence.spliced(
        planned.steps,
        project=project,
        run_id=request.run_id,
        source=restore_sequence.of_backup(chosen),
        facts=facts,
        proves=proves,
    )
    start = planned.start
    end = projected(start, steps) if start is not None else None
    return replace(planned, steps=steps, start=start, end=end, blockers=tuple(blockers), noop_reason="")
