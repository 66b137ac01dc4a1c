"""verify.*: does it really run?"""

from __future__ import annotations

from typing import Any

from invoke import Context, Task

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task

# What each checks: as `inv --list` shows it, and in full.
_SAYS = {
    "containers": ("Check that every service runs", "Or that it has ended well where it should end."),
    "health": ("Check that the health URL answers well", "It is asked from the host."),
    "migrations": (
        "Check that the schema is the image's",
        "The database has to be at its heads.",
    ),
    "logs": ("Check the last 15 minutes' logs for errors", "Those of the application."),
    "endpoints": ("Check that the endpoints answer well", "Those of hosts.yaml, asked from the host."),
    "tests": ("Run smoke_command inside of the application", "As hosts.yaml says it."),
    "data": ("Check constraints, indexes and sequences", "Also duplicates and triggers."),
    "foreign-keys": ("Check for rows that break a foreign key", "Every foreign key is checked row by row."),
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
    """Run every check; exit code 9 if one is red

    All that the other verify tasks check, and the release.
    """
    return _verified(options, ())


def _one(name: str, first: str, more: str) -> Task[Any]:
    def body(context: Context, options: Options) -> Answer:
        return _verified(options, (name,))

    body.__name__ = name.replace("-", "_")
    body.__doc__ = f"{first}\n\n{more} Exit code 9 where something is wrong."
    return rollback_task(f"verify.{name}")(body)


ns = collection("verify", all_, *(_one(name, *says) for name, says in _SAYS.items()))
