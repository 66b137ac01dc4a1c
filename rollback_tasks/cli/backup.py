"""backup.*: dumps and what is proven of them."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task("backup.list")
def list_(context: Context, options: Options) -> Answer:
    """Show the backups on hosts, newest first, and how far each is proven"""
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import inspect

    wired = wire(options)
    return listings.backups(inspect.looked_at(wired.configs, wired.world))


ns = collection("backup", list_)
