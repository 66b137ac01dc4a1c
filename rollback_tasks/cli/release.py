"""release.*: the ledger of releases."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError
from rollback_tasks.model.release import ReleaseStatus


@rollback_task("release.list")
def list_(context: Context, options: Options) -> Answer:
    """Show the recorded releases of hosts, newest first, and which one runs"""
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import releases

    wired = wire(options)
    return listings.releases(releases.listed(wired.configs, wired.world))


@rollback_task(
    "release.mark",
    help={
        "good": "the release works; one that runs has to be healthy for it",
        "bad": "the release must never be gone back to",
        "release": "id, tag, commit or image id (default: what runs)",
    },
)
def mark(
    context: Context, options: Options, *, good: bool = False, bad: bool = False, release: str | None = None
) -> Answer:
    """Record what runs, or judge a release good or bad

    The line to add to a deployment: `inv release.mark --good --host NAME`. It waits until what runs is healthy,
    records commit, image digests and schema, and pins the images so that no prune takes them.
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import releases

    if good == bad:
        raise UsageError(
            "say either --good or --bad", hint="`inv release.mark --good --host NAME` records what runs as good."
        )
    wired = wire(options)
    status = ReleaseStatus.GOOD if good else ReleaseStatus.BAD
    return listings.releases(
        releases.mark(wired.request(options, to=release), wired.configs, wired.world, status=status)
    )


ns = collection("release", list_, mark)
