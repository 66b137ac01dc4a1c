"""db.*: what the databases are."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task


@rollback_task(
    "db.check",
    help={
        "save": "NAME to keep the answer under on this laptop, for a later --against",
        "against": "a saved check, a backup, or `newest` for the newest backup: only what became worse is a problem",
    },
)
def check(context: Context, options: Options, *, save: str | None = None, against: str | None = None) -> Answer:
    """Check the data's consistency; exit code 9 if bad

    Keys, duplicates, sequences and indexes, as the catalogue has them. Every foreign key, check constraint and
    unique index is checked row by row, without trusting an index; sequences, triggers, invalid indexes, checksums,
    collations; with amcheck every index and table is looked into.
    """
    from rollback_tasks.cli import database_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import database

    wired = wire(options)
    return database_listings.checks(
        database.checked(wired.configs, wired.world, save=save, against=against, is_dry_run=options.is_dry_run)
    )


@rollback_task("db.counts")
def counts(context: Context, options: Options) -> Answer:
    """Count every table's rows exactly, at one moment

    `tables` of hosts.yaml chooses which.
    """
    from rollback_tasks.cli import database_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import database

    wired = wire(options)
    return database_listings.counts(database.counted(wired.configs, wired.world))


@rollback_task("db.migrations")
def migrations(context: Context, options: Options) -> Answer:
    """Compare schema of database, image and checkout

    What is pending, what is unknown, and the way back.
    """
    from rollback_tasks.cli import database_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import migrations

    wired = wire(options)
    return database_listings.migrations(migrations.standings(wired.configs, wired.world))


@rollback_task(
    "db.connections",
    help={"terminate": "end the sessions that all others wait for, after asking"},
)
def connections(context: Context, options: Options, *, terminate: bool = False) -> Answer:
    """Show who holds the database's connections

    And who waits for whom; exit code 9 where there is trouble. With --terminate only a session that others wait
    for, and that waits for nobody, is ended: the very one that was seen, still idle in its transaction. What it did
    not commit is lost; its last statement is shown.
    """
    from rollback_tasks.cli import connection_listing
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import connections

    wired = wire(options)
    request = wired.request(options)
    return connection_listing.connections(
        connections.diagnosed(request, wired.configs, wired.world, terminates=terminate)
    )


ns = collection("db", check, counts, migrations, connections)
