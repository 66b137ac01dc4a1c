"""What every scenario has in common: it ends in the whole checklist, asked of the host as it is then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from rollback_tasks.errors import RollbackError
from rollback_tasks.flows import verify
from rollback_tasks.flows.inspect import Finding
from rollback_tasks.flows.planned import PlanSession
from rollback_tasks.flows.run import Procedure
from rollback_tasks.flows.session import Session, look_again
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome

Look = Callable[[Session, World], Finding]


def procedure(plan: PlanSession, world: World, *, asks: str, looks: tuple[Look, ...] = ()) -> Procedure:
    """Return the procedure that does what ``plan`` says and then goes through the checklist.

    A host on which nothing had to be done is looked at as well; one with a problem ends as ``problems``, and the fleet
    goes no further than its budget.

    :param looks: what is looked at besides.
    """
    return Procedure(plan=plan, asks=asks, judge=partial(_judged, world=world, looks=looks), is_checked=True)


def _judged(session: Session, report: HostReport, *, world: World, looks: tuple[Look, ...]) -> HostReport:
    name = session.config.name
    world.sink.emit(events.Note(name, "going through the checklist, as verify.all does"))
    # Containers that were not started anew still have the old trouble in their logs.
    did_nothing_new = report.outcome is Outcome.DONE and report.downtime_seconds is None
    since = world.clock.now() + session.facts.clock_skew if did_nothing_new else None
    found = tuple(_findings(session, world, looks, since))
    problems = [f"{one.check}: {one.problem}" for one in found if one.problem]
    extra = {**report.extra, "checks": [verify.fields(one) for one in found]}
    if not problems:
        return replace(report, extra=extra)
    return replace(
        report,
        outcome=Outcome.PROBLEMS,
        error="\n".join(problems),
        hint=f"`inv verify.all --host {name}` looks again; `inv host.logs --host {name} --errors` shows what was said.",
        extra=extra,
    )


def _findings(session: Session, world: World, looks: tuple[Look, ...], since: float | None) -> Iterator[Finding]:
    try:
        now = look_again(session.config, session.host, world)
    except RollbackError as error:
        yield Finding(check="host", says="", problem=f"nothing could be checked: {error.brief}")
        return
    yield from verify.findings(now, world, tuple(verify.CHECKS), logs_since=since)
    for look in looks:
        try:
            yield look(now, world)
        except RollbackError as error:
            yield Finding(check="scenario", says="", problem=f"could not be checked: {error.brief}")
