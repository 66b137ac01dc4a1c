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
    """Put images of an earlier release back; database, checkout and compose file stay

    Works without a ledger (--image) and with the database down. Refused where an older image cannot start on the
    schema as it is; rollback.full takes the schema back as well.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import images

    wired = wire(options)
    wanted = images.Wanted(images=image, accepts_drift=accept_config)
    return images.docker(wired.request(options, to=to), wired.configs, wired.world, wanted)


TASKS = (docker,)
