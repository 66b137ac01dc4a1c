"""verify.*: does it really run?"""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task("verify.all")
def all_(context: Context, options: Options) -> Answer:
    """Check containers, health, migrations and release of hosts; exit code 9 where one is wrong"""
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import inspect

    wired = wire(options)
    return listings.findings(inspect.looked_at(wired.configs, wired.world, is_checked=True))


ns = collection("verify", all_)
