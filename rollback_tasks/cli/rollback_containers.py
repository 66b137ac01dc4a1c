"""rollback.*: the tasks around images, compose files and containers."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import rollback_task
from rollback_tasks.model.outcome import RunReport

_ACCEPT_CONFIG = "start from the compose file even where the running containers were made from another configuration"


@rollback_task(
    "rollback.docker",
    shape=Shape.FLEET,
    help={
        "to": "release whose images come back: id in the ledger, tag, commit or image id (default: the last good one)",
        "image": "id or name of an image, or SERVICE=IMAGE; for a host without a ledger; may be given again",
        "accept_config": _ACCEPT_CONFIG,
    },
)
def docker(
    context: Context,
    options: Options,
    *,
    to: str | None = None,
    image: tuple[str, ...] = (),
    accept_config: bool = False,
) -> RunReport:
    """Put the images of an earlier release back

    Database, checkout and compose file stay. Works without a ledger (--image) and with the database down. Refused
    where an older image cannot start on the schema as it is; rollback.full takes the schema back as well.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import images

    wired = wire(options)
    wanted = images.Wanted(images=image, accepts_drift=accept_config)
    return images.docker(wired.request(options, to=to), wired.configs, wired.world, wanted)


@rollback_task(
    "rollback.compose",
    shape=Shape.FLEET,
    help={
        "to": "commit, tag or release whose compose file comes back (default: that of the checkout where it was "
        "changed by hand under a good release, else that of the last good release, else the one before its last change)"
    },
)
def compose(context: Context, options: Options, *, to: str | None = None) -> RunReport:
    """Bring an earlier commit's compose file back

    The containers are made anew from it. Images that the earlier file asks for are built or fetched before anything
    stops; the code stays at its commit, the database is left alone.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import files

    wired = wire(options)
    return files.compose(wired.request(options, to=to), wired.configs, wired.world)


@rollback_task(
    "rollback.config",
    shape=Shape.FLEET,
    help={"force": "also where the containers already are what the compose file says, and healthy"},
)
def config(context: Context, options: Options, *, force: bool = False) -> RunReport:
    """Make containers anew from the present file

    With the images that run. Volumes stay, also those without a name; the database is left alone.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import files

    wired = wire(options)
    return files.config(wired.request(options), wired.configs, wired.world, is_forced=force)


@rollback_task(
    "rollback.rolling",
    shape=Shape.FLEET,
    help={
        "to": "release whose images come back: id in the ledger, tag, commit or image id (default: the last good one)",
        "accept_config": _ACCEPT_CONFIG,
    },
)
def rolling(context: Context, options: Options, *, to: str | None = None, accept_config: bool = False) -> RunReport:
    """Put earlier containers back without a gap

    New ones start beside those that serve, and are asked one by one; then the others finish and go. Needs a proxy in
    front; where a fixed name or port stands against it, it says so and names the way with a short gap.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import images
    from rollback_tasks.flows import rolling as flow

    wired = wire(options)
    wanted = images.Wanted(accepts_drift=accept_config)
    return flow.rolling(wired.request(options, to=to), wired.configs, wired.world, wanted)


TASKS = (docker, compose, config, rolling)
