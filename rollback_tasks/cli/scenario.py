"""scenario.*: what is done when something is wrong, from what is seen to what is proven."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.model.outcome import RunReport

_TO = "release to go back to: id in the ledger, tag, commit or image id (default: the last good one)"
_ACCEPT = "tables or table.columns that may be lost, as the plan names them; may be given again"


@rollback_task("scenario.bad-migration", shape=Shape.FLEET, help={"to": _TO, "accept_data_loss": _ACCEPT})
def bad_migration(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take a bad migration back with its code

    A diagnosis, rollback.full, and then the whole of verify.all. Where the schema cannot go back, the newest proven
    backup to restore is named. Exit code 9 where the way back went well and a check is red.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import scenario_release

    wired = wire(options)
    request = wired.request(options, to=to, accepted=accept_data_loss)
    return scenario_release.bad_migration(request, wired.configs, wired.world)


@rollback_task(
    "scenario.bad-code",
    shape=Shape.FLEET,
    help={
        "to": _TO,
        "accept_config": "start from the compose file even where the running containers were made from another "
        "configuration",
    },
)
def bad_code(context: Context, options: Options, *, to: str | None = None, accept_config: bool = False) -> RunReport:
    """Take bad code back, and leave the database

    Code, images and compose file where the schema is the same (rollback.full); else images alone (rollback.docker),
    where they can run on the schema as it is; then the whole of verify.all. Exit code 9 where the way back went well
    and a check is red.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import scenario_release

    wired = wire(options)
    request = wired.request(options, to=to)
    return scenario_release.bad_code(request, wired.configs, wired.world, accepts_drift=accept_config)


@rollback_task(
    "scenario.data-corruption",
    shape=Shape.FLEET,
    help={
        "backup": "its name, as backup.list shows it, or 'latest' for the newest proven one (default: that one, where "
        "somebody is asked)",
        "with_release": "take code, images and compose file back to this release in the same downtime",
        "accept_data_loss": "tables whose newer rows may leave the live database, as the plan names them",
        "skip_proof": "do not prove the backup of what is live by a restore; where its constraints are seen to be "
        "broken, that is left out anyway",
    },
)
def data_corruption(
    context: Context,
    options: Options,
    *,
    backup: str | None = None,
    with_release: str | None = None,
    accept_data_loss: tuple[str, ...] = (),
    skip_proof: bool = False,
) -> RunReport:
    """Check corrupt data, and restore a backup

    A diagnosis against the backup, rollback.restore, and then the whole of verify.all. The old database is kept under
    another name. Exit code 9 where the restore went well and a check is red.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import scenario_data

    wired = wire(options)
    request = wired.request(options, accepted=accept_data_loss)
    return scenario_data.data_corruption(
        request, wired.configs, wired.world, backup=backup, release=with_release, proves=not skip_proof
    )


@rollback_task("scenario.connections", shape=Shape.FLEET)
def connections(context: Context, options: Options) -> RunReport:
    """End connection trouble by the least that helps

    Ends exactly the sessions that others wait for, or starts the application anew where it holds the slots, or does
    nothing; the database is never started anew. Then the whole of verify.all; exit code 9 where the trouble stays.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import scenario_connections

    wired = wire(options)
    return scenario_connections.trouble(wired.request(options), wired.configs, wired.world)


@rollback_task("scenario.failed-deployment", shape=Shape.FLEET, help={"to": _TO, "accept_data_loss": _ACCEPT})
def failed_deployment(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take back what a failed deployment changed

    The compose file alone where nothing else differs (rollback.compose), the containers alone where nothing does
    (rollback.config), else all of it (rollback.full); then the whole of verify.all. Exit code 9 where the way back went
    well and a check is red.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import scenario_release

    wired = wire(options)
    request = wired.request(options, to=to, accepted=accept_data_loss)
    return scenario_release.failed_deployment(request, wired.configs, wired.world)


ns = collection("scenario", bad_migration, bad_code, data_corruption, connections, failed_deployment)
