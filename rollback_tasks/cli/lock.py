"""lock.*: who holds which host."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task("lock.status")
def status(context: Context, options: Options) -> Answer:
    """Show who holds which host, since when and why

    And whether they still live.
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import locks

    wired = wire(options)
    return listings.locks(locks.status(wired.configs, wired.world))


@rollback_task("lock.release")
def release(context: Context, options: Options) -> Answer:
    """Free the lock of a run whose laptop is gone

    Needs --reason; refuses beside an unfinished run.
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import locks

    wired = wire(options)
    return listings.locks(locks.release(wired.request(options), wired.configs, wired.world))


ns = collection("lock", status, release)
