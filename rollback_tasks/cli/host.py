"""host.*: what hosts are."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.doctor import doctor
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task("host.status")
def status(context: Context, options: Options) -> Answer:
    """Show what every host runs, and how it is

    Health, release, schema, newest backup, lock.
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import inspect

    wired = wire(options)
    return listings.status(inspect.looked_at(wired.configs, wired.world))


@rollback_task(
    "host.logs",
    help={
        "service": "compose service; may be given again (default: all)",
        "lines": "the last lines of each container",
        "since": "only what is younger: 90s, 10m, 2h, or a time like 2026-11-22T03:15:00Z",
        "errors": "only lines that report an error",
    },
)
def logs(
    context: Context,
    options: Options,
    *,
    service: tuple[str, ...] = (),
    lines: int = 50,
    since: str | None = None,
    errors: bool = False,
) -> Answer:
    """Show the last log lines of services

    Of every service, or of those that are named. Each line is: host, container, time in UTC, text. What a container
    reports as an error is known by its words (ERROR, CRITICAL, FATAL, a traceback, a level field).
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import logs

    wired = wire(options)
    wanted = logs.Wanted(services=service, lines=lines, since=since or "", is_errors_only=errors)
    return listings.logs(logs.last(wired.configs, wired.world, wanted))


ns = collection("host", status, logs, doctor)
