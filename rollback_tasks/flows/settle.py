"""Settle a run that was left unfinished: put the host back with what the run itself wrote down."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git_checkout
from rollback_tasks.errors import RollbackError
from rollback_tasks.execution import journal, lock
from rollback_tasks.execution import record as records
from rollback_tasks.execution.record import Undone
from rollback_tasks.flows import consent, locking
from rollback_tasks.flows.reports import concluded, described
from rollback_tasks.flows.session import Session, close_all, open_all, untouched
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport, StepRecord
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import target


def abort(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Run the compensations of every unfinished run on the hosts, newest first, and free the lock.

    Works from any laptop: all that is needed lies on the host.

    :raises UsageError: nobody can answer and ``--yes`` was not given.
    """
    consent.require(request, world)
    sessions, errors = open_all(configs, world)
    reports = {name: untouched(name, error) for name, error in errors.items()}
    try:
        for session in sessions:
            try:
                reports[session.config.name] = _settle(session, request, world)
            except RollbackError as error:
                reports[session.config.name] = untouched(session.config.name, error)
    finally:
        close_all(sessions)
    return concluded(request, configs, reports, world)


def _settle(session: Session, request: RollbackRequest, world: World) -> HostReport:
    facts = session.facts
    name = session.config.name
    owner = facts.lock
    runs = facts.unfinished or ((owner.run_id,) if owner else ())
    current = described(target.current_release(facts, session.project))
    if not runs:
        why = {"noop_reason": "no run is unfinished"}
        return HostReport(host=name, outcome=Outcome.NOOP, left=current, reached=current, extra=why)
    if request.is_dry_run:
        return HostReport(host=name, outcome=Outcome.PLANNED, left=current, extra={"runs": list(runs)})
    if not request.is_confirmed:
        who = f" of {owner.operator} on {owner.laptop}, alive {owner.heartbeat_age:.0f} s ago" if owner else ""
        if not world.prompt.confirm(f"Put {name} back to what it was before run {', '.join(runs)}{who}?"):
            return HostReport(host=name, outcome=Outcome.DECLINED, left=current)
    steps: list[StepRecord] = []
    for run_id in runs:
        if run_id not in facts.unfinished:
            lock.release(session.host, session.project, run_id)
            continue
        _save_work(session, request, run_id, world)
        try:
            done = session.host.run(journal.unwind(session.project, run_id, "laptop"))
        except RollbackError as error:
            # Undoing was begun on the host and goes on there: nothing may call it untouched.
            return HostReport(
                host=name,
                outcome=Outcome.STRANDED,
                steps=tuple(steps),
                left=current,
                error=f"undoing was begun, and how it ended is not known: {error.brief}",
                hint=f"`inv rollback.abort --host {name}` goes on, or says that it is done.",
            )
        found = records.undone(done.text)
        for each in found:
            world.sink.emit(events.Compensated(name, each.kind, each.is_done, each.why))
            steps.append(StepRecord(each.kind, each.state))
        problem = _problem(session, run_id, done.exit_code, found)
        if problem:
            return HostReport(
                host=name,
                outcome=Outcome.STRANDED,
                steps=tuple(steps),
                left=current,
                error=problem,
                hint=f"see the logs in {session.project.run_folder(run_id)}/undo on {name}, then run this again.",
            )
        locking.give_back(session, run_id, world)
    return HostReport(host=name, outcome=Outcome.DONE, left=current, steps=tuple(steps), extra={"runs": list(runs)})


def _save_work(session: Session, request: RollbackRequest, run_id: str, world: World) -> None:
    """Keep what a person did to the work tree since the run stopped: putting the checkout back would overwrite it.

    A disk that is full must not keep the host from being put back, so a failure is told and no more.
    """
    folder, name = session.project.folder, session.config.name
    try:
        if session.host.run(git_checkout.save_again(folder, request.run_id, run_id)).text.strip():
            kept = git_checkout.saved_tree(request.run_id)
            world.sink.emit(events.Note(name, f"the work tree as it is now is kept as commit {kept}"))
    except RollbackError as error:
        world.sink.emit(events.Note(name, f"the work tree as it is now could not be kept: {error.brief}"))


def _problem(session: Session, run_id: str, code: int, found: Sequence[Undone]) -> str:
    """Return why a run is not settled; empty where it is. Waits where the guard is at it."""
    if code == journal.NOT_ALL_UNDONE:
        return records.not_undone(found)
    if code == journal.BUSY:
        said = session.host.run(journal.verdict(session.project, run_id, wait=180)).text
        if said.partition("\n")[0] not in ("committed", "restored"):
            return "the guard on the host is undoing the run and has not finished"
    return ""
