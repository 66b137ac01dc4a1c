"""rollback.*: take hosts back."""

from __future__ import annotations

from dataclasses import replace

from invoke import Context

from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.rollback_containers import TASKS as CONTAINERS
from rollback_tasks.cli.runs import RUNS
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError
from rollback_tasks.model.outcome import RunReport

_HELP = {
    "to": "release to go back to: id in the ledger, tag, commit or image id (default: the last good one)",
    "accept_data_loss": "tables or table.columns that may be lost, as the plan names them; may be given again",
}


@rollback_task("rollback.full", shape=Shape.FLEET, help=_HELP)
def full(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take code, images, compose file and schema back to the last good release

    Shows what it will do and cost, asks, keeps a proven way back at every moment, and proves what really runs.
    Exit codes: 0 done or nothing to do, 3 refused, 4 failed and put back, 5 needs a person, 6 locked, 7 unreachable.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    return rollback.full(wired.request(options, to=to, accepted=accept_data_loss), wired.configs, wired.world)


@rollback_task("rollback.plan", shape=Shape.FLEET, help=_HELP)
def plan(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Show what rollback.full would do and cost, and change nothing"""
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    request = wired.request(replace(options, is_dry_run=True), to=to, accepted=accept_data_loss)
    return rollback.full(request, wired.configs, wired.world)


@rollback_task(
    "rollback.restore",
    shape=Shape.FLEET,
    help={
        "backup": "its name, as backup.list shows it, or 'latest' for the newest proven one",
        "with_release": "take code, images and compose file back to this release in the same downtime",
        "accept_data_loss": "tables whose newer rows may leave the live database, as the plan names them",
    },
)
def restore(
    context: Context,
    options: Options,
    *,
    backup: str | None = None,
    with_release: str | None = None,
    accept_data_loss: tuple[str, ...] = (),
) -> RunReport:
    """Restore the database from a backup: beside the live one, compared, then swapped in

    The application serves meanwhile; downtime is stop, rename, start. The old database is kept under another name.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import restore as flow

    if backup is None:
        raise UsageError("--backup is needed: which one is restored", hint="`inv backup.list --host NAME` shows them.")
    wired = wire(options)
    request = wired.request(options, accepted=accept_data_loss)
    return flow.restore(request, wired.configs, wired.world, backup=backup, release=with_release)


@rollback_task(
    "rollback.pitr",
    shape=Shape.FLEET,
    help={
        "time": "the moment, e.g. 2026-11-22T13:22:51+01:00; without an offset it is taken as UTC",
        "restore_point": "a name in the database's log; every run that touches a database leaves rollback-RUN_ID",
    },
)
def pitr(context: Context, options: Options, *, time: str | None = None, restore_point: str | None = None) -> RunReport:
    """Take the database to a moment: recovered beside from a base backup and the log, then swapped in

    The application serves meanwhile; downtime is stop, rename, start. The old database is kept under another name.
    Refused before anything starts where the moment cannot be reached. Needs `backup.base` and an archived log.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import pitr as flow
    from rollback_tasks.model.recovery import Target
    from rollback_tasks.planning.window import read_moment

    if (time is None) == (restore_point is None):
        raise UsageError("either --time or --restore-point is needed", hint="`inv rollback.pitr --help` shows both.")
    moment, assumed = None, ""
    if time is not None:
        try:
            moment, assumed = read_moment(time)
        except ValueError as problem:
            raise UsageError(f"--time: {problem}", hint="`inv rollback.pitr --help` shows the flags.") from None
    wired = wire(options)
    wanted = Target(moment=moment, point=restore_point or "")
    return flow.pitr(wired.request(options), wired.configs, wired.world, wanted=wanted, assumed=assumed)


@rollback_task("rollback.git", help={"to": "release, tag, branch or commit to go to (default: the last good release)"})
def git(context: Context, options: Options, *, to: str | None = None) -> RunReport:
    """Switch the checkout alone to a release; containers and database stay as they are

    The work tree is saved first, with a safety branch; HEAD is detached, so no branch is moved.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_checkout

    wired = wire(options)
    return git_checkout.back(wired.request(options, to=to), wired.configs, wired.world)


@rollback_task("rollback.abort")
def abort(context: Context, options: Options) -> RunReport:
    """Put hosts back to what they were before a run that was left unfinished

    Works from any laptop: the run wrote its way back down on the host before each step.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import settle

    wired = wire(options)
    return settle.abort(wired.request(options), wired.configs, wired.world)


@rollback_task("rollback.resume")
def resume(context: Context, options: Options) -> RunReport:
    """Go on with a run that a laptop left unfinished

    Works from any laptop, from where the journal on the host ends; refused while the other laptop still lives.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import resume as flow

    wired = wire(options)
    return flow.resume(wired.request(options), wired.configs, wired.world)


ns = collection("rollback", full, plan, restore, pitr, *CONTAINERS, git, resume, abort, *RUNS)
