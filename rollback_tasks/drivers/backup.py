"""Backups: dumped by the container's own pg_dump, hashed, read back, restored beside, described by a manifest.

A backup ``N`` is ``N.dump``, ``N.globals.sql`` (roles without passwords, tablespaces) and ``N.manifest.json`` in the
backup folder; what is being made ends in ``.partial``. The manifest appears last, so a dump without one is no backup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from rollback_tasks.drivers.postgres import AWAIT_DB, COUNTS, FIND_DB, PSQL, SCHEMA
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.shell import Command, Effect, script

# One session exports its snapshot, says on stderr what it sees in it, and lets pg_dump see the same: so the
# counts are those of the dump, whatever is written meanwhile. What a recovered server holds is of its last commit.
_SESSION = f"""\
\\set ON_ERROR_STOP on
begin isolation level repeatable read read only;
select pg_export_snapshot() as snapshot \\gset
\\setenv SNAPSHOT :snapshot
\\o |cat >&2
select 'rollback-counts ' || ({COUNTS})::text;
select 'rollback-schema ' || ({SCHEMA})::text;
select 'rollback-taken ' || to_char(coalesce(case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() end,
  now()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
select 'rollback-server ' || json_build_object('version', current_setting('server_version_num')::int,
  'database', current_database(), 'size', pg_database_size(current_database()),
  'lsn', case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
  'system', (select system_identifier::text from pg_control_system()),
  'extensions', (select coalesce(json_object_agg(extname, extversion order by extname), '{{}}') from pg_extension),
  'collation', (select json_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate,
      'ctype', datctype, 'provider', to_jsonb(d) ->> 'datlocprovider', 'version', to_jsonb(d) ->> 'datcollversion')
    from pg_database d where datname = current_database()),
  'data_entries', (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_'
       and n.nspname <> 'information_schema'
       and (c.oid = any (select unnest(extconfig) from pg_extension)
         or not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e'))))::text;
\\o
\\! pg_dump --snapshot="$SNAPSHOT" -Fc -Z1 --lock-wait-timeout=30s; echo "rollback-dump $?" >&2
commit;
"""

# A dump whose connection was cut goes on in the server and holds its locks; whoever has the host's lock is alone.
END_RUNS = """\
select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = :'live' and pid <> pg_backend_pid()
  and application_name ~ '^rollback-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}$';
"""

# A name in the log for the moment before the run changes anything, so that a recovery needs no clock to find it.
_NAME_POINT = """\
select pg_create_restore_point(:'name') where not pg_is_in_recovery() and current_setting('wal_level') <> 'minimal';
"""

# POSIX sh has no pipefail: the exit code of the left side goes through a file.
_DUMP = (
    FIND_DB
    + """\
user=$3 database=$4 folder=$5 name=$6 run=$7 about=$8 session=$9 ends=${10} side=${11} point=${12}
umask 077
mkdir -p "$folder" || exit 1
[ ! -e "$folder/$name.manifest.json" ] || exit 0
part=$folder/$name.dump.partial said=$folder/$name.log.partial code=$folder/$name.code.partial
globals=$folder/$name.globals.sql manifest=$folder/$name.manifest.json
trap 'rm -f "$part" "$said" "$code" "$globals.partial" "$manifest.partial"' EXIT
fail() {
  [ "$(df -Pk -- "$folder" | awk 'NR==2 {print $4}')" -gt 64 ] || echo "no space left in $folder" >&2
  echo "$1" >&2
  exit 1
}
inside() {
  docker exec -i -e PGAPPNAME="$application" -e PGUSER="$user" -e PGDATABASE="$inside" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS; exec "$@"' dump "$@"
}
: >"$part" && : >"$said" || fail "the dump cannot be begun"
application=rollback inside=$side
printf '%s' "$ends" | inside psql -XqAt -v live="$database" -f - >/dev/null ||
  fail "sessions of earlier runs cannot be looked for"
printf '%s' "$point" | inside psql -XqAt -v name="rollback-$run" -f - >/dev/null 2>&1 ||
  echo "no restore point was named: role $user may not execute pg_create_restore_point" >&2
begin=$(date +%s)
application=rollback-$run inside=$database
sha=$({
  printf '%s' "$session" | inside psql -XqAt -f - 2>"$said"
  echo $? >"$code"
} | tee "$part" | sha256sum | cut -d' ' -f1)
[ "$(cat "$code")" = 0 ] && grep -q '^rollback-dump 0$' "$said" || {
  grep -v '^rollback-' "$said" | tail -n 5 >&2
  fail "pg_dump failed"
}
sync "$part" 2>/dev/null || sync
disk=$(sha256sum <"$part" | cut -d' ' -f1)
[ "$disk" = "$sha" ] || fail "the dump on disk is not what was sent"
docker exec -i "$db" pg_restore -f /dev/null <"$part" || fail "the dump cannot be read back"
entries=$(docker exec -i "$db" pg_restore -l <"$part" | grep -cE '^[0-9]+; [0-9]+ [0-9]+ TABLE DATA ')
field() { sed -n "s/^rollback-$1 //p" "$said"; }
want=$(field server | sed -n 's/.*"data_entries" *: *\\([0-9]*\\).*/\\1/p')
[ "$entries" = "$want" ] || fail "the dump holds $entries tables, the catalogue $want"
bytes=$(wc -c <"$part" | tr -d ' ')
roles=null inside=$side
if inside pg_dumpall --globals-only --no-role-passwords -l "$side" >"$globals.partial"; then
  sync "$globals.partial" 2>/dev/null || sync
  roles="{\\"sha256\\": \\"$(sha256sum <"$globals.partial" | cut -d' ' -f1)\\"}"
fi
cat >"$manifest.partial" <<END || fail "the manifest cannot be written"
{
"version": 1,
$about,
"taken_at": "$(field taken)",
"seconds": $(($(date +%s) - begin)),
"sha256": "$sha",
"bytes": $bytes,
"level": "readable",
"verified_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
"restore_seconds": null,
"globals": $roles,
"schema": $(field schema),
"server": $(field server),
"counts": $(field counts)
}
END
sync "$manifest.partial" 2>/dev/null || sync
[ "$roles" = null ] || mv "$globals.partial" "$globals" || exit 1
mv "$part" "$folder/$name.dump" && mv "$manifest.partial" "$manifest" || exit 1
sync "$folder" 2>/dev/null || sync
"""
)


def dump(
    project: Project,
    *,
    name: str,
    run_id: str,
    commit: str,
    timeout: float,
    host: str = "",
    images: Mapping[str, str] | None = None,
) -> Command:
    """Return the command that makes the backup ``name`` up to the level ``readable``. Sessions that earlier runs left
    in the database are ended first.

    :param timeout: seconds; grows with the database.
    :param images: service to image id, of what is deployed.
    """
    about = {
        "name": name,
        "run_id": run_id,
        "host": host,
        "project": project.name,
        "commit": commit,
        "images": dict(images or {}),
    }
    return script(
        _DUMP,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        project.backup_folder,
        name,
        run_id,
        ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()),
        _SESSION,
        END_RUNS,
        project.side_database,
        _NAME_POINT,
        effect=Effect.WRITE,
        timeout=timeout,
        place=project.database_site.place,
    )


_HAS_LEVEL = """\
[ -z "$2" ] || grep -q "^\\"level\\": \\"$2\\"" "$1.manifest.json" || { echo "$1 is not proven as $2" >&2; exit 1; }
want=$(sed -n 's/^"sha256": "\\([0-9a-f]*\\)",$/\\1/p' "$1.manifest.json")
[ -n "$want" ] && [ "$(sha256sum <"$1.dump" | cut -d' ' -f1)" = "$want" ] || {
  echo "the bytes of $1 are not those that its manifest tells" >&2
  exit 1
}
"""


def has_level(project: Project, name: str, level: BackupLevel, *, size_bytes: int) -> Command:
    """Return the check that the backup stands at ``level`` and its bytes are those of the manifest.

    :param size_bytes: of the dump, or of the database where that is not known yet; the time limit grows with it.
    """
    return _whole(project, f"{project.backup_folder}/{name}", level.value, size_bytes)


def is_whole(project: Project, path: str, *, size_bytes: int) -> Command:
    """Return the check that the bytes of a backup are those of its manifest, whatever it is proven as.

    :param path: absolute, without ending.
    """
    return _whole(project, path, "", size_bytes)


def _whole(project: Project, path: str, level: str, size_bytes: int) -> Command:
    # 10 MB a second is a tenth of what a slow disk reads.
    limit = 600 + size_bytes / 10_000_000
    return script(_HAS_LEVEL, path, level, effect=Effect.READ, timeout=limit, place=project.database_site.place)


_END_LEFTOVERS = (
    AWAIT_DB
    + """\
user=$3 folder=$4 name=$5 run=$6 side=$7
rm -f "$folder/$name".*.partial
[ -e "$folder/$name.manifest.json" ] || rm -f "$folder/$name.dump" "$folder/$name.globals.sql"
docker exec "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS
printf "%s" "select pg_terminate_backend(pid) from pg_stat_activity where application_name = :'\\''name'\\'';" |
  psql -XqAt -v name="$2" -U "$1" -d "$3" -f -' end "$user" "rollback-$run" "$side" >/dev/null
"""
)


def end_leftovers(project: Project, *, name: str, run_id: str) -> Command:
    """Return the command that ends what a cut dump left: its sessions and its partial files. The finished
    backup stays."""
    return script(
        _END_LEFTOVERS,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.backup_folder,
        name,
        run_id,
        project.side_database,
        effect=Effect.WRITE,
        timeout=120,
        place=project.database_site.place,
    )
