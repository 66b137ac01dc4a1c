"""A dump restored into a database of its own beside the live one, and compared there with its manifest."""

from __future__ import annotations

from rollback_tasks.drivers import databases
from rollback_tasks.drivers.databases import CREATE_LIKE, restored_name
from rollback_tasks.drivers.manifests import AS_VARIABLE
from rollback_tasks.drivers.postgres import COUNTS, FIND_DB, INSIDE, SCHEMA
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# In no single transaction, which would hold a lock for every table at once: what fails is dropped, nothing else saw it.
# A subscription would go on by itself, and would keep the database from being renamed or dropped.
INTO_NEW = (
    INSIDE
    + """\
[ -r "$place.dump" ] || { echo "$place.dump cannot be read" >&2; exit 1; }
printf '%s' "$create" | inside psql -XqAt -v ON_ERROR_STOP=1 -v new="$new" -v live="$live" -U "$user" -d "$side" -f - ||
  exit 1
inside pg_restore --exit-on-error --no-subscriptions -U "$user" -d "$new" <"$place.dump" || exit 1
"""
)

_RESTORE = (
    FIND_DB
    + """\
user=$3 live=$4 new=$5 place=$6 create=$7 run=$8 side=$9
"""
    + INTO_NEW
    + """\
echo 'analyze' | inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$new" -f - || exit 1
"""
)


def restore(project: Project, *, source: str, run_id: str, timeout: float) -> Command:
    """Return the command that restores a dump into the run's own new database, made like the live one, and gives the
    planner its statistics.

    :param source: absolute path of the backup on the host that serves the database, without ending.
    :param timeout: seconds; grows with the dump.
    """
    return script(
        _RESTORE,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        restored_name(project.database, run_id),
        source,
        CREATE_LIKE,
        run_id,
        project.side_database,
        effect=Effect.WRITE,
        timeout=timeout,
        place=project.database_site.place,
    )


_COMPARE = f"""\
select coalesce(string_agg(format('%s has %s rows, not %s', coalesce(h.key, w.key), coalesce(h.value, 'no'),
    coalesce(w.value, 'none')), ', ' order by coalesce(h.key, w.key)), '') as told, count(*) > 0 as differs
from json_each_text(({COUNTS})) h full join json_each_text(:'counts'::json) w on w.key = h.key
where h.value is distinct from w.value \\gset
select ({SCHEMA})::jsonb <> :'schema'::jsonb as is_other, ({SCHEMA}) as have \\gset
\\if :differs
  \\warn 'the restored database is not what its manifest says:' :told
  select 1/0 as "restored rows differ";
\\endif
\\if :is_other
  \\warn 'the restored database is at' :have 'and not at' :schema
  select 1/0 as "restored schema differs";
\\endif
"""

# The counts of thousands of tables are longer than a word of a command may be.
_VERIFY = (
    FIND_DB
    + "user=$3 new=$4 run=$5 place=$6 body=$7\n"
    + AS_VARIABLE
    + INSIDE
    + """\
counts=$(counts_of "$place")
schema=$(sed -n 's/^"schema": \\(.*\\),$/\\1/p' "$place.manifest.json")
[ -n "$counts" ] && [ -n "$schema" ] || { echo "the manifest of $place holds no counts, or no schema" >&2; exit 1; }
printf '%s\\n%s' "$counts" "$body" |
  inside psql -XqAt -v ON_ERROR_STOP=1 -v schema="$schema" -U "$user" -d "$new" -f -
"""
)


def verify(project: Project, *, source: str, run_id: str, database: str | None = None) -> Command:
    """Return the check that the restored database holds exactly the rows and the alembic heads that the manifest of
    ``source`` says.

    :param database: to compare instead of the restored one.
    """
    return script(
        _VERIFY,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        restored_name(project.database, run_id) if database is None else database,
        run_id,
        source,
        _COMPARE,
        effect=Effect.READ,
        timeout=1800,
        place=project.database_site.place,
    )


def drop(project: Project, run_id: str) -> Command:
    """Return the command that drops the database that the run restored into; it no longer has that name once it is
    live."""
    return databases.drop(project, run_id, restored_name(project.database, run_id))
