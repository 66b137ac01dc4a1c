"""A new cluster beside the live one gets its roles and its data, is compared, and shut down."""

from __future__ import annotations

from rollback_tasks.drivers.fresh import container
from rollback_tasks.drivers.postgres import FIND_DB, INSIDE
from rollback_tasks.model.project import Project
from rollback_tasks.model.volumes import DataVolume
from rollback_tasks.shell import Command, Effect, script

# The password hashes go from one server to the other, past every disk and every command line. The role that initdb
# made is there already. psql says nothing of a statement that fails but why.
_FILL = (
    FIND_DB
    + """\
user=$3 side=$4 name=$5 run=$6 place=$7 database=$8
"""
    + INSIDE
    + """\
[ -r "$place.dump" ] || { echo "$place.dump cannot be read" >&2; exit 1; }
ask() { inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$side" -c "$1"; }
there() { docker exec -i -e PGAPPNAME="rollback-$run" "$name" "$@"; }
first=$(ask "select rolname from pg_roles where oid = 10") || exit 1
made=$(ask "select 'CREATE ROLE ' || quote_ident(rolname) || ';' from pg_roles where oid = 10") || exit 1
there psql -XqAt -v ON_ERROR_STOP=1 -U "$first" -d postgres -v name="$database" -f - <<'END' || exit 1
drop database if exists :"name";
END
{
  printf '%s\\n' '\\set VERBOSITY terse'
  inside pg_dumpall --globals-only -l "$side" -U "$user" || echo 'select 1/0 as "the roles cannot be read";'
} | grep -vxF -- "$made" | there psql -XqAt -v ON_ERROR_STOP=1 -U "$first" -d postgres -f - >/dev/null ||
  { echo "the roles cannot be taken along" >&2; exit 1; }
there pg_restore --create --exit-on-error --no-subscriptions -U "$first" -d postgres <"$place.dump" || exit 1
there psql -XqAt -v ON_ERROR_STOP=1 -U "$first" -d "$database" -c analyze || exit 1
"""
)


def fill(project: Project, *, source: str, run_id: str, timeout: float) -> Command:
    """Return the command that takes the roles of the live cluster along and restores a dump.

    :param source: absolute path of the backup on the host, without ending.
    :param timeout: seconds; grows with the dump.
    """
    at = project.database_site
    return script(
        _FILL,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        container(run_id),
        run_id,
        source,
        project.database,
        effect=Effect.WRITE,
        timeout=timeout,
        place=at.place,
    )


_ROLES = """select md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from (
  select concat_ws('|', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
    rolbypassrls, rolconnlimit, rolvaliduntil, md5(coalesce(rolpassword, '-'))) as t
  from pg_authid where rolname !~ '^pg_'
  union all
  select concat_ws('|', 'member', pg_get_userbyid(roleid), pg_get_userbyid(member), admin_option) from pg_auth_members
  union all
  select concat_ws('|', 'setting', pg_get_userbyid(setrole), setconfig::text) from pg_db_role_setting
  where setdatabase = 0) q;
"""

_SAME_ROLES = (
    FIND_DB
    + """\
user=$3 side=$4 name=$5 run=$6 roles=$7
"""
    + INSIDE
    + """\
want=$(printf '%s' "$roles" | inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$side" -f -) || exit 1
have=$(printf '%s' "$roles" | docker exec -i "$name" psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d postgres -f -) ||
  exit 1
[ "$have" = "$want" ] || { echo "the roles of the new cluster are not those of the live one" >&2; exit 1; }
"""
)


def has_same_roles(project: Project, run_id: str) -> Command:
    """Return the check that every role, its password, its memberships and its settings are in the new cluster."""
    at = project.database_site
    words_ = (at.project, at.service, project.database_user, project.side_database, container(run_id), run_id, _ROLES)
    return script(_SAME_ROLES, *words_, effect=Effect.READ, place=at.place)


# Segments of a new cluster are called like those of every other: on a timeline of its own it never meets in an archive
# what the old one stored there.
_FINISH = """set -e
data=$1 timeline=$2
is_shut() { [ "$(LC_ALL=C pg_controldata "$data" | sed -n 's/^Database cluster state: *//p')" = "shut down" ]; }
is_shut || { echo "the new server did not shut down cleanly" >&2; exit 1; }
if LC_ALL=C pg_controldata "$data" | grep -q '^Data page checksum version: *[1-9]'; then
  pg_checksums --check -D "$data" >/dev/null
fi
if [ -n "$timeline" ]; then
  pg_resetwal -l "$timeline" -D "$data" >/dev/null
  is_shut || { echo "the new cluster is not shut down after its timeline was set" >&2; exit 1; }
fi
sync
"""

_CLOSE = (
    FIND_DB
    + """\
user=$3 side=$4 name=$5 run=$6 volume=$7 mounted=$8 data=$9
archive=${10} finish=${11}
"""
    + INSIDE
    + """\
image=$(docker inspect --type container --format '{{.Image}}' "$db") || exit 1
owner=$(docker exec "$db" stat -c %u:%g "$data") || exit 1
wal=
if [ -n "$archive" ]; then
  live=$(inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$side" \\
    -c 'select timeline_id from pg_control_checkpoint()') || exit 1
  most=$(docker exec "$db" sh -c 'ls "$1" 2>/dev/null' ls "$archive" | grep -E '^[0-9A-F]{24}$' | cut -c1-8 |
    sort | tail -n 1)
  most=$((0x${most:-0}))
  [ "$most" -ge "$live" ] || most=$live
  wal=$(printf '%08X%08X%08X' "$((most + 1))" 0 16)
fi
if docker inspect --type container "$name" >/dev/null 2>&1; then
  docker stop -t 600 "$name" >/dev/null || exit 1
  docker rm "$name" >/dev/null || exit 1
fi
docker run --rm --name "$name-finish" --network none --user "$owner" --volume "$volume:$mounted:nocopy" \\
  --entrypoint sh "$image" -c "$finish" finish "$data" "$wal" || exit 1
"""
)


def close(project: Project, volume: DataVolume, run_id: str, *, archives: bool, timeout: float) -> Command:
    """Return the command that ends the new server, and proves that its files are whole.

    :param archives: the live server archives its log, so that the new one gets a timeline of its own.
    :param timeout: seconds; every page is read.
    """
    at = project.database_site
    return script(
        _CLOSE,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        container(run_id),
        run_id,
        volume.aside(run_id),
        volume.mounted_at,
        volume.data_folder,
        project.wal_archive if archives else "",
        _FINISH,
        effect=Effect.WRITE,
        timeout=timeout,
        place=at.place,
    )
