"""verify.*: does it really run?"""

from __future__ import annotations

from typing import Any

from invoke import Context, Task

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task

_SAYS = {
    "containers": "Check that every service runs, or has ended well where it should end",
    "health": "Check that the health URL answers well",
    "migrations": "Check that the database is at the heads of the deployed image",
    "logs": "Check that the application has logged no errors in the last 15 minutes",
    "endpoints": "Check that the endpoints of hosts.yaml answer well, asked from the host",
    "tests": "Run smoke_command of hosts.yaml inside of the application",
    "data": "Check the data: constraints, duplicates, sequences, indexes, triggers",
    "foreign-keys": "Check every foreign key for rows that break it",
}


def _verified(options: Options, names: tuple[str, ...]) -> Answer:
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import verify

    wired = wire(options)
    return listings.findings(
        verify.verified(wired.configs, wired.world, names or tuple(verify.CHECKS), is_dry_run=options.is_dry_run)
    )


@rollback_task("verify.all")
def all_(context: Context, options: Options) -> Answer:
    """Check everything that the other verify tasks check, and the release; exit code 9 where one is wrong"""
    return _verified(options, ())


def _one(name: str, says: str) -> Task[Any]:
    def body(context: Context, options: Options) -> Answer:
        return _verified(options, (name,))

    body.__name__ = name.replace("-", "_")
    body.__doc__ = f"{says}; exit code 9 where not"
    return rollback_task(f"verify.{name}")(body)


ns = collection("verify", all_, *(_one(name, says) for name, says in _SAYS.items()))
