"""Databases beside the live one: a scratch one to prove in, a restored one, a copy to go back to."""

from __future__ import annotations

from rollback_tasks.drivers import databases
from rollback_tasks.drivers.alembic_run import container_name
from rollback_tasks.drivers.beside import INTO_NEW
from rollback_tasks.drivers.databases import (
    COPY_PROPERTIES,
    CREATE_LIKE,
    END_OWN,
    SETTINGS,
    SHUT,
    copy_name,
    left_name,
    scratch_name,
)
from rollback_tasks.drivers.postgres import AWAIT_DB, COUNTS, FIND_DB, INSIDE, sql
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

_RESTORE = (
    FIND_DB
    + """\
user=$3 live=$4 new=$5 place=$6 create=$7 counts=$8 run=$9 side=${10}
umask 077; manifest=$place.manifest.json began=$(date +%s)
want=$(sed -n 's/^"counts": //p' "$manifest")
[ -n "$want" ] || { echo "$manifest holds no counts" >&2; exit 1; }
"""
    + INTO_NEW
    + """\
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


def drop_scratch(project: Project, run_id: str) -> Command:
    """Return the command that drops the run's own scratch database; its name can be nobody else's."""
    return databases.drop(project, run_id, scratch_name(project.database, run_id))


OPEN = """\
select format('alter database %I allow_connections true', datname) from pg_database
where datname = :'live' and not datallowconn
\\gexec
"""

# psql stops at the first error; the second psql opens the database again whatever happened.
_WITH_SHUT = (
    AWAIT_DB
    + """\
user=$3 live=$4 other=$5 aside=$6 run=$7 marker=$8 body=$9 side=${10} alembic=${11}
"""
    + INSIDE
    + """\
ask() {
  inside psql -XqAt -v ON_ERROR_STOP=1 \\
    -v live="$live" -v other="$other" -v aside="$aside" -U "$user" -d "$side" -f -
}
[ -z "$marker" ] || [ -e "$marker" ] || exit 0
docker rm -f "$alembic" >/dev/null 2>&1
code=0
printf '%s' "$body" | ask || code=$?
ask <<'END' || code=1
"""
    + OPEN
    + """\
END
exit $code
"""
)

_COPY = (
    "select count(*) = 0 as missing from pg_database where datname = :'other' \\gset\n"
    "\\if :missing\n"
    "\\set new :other\n"
    + SHUT
    + 'create database :"other" template :"live";\n'
    + COPY_PROPERTIES
    + SETTINGS
    + "\\endif\n"
)

# The live one was changed, so the copy has to be somewhere: waiting, or live already with the other put aside.
_BACK = (
    "select count(*) filter (where datname = :'other') > 0 as present, count(*) = 0 as is_gone\n"
    "from pg_database where datname in (:'other', :'aside') \\gset\n"
    "\\if :is_gone\n"
    "  \\warn 'there is no database' :other 'to go back to'\n"
    '  select 1/0 as "the copy is gone";\n'
    "\\endif\n"
    "\\if :present\n"
    "\\set new :other\n"
    + SHUT
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
        container_name(run_id, project.name),
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
