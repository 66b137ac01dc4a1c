"""Backups: dumped by the container's own pg_dump, hashed, read back, restored beside, described by a manifest.

A backup is three names in the backup folder: ``N.dump``, ``N.manifest.json`` and, while it is being made,
``N.dump.partial``. The manifest appears last, so a dump without one is no backup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from rollback_tasks.drivers.postgres import AWAIT_DB, COUNTS, FIND_DB, PSQL, SCHEMA
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, BackupLevel
from rollback_tasks.shell import Command, Effect, script

# One session exports its snapshot, says on stderr what it sees in it, and lets pg_dump see the same: so the
# counts are those of the dump, whatever is written meanwhile.
_SESSION = f"""\
\\set ON_ERROR_STOP on
begin isolation level repeatable read read only;
select pg_export_snapshot() as snapshot \\gset
\\setenv SNAPSHOT :snapshot
\\o |cat >&2
select 'rollback-counts ' || ({COUNTS})::text;
select 'rollback-schema ' || ({SCHEMA})::text;
select 'rollback-server ' || json_build_object('version', current_setting('server_version_num')::int,
  'database', current_database(), 'size', pg_database_size(current_database()), 'lsn', pg_current_wal_lsn(),
  'system', (select system_identifier::text from pg_control_system()),
  'data_entries', (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_'
       and n.nspname <> 'information_schema'
       and (c.oid = any (select unnest(extconfig) from pg_extension)
         or not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e'))))::text;
\\o
\\! pg_dump --snapshot="$SNAPSHOT" -Fc -Z1 --lock-wait-timeout=30s; echo "rollback-dump $?" >&2
commit;
"""

# POSIX sh has no pipefail: the exit code of the left side goes through a file.
_DUMP = (
    FIND_DB
    + """\
user=$3 database=$4 folder=$5 name=$6 run=$7 commit=$8 session=$9
umask 077
mkdir -p "$folder" || exit 1
[ ! -e "$folder/$name.manifest.json" ] || exit 0
part=$folder/$name.dump.partial said=$folder/$name.log.partial code=$folder/$name.code.partial
trap 'rm -f "$part" "$said" "$code"' EXIT
: >"$part" && : >"$said" || exit 1
begin=$(date +%s)
sha=$({
  docker exec -e PGAPPNAME="rollback-$run" -e PGUSER="$user" -e PGDATABASE="$database" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS
    printf "%s" "$1" | psql -XqAt -f -' dump "$session" 2>"$said"
  echo $? >"$code"
} | tee "$part" | sha256sum | cut -d' ' -f1)
[ "$(cat "$code")" = 0 ] && grep -q '^rollback-dump 0$' "$said" || {
  echo "pg_dump failed:" >&2
  grep -v '^rollback-' "$said" | tail -n 5 >&2
  exit 1
}
sync "$part" 2>/dev/null || sync
disk=$(sha256sum <"$part" | cut -d' ' -f1)
[ "$disk" = "$sha" ] || { echo "the dump on disk is not what was sent (is the disk full?)" >&2; exit 1; }
docker exec -i "$db" pg_restore -f /dev/null <"$part" || { echo "the dump cannot be read back" >&2; exit 1; }
entries=$(docker exec -i "$db" pg_restore -l <"$part" | grep -c ' TABLE DATA ')
field() { sed -n "s/^rollback-$1 //p" "$said"; }
want=$(field server | sed -n 's/.*"data_entries" *: *\\([0-9]*\\).*/\\1/p')
[ "$entries" = "$want" ] || { echo "the dump holds $entries tables, the catalogue $want" >&2; exit 1; }
bytes=$(wc -c <"$part" | tr -d ' ')
cat >"$folder/$name.manifest.json.partial" <<END || exit 1
{
"version": 1,
"name": "$name",
"run_id": "$run",
"commit": "$commit",
"taken_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
"seconds": $(($(date +%s) - begin)),
"sha256": "$sha",
"bytes": $bytes,
"level": "readable",
"schema": $(field schema),
"server": $(field server),
"counts": $(field counts)
}
END
sync "$folder/$name.manifest.json.partial" 2>/dev/null || sync
mv "$part" "$folder/$name.dump" && mv "$folder/$name.manifest.json.partial" "$folder/$name.manifest.json" || exit 1
sync "$folder" 2>/dev/null || sync
"""
)


def dump(project: Project, *, name: str, run_id: str, commit: str, timeout: float) -> Command:
    """Return the command that makes the backup ``name`` up to the level ``readable``.

    :param timeout: seconds; grows with the database.
    """
    return script(
        _DUMP,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        project.backup_folder,
        name,
        run_id,
        commit,
        _SESSION,
        effect=Effect.WRITE,
        timeout=timeout,
        place=project.database_site.place,
    )


_HAS_LEVEL = """\
grep -q "^\\"level\\": \\"$2\\"" "$1.manifest.json" || { echo "$1 is not proven as $2" >&2; exit 1; }
want=$(sed -n 's/^"sha256": "\\([0-9a-f]*\\)",$/\\1/p' "$1.manifest.json")
[ -n "$want" ] && [ "$(sha256sum <"$1.dump" | cut -d' ' -f1)" = "$want" ]
"""


def has_level(project: Project, name: str, level: BackupLevel) -> Command:
    """Return the check that the backup stands at ``level`` and its bytes are those of the manifest."""
    place = f"{project.backup_folder}/{name}"
    at = project.database_site.place
    return script(_HAS_LEVEL, place, level.value, effect=Effect.READ, timeout=600, place=at)


_END_LEFTOVERS = (
    AWAIT_DB
    + """\
user=$3 folder=$4 name=$5 run=$6 side=$7
rm -f "$folder/$name".*.partial
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


def manifests(project: Project) -> Command:
    """Return the command that prints every manifest of the backup folder, one after the other."""
    return script(
        'for file in "$1"/*.manifest.json; do [ ! -e "$file" ] || { cat "$file"; printf "\\0"; }; done',
        project.backup_folder,
        effect=Effect.READ,
        place=project.database_site.place,
    )


def read_manifests(text: str, folder: str) -> tuple[Backup, ...]:
    """Given the answer of ``manifests``, return the backups, newest first. A torn manifest is no backup."""
    return tuple(sorted(_backups(text.split("\0"), folder), key=lambda b: (b.taken_at, b.name), reverse=True))


# The name becomes a path on the laptop as well: a host must not choose a folder there.
_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*\Z")


def _backups(texts: Iterable[str], folder: str) -> Iterable[Backup]:
    for text in texts:
        try:
            said = json.loads(text)
            server = said["server"]
            if not _NAME.match(said["name"]):
                continue
            yield Backup(
                name=said["name"],
                path=f"{folder}/{said['name']}.dump",
                sha256=said["sha256"],
                size_bytes=int(said["bytes"]),
                level=BackupLevel(said["level"]),
                taken_at=said["taken_at"],
                database=server["database"],
                schema=tuple(said["schema"]),
                counts={str(key): int(value) for key, value in said["counts"].items()},
                run_id=said["run_id"],
                commit=said["commit"],
                server_version=int(server["version"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
