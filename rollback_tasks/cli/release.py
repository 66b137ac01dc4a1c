"""release.*: the ledger of releases."""

from __future__ import annotations

from dataclasses import replace

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.release import ReleaseStatus


@rollback_task("release.list")
def list_(context: Context, options: Options) -> Answer:
    """Show recorded releases, and which one runs

    Newest first; `*` stands at the one that runs.
    """
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
    """Record what runs, or judge a release

    Good or bad. The line to add to a deployment: `inv release.mark --good --host NAME`. It waits until what runs is
    healthy, records commit, image digests and schema, and pins the images so that no prune takes them.
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


@rollback_task("release.show", help={"release": "id, tag, commit or image id (default: what runs)"})
def show(context: Context, options: Options, *, release: str | None = None) -> Answer:
    """Show one release; exit code 9 if it is bad

    As every host knows it; it is bad where it is marked so. The line to put before a deployment: `inv release.show
    --host GROUP --release COMMIT` stops a pipeline that would deploy what was rolled back. A commit that was never
    recorded is no problem: exit code 0.
    """
    from rollback_tasks.cli import release_listing
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import releases

    wired = wire(options)
    return release_listing.shown(releases.shown(wired.request(options, to=release), wired.configs, wired.world))


@rollback_task(
    "release.tag",
    help={
        "name": "of the tag",
        "release": "id, tag, commit or image id (default: what runs)",
        "message": "of the tag (default: Release NAME)",
        "push": "push the tag to the remote as well",
    },
)
def tag(
    context: Context,
    options: Options,
    *,
    name: str | None = None,
    release: str | None = None,
    message: str | None = None,
    push: bool = False,
) -> RunReport:
    """Make an annotated git tag on a release

    A tag that is there is never moved.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_sharing

    if name is None:
        raise UsageError("--name is needed", hint="`inv release.tag --name v1.0.0 --host NAME` tags what runs.")
    wired = wire(options)
    return git_sharing.tag(
        wired.request(options, to=release), wired.configs, wired.world, name=name, message=message, is_pushed=push
    )


@rollback_task("release.prune", help={"keep": "newest releases whose images stay"})
def prune(context: Context, options: Options, *, keep: int = 10) -> RunReport:
    """Show images that nobody needs; --yes unpins them

    Of old releases. What runs, the last good releases, releases that a backup was taken under, what the undo of the
    last run needs and any image that a container uses stay in any case.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import image_pruning

    wired = wire(options)
    shown = replace(options, is_dry_run=options.is_dry_run or not options.is_confirmed)
    return image_pruning.prune(wired.request(shown), wired.configs, wired.world, keep=keep)


ns = collection("release", list_, show, mark, tag, prune)
