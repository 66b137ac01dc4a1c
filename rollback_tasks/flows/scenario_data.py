"""``scenario.data-corruption``: find out what the data lacks, then restore it from a backup that was proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import consistency
from rollback_tasks.drivers.consistency import Consistency
from rollback_tasks.errors import RollbackError
from rollback_tasks.flows import database, restore
from rollback_tasks.flows.run import run
from rollback_tasks.flows.scenario import procedure
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.events import Note
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import corruption, diagnosis, restoring
from rollback_tasks.planning.parts import Share

LATEST = "latest"


def data_corruption(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    backup: str | None,
    release: str | None,
    proves: bool = True,
) -> RunReport:
    """Restore the database of every host from a backup, and check it. Raises as ``run``.

    :param backup: its name; None = the newest proven one, where somebody is shown it and asked.
    :param release: code, images and compose file go back to it as well; None: they stay.
    :param proves: False where what is live is too broken for its backup to be proven; where that is seen, it is not
        tried in any case.
    """
    plan = partial(_plan, name=backup, with_release=release is not None, proves=proves)
    asks = "Restore the database on"
    return run(replace(request, to=release), configs, world, procedure(plan, world, asks=asks))


def _plan(
    session: Session,
    request: RollbackRequest,
    world: World,
    share: Share | None,
    *,
    name: str | None,
    with_release: bool,
    proves: bool,
) -> HostPlan:
    facts = session.facts
    found = list(diagnosis.symptoms(facts, session.project))
    live = _live(session, world, found)
    provable = corruption.can_be_proven(live)
    plan = restore.plan_session(
        session,
        request,
        world,
        share,
        name=name or LATEST,
        with_release=with_release,
        proves=proves and provable,
    )
    chosen = restoring.choose(facts, name or LATEST)
    if chosen is None:
        return diagnosis.with_diagnosis(plan, [*found, *corruption.found(live, None, None)], "a restore")
    now = request.now + facts.clock_skew
    then, words, are_rows_alone = database.of_backup(session, chosen)
    difference = consistency.compare(then, live, then=words, are_rows_alone=are_rows_alone)
    found += corruption.found(live, chosen, difference if live.rows else None)
    proven = [backup for backup in facts.backups if backup.is_proven]
    found += corruption.of_backups(chosen, proven, then, now=now)
    if proves and not provable:
        told = "what is live breaks its own constraints: its dump is read back, and not proven by a restore"
        plan = replace(plan, warnings=(*plan.warnings, told))
    if name is None and request.is_confirmed and not request.is_dry_run:
        plan = replace(plan, blockers=(*plan.blockers, corruption.unnamed(chosen, session.config.name, now)), steps=())
    which = "the newest proven one" if name in (None, LATEST) else "the one that was named"
    return diagnosis.with_diagnosis(plan, found, f"rollback.restore of {chosen.name}, {which}")


def _live(session: Session, world: World, found: list[str]) -> Consistency:
    """Return what can be said of the live data; where it cannot be asked, that is what is found."""
    if session.facts.database is None:
        return Consistency()
    world.sink.emit(Note(session.config.name, "checking the data, as db.check does"))
    try:
        return database.look(session, world, may_borrow=False)
    except RollbackError as error:
        found.append(f"the data cannot be checked: {error.brief}")
        return Consistency()
