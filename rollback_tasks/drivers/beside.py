"""A dump restored into a database of its own beside the live one, and compared there with its manifest."""

from __future__ import annotations

from rollback_tasks.drivers.postgres import COUNTS, FIND_DB, PSQL, SCHEMA, sql
from rollback_tasks.drivers.scratch import END_OWN, named
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# Everything that is fixed when a database is made. Older servers lack some columns: asked by name, they are null.
_CREATE = """\
select pg_terminate_backend(pid) from pg_stat_activity where datname = :'new' \\g /dev/null
drop database if exists :"new";
select format('create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L', :'new',
    pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
  || case j ->> 'datlocprovider'
       when 'i' then format(' locale_provider icu icu_locale %L', coalesce(j ->> 'datlocale', j ->> 'daticulocale'))
       when 'b' then format(' locale_provider builtin builtin_locale %L', j ->> 'datlocale') else '' end
  || case when j ->> 'daticurules' is null then '' else format(' icu_rules %L', j ->> 'daticurules') end
  || format(' tablespace %I', (select spcname from pg_tablespace s where s.oid = dattablespace))
from pg_database d, to_jsonb(d) j where datname = :'live'
\\gexec
"""

# In no single transaction, which would hold a lock for every table at once: what fails is dropped, nothing else saw it.
# A subscription would go on by itself, and would keep the database from being renamed or dropped.
_RESTORE = (
    FIND_DB
    + """\
user=$3 live=$4 new=$5 place=$6 create=$7 run=$8 side=$9
inside() {
  docker exec -i -e PGAPPNAME="rollback-$run" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS; exec "$@"' restore "$@"
}
[ -r "$place.dump" ] || { echo "$place.dump cannot be read" >&2; exit 1; }
printf '%s' "$create" | inside psql -XqAt -v ON_ERROR_STOP=1 -v new="$new" -v live="$live" -U "$user" -d "$side" -f - ||
  exit 1
inside pg_restore --exit-on-error --no-subscriptions -U "$user" -d "$new" <"$place.dump" || exit 1
echo 'analyze' | inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$new" -f - || exit 1
"""
)


def restored_name(database: str, run_id: str) -> str:
    """Return the name of the database that a run restores a backup into."""
    return named(database, "restored", run_id)


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
        _CREATE,
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

_VERIFY = """\
place=$1
shift
counts=$(sed -n 's/^"counts": //p' "$place.manifest.json")
schema=$(sed -n 's/^"schema": \\(.*\\),$/\\1/p' "$place.manifest.json")
[ -n "$counts" ] && [ -n "$schema" ] || { echo "the manifest of $place holds no counts, or no schema" >&2; exit 1; }
exec "$@" -v counts="$counts" -v schema="$schema"
"""


def verify(project: Project, *, source: str, run_id: str) -> Command:
    """Return the check that the restored database holds exactly the rows and the alembic heads that the manifest of
    ``source`` says."""
    inner = sql(
        project,
        _COMPARE,
        effect=Effect.READ,
        database=restored_name(project.database, run_id),
        application=f"rollback-{run_id}",
        timeout=1800,
    )
    return script(_VERIFY, source, *inner.argv, effect=Effect.READ, timeout=1800, place=inner.place)


def drop(project: Project, run_id: str) -> Command:
    """Return the command that ends what the run does in the server and drops the database that it restored into; its
    name can be nobody else's, and it no longer has that name once it is live."""
    return sql(
        project,
        END_OWN + "select pg_terminate_backend(pid) from pg_stat_activity where datname = :'name' \\g /dev/null\n"
        'drop database if exists :"name";',
        effect=Effect.WRITE,
        database=project.side_database,
        values=(("name", restored_name(project.database, run_id)), ("own", f"rollback-{run_id}")),
        application=f"rollback-{run_id}",
        timeout=180,
        waits=True,
    )
