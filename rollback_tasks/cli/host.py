"""host.*: what hosts are."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task("host.status")
def status(context: Context, options: Options) -> Answer:
    """Show what every host runs: health, release, schema, newest backup, lock"""
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import inspect

    wired = wire(options)
    return listings.status(inspect.looked_at(wired.configs, wired.world))


ns = collection("host", status)
