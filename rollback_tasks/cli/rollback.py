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

_SKIP_PROOF = "what is live is too broken for its backup to be proven by a restore: the dump is read back only"
_FOREIGN = "the backup of another deployment, or of a database that a run put aside, is meant"
_HELP = {
    "to": "release to go back to: id in the ledger, tag, commit or image id (default: the last good one)",
    "accept_data_loss": "tables or table.columns that may be lost, as the plan names them; may be given again",
}


@rollback_task("rollback.full", shape=Shape.FLEET, help=_HELP)
def full(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take code, images, files and schema back

    To the last good release, or to the one that --to names. Shows what it will do and cost, asks, keeps a proven
    way back at every moment, and proves what really runs. Exit codes: 0 done or nothing to do, 3 refused, 4 failed
    and put back, 5 needs a person, 6 locked, 7 unreachable.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    return rollback.full(wired.request(options, to=to, accepted=accept_data_loss), wired.configs, wired.world)


@rollback_task("rollback.plan", shape=Shape.FLEET, help=_HELP)
def plan(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Show what rollback.full would do and cost

    Nothing is changed.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    request = wired.request(replace(options, is_dry_run=True), to=to, accepted=accept_data_loss)
    return rollback.full(request, wired.configs, wired.world)


@rollback_task(
    "rollback.database",
    shape=Shape.FLEET,
    help={
        "to": "revision, part of one, branch label, -N for N revisions down, or base",
        "accept_data_loss": _HELP["accept_data_loss"],
    },
)
def database(
    context: Context, options: Options, *, to: str = "-1", accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take the schema alone back, by alembic

    With the image that is deployed, which alone has the newer scripts. Backed up, proven and rehearsed first; the
    code stays, and where it cannot work on the older schema all is put back.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import downgrade as flow

    if not to.strip():
        raise UsageError("--to: was given an empty value", hint="`inv rollback.database --help` says what it takes.")
    wired = wire(options)
    return flow.downgrade(wired.request(options, accepted=accept_data_loss), wired.configs, wired.world, to=to)


@rollback_task(
    "rollback.restore",
    shape=Shape.FLEET,
    help={
        "backup": "its name, as backup.list shows it, or 'latest' for the newest proven one",
        "with_release": "take code, images and compose file back to this release in the same downtime",
        "accept_data_loss": "tables whose newer rows may leave the live database, as the plan names them",
        "skip_proof": _SKIP_PROOF,
        "foreign": _FOREIGN,
    },
)
def restore(
    context: Context,
    options: Options,
    *,
    backup: str | None = None,
    with_release: str | None = None,
    accept_data_loss: tuple[str, ...] = (),
    skip_proof: bool = False,
    foreign: bool = False,
) -> RunReport:
    """Restore the database from a backup

    Restored beside the live one, compared, then swapped in. The application serves meanwhile; downtime is stop,
    rename, start. The old database is kept under another name.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import restore as flow

    if backup is None:
        raise UsageError("--backup is needed: which one is restored", hint="`inv backup.list --host NAME` shows them.")
    wired = wire(options)
    request = wired.request(options, accepted=accept_data_loss)
    return flow.restore(
        request,
        wired.configs,
        wired.world,
        backup=backup,
        release=with_release,
        proves=not skip_proof,
        is_foreign_meant=foreign,
    )


@rollback_task(
    "rollback.volume",
    shape=Shape.FLEET,
    help={
        "backup": "its name, as backup.list shows it, or 'latest' for the newest proven one",
        "leave": "other databases of the cluster that may stay behind in the old volume",
        "accept_data_loss": "tables whose newer rows may leave the live database, as the plan names them",
        "skip_proof": _SKIP_PROOF,
    },
)
def volume(
    context: Context,
    options: Options,
    *,
    backup: str | None = None,
    leave: tuple[str, ...] = (),
    accept_data_loss: tuple[str, ...] = (),
    skip_proof: bool = False,
) -> RunReport:
    """Give the database a new volume from a backup

    Filled and proven beside while the application serves, with every role and setting; then both volumes exchange their
    data. For data files that are damaged where the server still runs; rollback.restore needs less.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import volume as flow
    from rollback_tasks.planning.volume import Wish

    if backup is None:
        raise UsageError("--backup is needed: which one is restored", hint="`inv backup.list --host NAME` shows them.")
    wired = wire(options)
    request = wired.request(options, accepted=accept_data_loss)
    names = frozenset(name for word in leave for name in word.split(",") if name)
    wish = Wish(leaves=names)
    return flow.volume(request, wired.configs, wired.world, backup=backup, wish=wish, proves=not skip_proof)


@rollback_task(
    "rollback.table",
    shape=Shape.FLEET,
    help={
        "table": "its name; schema.table outside public",
        "backup": "its name, as backup.list shows it, or 'latest' for the newest proven one",
        "replace": "rows that differ get the backup's values (default: they stay, and are counted)",
        "delete": "rows that the backup does not have are deleted, unless others refer to them (default: they stay)",
        "without_triggers": "the table's own triggers do not fire",
        "skip_proof": _SKIP_PROOF,
        "foreign": _FOREIGN,
    },
)
def table(
    context: Context,
    options: Options,
    *,
    table: str | None = None,
    backup: str | None = None,
    replace: bool = False,
    delete: bool = False,
    without_triggers: bool = False,
    skip_proof: bool = False,
    foreign: bool = False,
) -> RunReport:
    """Put one table's rows back from a backup

    In one transaction, while the application serves. Missing rows are inserted; foreign keys both ways are checked
    before anything is committed. What is changed or deleted is kept, so that it can be undone.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import table as flow
    from rollback_tasks.planning.tables import TableWish

    if table is None or backup is None:
        missing = "--table" if table is None else "--backup"
        raise UsageError(f"{missing} is needed", hint="`inv rollback.table --help` shows the flags.")
    wired = wire(options)
    wish = TableWish(
        table=table.removeprefix("public."),
        replaces=replace,
        deletes=delete,
        is_quiet=without_triggers,
        proves=not skip_proof,
    )
    return flow.table(wired.request(options), wired.configs, wired.world, backup=backup, wish=wish)


@rollback_task(
    "rollback.pitr",
    shape=Shape.FLEET,
    help={
        "time": "the moment, e.g. 2026-11-22T13:22:51+01:00; without an offset it is taken as UTC",
        "restore_point": "a name in the database's log; every run that touches a database leaves rollback-RUN_ID",
        "skip_proof": _SKIP_PROOF,
    },
)
def pitr(
    context: Context,
    options: Options,
    *,
    time: str | None = None,
    restore_point: str | None = None,
    skip_proof: bool = False,
) -> RunReport:
    """Take the database to a moment

    Recovered beside from a base backup and the log, then swapped in. The application serves meanwhile; downtime is
    stop, rename, start. The old database is kept under another name. Refused before anything starts where the
    moment cannot be reached. Needs `backup.base` and an archived log.
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
    request = wired.request(options)
    return flow.pitr(request, wired.configs, wired.world, wanted=wanted, assumed=assumed, proves=not skip_proof)


@rollback_task("rollback.git", help={"to": "release, tag, branch or commit to go to (default: the last good release)"})
def git(context: Context, options: Options, *, to: str | None = None) -> RunReport:
    """Switch the checkout alone to a release

    Containers and database stay as they are. The work tree is saved first, with a safety branch; HEAD is detached,
    so no branch is moved.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_checkout

    wired = wire(options)
    return git_checkout.back(wired.request(options, to=to), wired.configs, wired.world)


@rollback_task("rollback.abort")
def abort(context: Context, options: Options) -> RunReport:
    """Put back what an unfinished run changed

    The host is then what it was before that run. Works from any laptop: the run wrote its way back down on the host
    before each step.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import settle

    wired = wire(options)
    return settle.abort(wired.request(options), wired.configs, wired.world)


@rollback_task("rollback.resume")
def resume(context: Context, options: Options) -> RunReport:
    """Go on with a run that was left unfinished

    Works from any laptop, from where the journal on the host ends; refused while the other laptop still lives.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import resume as flow

    wired = wire(options)
    return flow.resume(wired.request(options), wired.configs, wired.world)


ns = collection("rollback", full, plan, table, database, restore, volume, pitr, *CONTAINERS, git, resume, abort, *RUNS)
