"""Databases beside the live one: a scratch one to prove in, a restored one, a copy to go back to."""

from __future__ import annotations

from rollback_tasks.drivers.postgres import AWAIT_DB, COUNTS, FIND_DB, PSQL, sql
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# Encoding and collation as the live one has them; a restore under another collation is another database.
CREATE_LIKE = """\
select format('create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L', :'new',
  pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
from pg_database where datname = :'live'
\\gexec
"""

# What belongs to the database object itself does not come with a dump or a template.
COPY_PROPERTIES = """\
select format('alter database %I connection limit %s', :'new', datconnlimit)
from pg_database where datname = :'live'
\\gexec
select format('comment on database %I is %L', :'new', shobj_description(oid, 'pg_database'))
from pg_database where datname = :'live' and shobj_description(oid, 'pg_database') is not null
\\gexec
select format('revoke all on database %I from public', :'new')
from pg_database where datname = :'live' and datacl is not null
\\gexec
select format('grant %s on database %I to %s%s', a.privilege_type, :'new',
  case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
  case when a.is_grantable then ' with grant option' else '' end)
from pg_database d, aclexplode(d.datacl) a where d.datname = :'live'
\\gexec
"""

# Of the settings those that everybody may set, or all for a superuser: `:'new'` becomes like `:'live'`.
SETTINGS = """\
with settings as (
  select r.rolname, split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as value
  from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase and d.datname = :'live'
  left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) c
  where r.rolname is null or r.rolname = current_user or (select rolsuper from pg_roles where rolname = current_user))
select case when rolname is null then format('alter database %I set %I to %s', :'new', name, literal)
  else format('alter role %I in database %I set %I to %s', rolname, :'new', name, literal) end
from (select *, case when name in ('search_path', 'temp_tablespaces', 'session_preload_libraries',
  'local_preload_libraries', 'shared_preload_libraries') then value else quote_literal(value) end as literal
  from settings) q
\\gexec
"""


def scratch_name(database: str, run_id: str) -> str:
    """Return the name of a run's scratch database: at most 63 bytes, and nobody else's."""
    return named(database, "scratch", run_id)


def copy_name(database: str, run_id: str) -> str:
    """Return the name of the copy that a run goes back to."""
    return named(database, "before", run_id)


def left_name(database: str, run_id: str) -> str:
    """Return the name that a half-changed database is put aside under."""
    return named(database, "left", run_id)


def named(database: str, role: str, run_id: str) -> str:
    """Return the name of a run's database in some role: at most 63 bytes."""
    tail = f"__{role}_{run_id}"
    return database.encode()[: 63 - len(tail)].decode("utf-8", "ignore") + tail


# In no single transaction, which would hold a lock for every table at once: a scratch database that fails is dropped.
# A subscription would keep it from being dropped.
_RESTORE = (
    FIND_DB
    + """\
user=$3 live=$4 new=$5 place=$6 create=$7 counts=$8 run=$9 side=${10}
inside() {
  docker exec -i -e PGAPPNAME="rollback-$run" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS; exec "$@"' restore "$@"
}
umask 077; manifest=$place.manifest.json began=$(date +%s)
want=$(sed -n 's/^"counts": //p' "$manifest")
[ -n "$want" ] || { echo "$manifest holds no counts" >&2; exit 1; }
printf 'drop database if exists :"new";\\n%s' "$create" |
  inside psql -XqAt -v ON_ERROR_STOP=1 -v new="$new" -v live="$live" -U "$user" -d "$side" -f - || exit 1
inside pg_restore --exit-on-error --no-subscriptions -U "$user" -d "$new" <"$place.dump" || exit 1
have=$(printf '%s;' "$counts" | inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$new" -f -) || exit 1
[ "$have" = "$want" ] || { echo "restored rows differ: $have, not $want" >&2; exit 1; }
sed 's/^"level": "[a-z]*"/"level": "restored"/; s/^\\("restore_seconds": \\)[^,]*/\\1'$(($(date +%s) - began))'/
  s/^"verified_at": "[^"]*"/"verified_at": "'"$(date -u +%FT%TZ)"'"/' "$manifest" >"$manifest.partial" || exit 1
sync "$manifest.partial" 2>/dev/null || sync; mv "$manifest.partial" "$manifest"
"""
)


def prove(project: Project, *, backup: str, run_id: str, timeout: float) -> Command:
    """Return the command that restores a backup into the run's scratch database, compares every count with
    the manifest, and raises the backup's level to ``restored``."""
    return script(
        _RESTORE,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        scratch_name(project.database, run_id),
        f"{project.backup_folder}/{backup}",
        CREATE_LIKE + SETTINGS,
        COUNTS,
        run_id,
        project.side_database,
        effect=Effect.WRITE,
        timeout=timeout,
        place=project.database_site.place,
    )


# A statement goes on in the server when the command that sent it was ended on the host: a database that is being
# made cannot be dropped, and what was shut stays shut. The script that sent it ends with its session.
END_OWN = """\
select set_config('rollback.own', :'own', false) \\g /dev/null
do $$
declare
  began timestamptz := clock_timestamp();
  others int;
begin
  loop
    perform pg_stat_clear_snapshot();
    select count(*) into others from (
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = current_setting('rollback.own') and pid <> pg_backend_pid()) s;
    exit when others = 0;
    if clock_timestamp() - began > interval '20 s' then
      raise exception 'sessions of the run do not end';
    end if;
    perform pg_sleep(0.02);
  end loop;
end $$;
"""


def drop_scratch(project: Project, run_id: str) -> Command:
    """Return the command that drops the run's own scratch database; its name can be nobody else's."""
    return sql(
        project,
        END_OWN + "select pg_terminate_backend(pid) from pg_stat_activity where datname = :'name' \\g /dev/null\n"
        'drop database if exists :"name";',
        effect=Effect.WRITE,
        database=project.side_database,
        values=(("name", scratch_name(project.database, run_id)), ("own", f"rollback-{run_id}")),
        application=f"rollback-{run_id}",
        timeout=180,
        waits=True,
    )


# Connections are closed to everybody, superusers too, while the sessions end; and are always opened again.
_SHUT = """\
alter database :"live" allow_connections false;
do $$
declare
  live text := current_setting('rollback.live');
  began timestamptz := clock_timestamp();
  others int;
begin
  loop
    perform pg_stat_clear_snapshot();
    select count(*) into others from (select pg_terminate_backend(pid) from pg_stat_activity where datname = live) s;
    exit when others = 0;
    if clock_timestamp() - began > interval '20 s' then
      raise exception 'sessions of % do not end', live;
    end if;
    perform pg_sleep(0.02);
  end loop;
end $$;
"""

OPEN = """\
select format('alter database %I allow_connections true', datname) from pg_database
where datname = :'live' and not datallowconn
\\gexec
"""

# psql stops at the first error; the second psql opens the database again whatever happened.
_WITH_SHUT = (
    AWAIT_DB
    + """\
user=$3 live=$4 other=$5 aside=$6 run=$7 marker=$8 body=$9 side=${10}
inside() {
  docker exec -i -e PGAPPNAME="rollback-$run" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS; exec "$@"' swap psql -XqAt -v ON_ERROR_STOP=1 \\
    -v live="$live" -v other="$other" -v aside="$aside" -U "$user" -d "$side" -f -
}
[ -z "$marker" ] || [ -e "$marker" ] || exit 0
docker rm -f "rollback-$run-alembic" >/dev/null 2>&1
code=0
printf '%s' "$body" | inside || code=$?
inside <<'END' || code=1
"""
    + OPEN
    + """\
END
exit $code
"""
)

_COPY = (
    "select set_config('rollback.live', :'live', false) \\g /dev/null\n"
    "select count(*) = 0 as missing from pg_database where datname = :'other' \\gset\n"
    "\\if :missing\n"
    + _SHUT
    + 'create database :"other" template :"live";\n'
    + "\\set new :other\n"
    + COPY_PROPERTIES
    + SETTINGS
    + "\\endif\n"
)

_BACK = (
    "select set_config('rollback.live', :'live', false) \\g /dev/null\n"
    "select count(*) > 0 as present from pg_database where datname = :'other' \\gset\n"
    "\\if :present\n"
    + _SHUT
    + 'begin;\nalter database :"live" rename to :"aside";\nalter database :"other" rename to :"live";\ncommit;\n'
    'alter database :"aside" allow_connections true;\n' + "\\endif\n"
)


def copy(project: Project, run_id: str, *, timeout: float) -> Command:
    """Return the command that copies the live database inside the server, with its own properties.

    Other sessions are ended first: a template may have none. ``timeout`` is in seconds.
    """
    return _shut(project, run_id, _COPY, marker="", effect=Effect.WRITE, timeout=timeout)


def swap_back(project: Project, run_id: str, *, marker: str) -> Command:
    """Return the command that makes the copy the live database again and puts the other aside, by two renames
    in one transaction. Does nothing without ``marker`` (a file on the host) or without the copy."""
    return _shut(project, run_id, _BACK, marker=marker, effect=Effect.DESTROY, timeout=120)


def _shut(project: Project, run_id: str, body: str, *, marker: str, effect: Effect, timeout: float) -> Command:
    return script(
        _WITH_SHUT,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        copy_name(project.database, run_id),
        left_name(project.database, run_id),
        run_id,
        marker,
        body,
        project.side_database,
        effect=effect,
        timeout=timeout,
        place=project.database_site.place,
    )


def has_copy(project: Project, run_id: str) -> Command:
    """Return the check that the copy exists, and that the live database is open again: making the copy ended well."""
    return sql(
        project,
        "select 1 / (count(*) = 2)::int from pg_database\n"
        "where datallowconn and datname in (:'name', :'live') \\g /dev/null",
        effect=Effect.READ,
        database=project.side_database,
        values=(("name", copy_name(project.database, run_id)), ("live", project.database)),
    )


_DROP_COPY = """\
[ ! -e "$1" ] || { echo "the copy is kept: the live database was changed after it was made"; exit 0; }
shift
exec "$@"
"""


def drop_copy(project: Project, run_id: str, *, marker: str) -> Command:
    """Return the command that ends a copy in the making, opens the live one, drops the copy unless ``marker`` is."""
    drop = sql(
        project,
        END_OWN + OPEN + 'drop database if exists :"name";',
        effect=Effect.WRITE,
        database=project.side_database,
        values=(
            ("name", copy_name(project.database, run_id)),
            ("live", project.database),
            ("own", f"rollback-{run_id}"),
        ),
        application=f"rollback-{run_id}",
        timeout=180,
        waits=True,
    )
    return script(_DROP_COPY, marker, *drop.argv, effect=Effect.WRITE, timeout=190, place=drop.place)
