"""backup.*: dumps and what is proven of them."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError
from rollback_tasks.model.outcome import RunReport


@rollback_task("backup.create", shape=Shape.FLEET)
def create(context: Context, options: Options) -> RunReport:
    """Back the database up, prove it, copy it here

    A restore beside proves it; it is then copied off the host. The application goes on serving. The dump is read
    back, restored into a scratch database and counted.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import backups

    wired = wire(options)
    return backups.create(wired.request(options), wired.configs, wired.world)


@rollback_task("backup.list")
def list_(context: Context, options: Options) -> Answer:
    """Show backups and how far each is proven

    Newest first, with what is copied to this machine.
    """
    from rollback_tasks.cli import backup_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import copies

    wired = wire(options)
    return backup_listings.backups(copies.listed(wired.configs, wired.world))


@rollback_task("backup.pull", help={"backup": "NAME as in backup.list; may be given again (default: all not here)"})
def pull(context: Context, options: Options, *, backup: tuple[str, ...] = ()) -> Answer:
    """Copy backups from hosts to this machine

    One that was cut goes on where it stopped. The hash of the whole copy is compared before it gets its name.
    """
    from rollback_tasks.cli import backup_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import copies

    wired = wire(options)
    found = copies.pull(wired.configs, wired.world, names=backup, is_dry_run=options.is_dry_run)
    return backup_listings.pulled(found)


@rollback_task("backup.push", help={"backup": "NAME as in backup.list"})
def push(context: Context, options: Options, *, backup: str | None = None) -> RunReport:
    """Bring a backup from here back to a host

    For a host that lost it. Its hash is proven on the host before it gets its name there.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import backups

    if backup is None:
        raise UsageError("--backup is needed", hint="`inv backup.list --host NAME` shows what is here.")
    wired = wire(options)
    return backups.push(wired.request(options), wired.configs, wired.world, name=backup)


@rollback_task(
    "backup.verify",
    shape=Shape.FLEET,
    help={
        "backup": "NAME as in backup.list; may be given again (default: all)",
        "quick": "hash and read, but restore nothing",
    },
)
def verify(context: Context, options: Options, *, backup: tuple[str, ...] = (), quick: bool = False) -> RunReport:
    """Prove backups again; exit code 9 if one is bad

    Hash, read, restore beside, count. Copies on this machine are hashed too. A backup that turns out to be bad is
    not listed as proven any more.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import backups

    wired = wire(options)
    return backups.verify(wired.request(options), wired.configs, wired.world, names=backup, is_quick=quick)


@rollback_task(
    "backup.prune",
    shape=Shape.FLEET,
    help={
        "keep": "proven backups that stay (default: backups.keep of hosts.yaml)",
        "keep_bases": "base backups that stay, of those that can be rolled forward without a gap",
        "keep_days": "days for which databases and rows that a run put aside stay in any case",
    },
)
def prune(
    context: Context, options: Options, *, keep: int | None = None, keep_bases: int = 2, keep_days: int = 7
) -> RunReport:
    """Show backups that nobody needs; --yes removes

    Also what cut runs left behind. Only restored backups count. The newest of them stays, and what a recorded
    release or a run may need. Base backups go with the log before the oldest one that stays; old databases that runs
    put aside go once each has a backup of its own, copied here.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import pruning

    if keep == 0:
        raise UsageError("--keep: should be 1 or more, got 0", hint="the newest proven backup stays in any case.")
    if keep_bases < 1:
        raise UsageError(f"--keep-bases: should be 1 or more, got {keep_bases}")
    if keep_days < 0:
        raise UsageError(f"--keep-days: should be 0 or more, got {keep_days}")
    wired = wire(options)
    return pruning.prune(
        wired.request(options), wired.configs, wired.world, keep=keep, keep_bases=keep_bases, keep_days=keep_days
    )


@rollback_task("backup.base", shape=Shape.FLEET)
def base(context: Context, options: Options) -> RunReport:
    """Make a physical base backup for rollback.pitr

    The database can go back to any moment after it. Proves first that the write-ahead log is archived, copies the
    whole cluster while it serves, and checks every file of the copy. The log has to be archived: README,
    "Write-ahead log archiving".
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import base as flow

    wired = wire(options)
    return flow.take(wired.request(options), wired.configs, wired.world)


ns = collection("backup", create, list_, pull, push, verify, prune, base)
