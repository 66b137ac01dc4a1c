"""The write-ahead log of a server and its archive: names of segments, and what is there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rollback_tasks.drivers.postgres import FIND_DB, PSQL
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import ArchiveFacts
from rollback_tasks.shell import Command, Effect, script

_NAME = re.compile(r"[0-9A-F]{24}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log: its timeline, and its number counted from the log's beginning."""

    timeline: int
    number: int

    def name(self, segment_bytes: int) -> str:
        """Return the file's name: timeline, high and low part (PostgreSQL: XLogFileName)."""
        high, low = divmod(self.number, 0x100000000 // segment_bytes)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    def next(self) -> Segment:
        """The one that follows on the same timeline."""
        return Segment(self.timeline, self.number + 1)


def segment(name: str, segment_bytes: int) -> Segment | None:
    """Given the name of a file, return the segment that it is; None where it is none."""
    if not _NAME.match(name):
        return None
    per_high = 0x100000000 // segment_bytes
    low = int(name[16:], 16)
    return Segment(int(name[:8], 16), int(name[8:16], 16) * per_high + low) if low < per_high else None


def lsn(text: str) -> int:
    """Given a place in the log as PostgreSQL prints it (``16/B374D848``), return it as a number. Raise ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"not a place in the log: {text!r}")
    return int(high, 16) << 32 | int(low, 16)


_SERVER = """\
select json_build_object(
  'now', extract(epoch from clock_timestamp()),
  'version', current_setting('server_version_num')::int,
  'system', (select system_identifier::text from pg_control_system()),
  'timeline', (select timeline_id from pg_control_checkpoint()),
  'segment', (select setting::bigint * case unit when '8kB' then 8192 else 1 end from pg_settings
    where name = 'wal_segment_size'),
  'data', current_setting('data_directory'),
  'current', case when pg_is_in_recovery() then '' else pg_walfile_name(pg_current_wal_lsn()) end,
  'live', case when has_function_privilege('pg_ls_waldir()', 'execute') then (
    select coalesce(json_agg(name order by name), '[]') from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$') end,
  'mode', current_setting('archive_mode'), 'level', current_setting('wal_level'),
  'command', current_setting('archive_command') not in ('', '(disabled)')
    or coalesce(current_setting('archive_library', true), '') <> '',
  'timeout', (select setting::int from pg_settings where name = 'archive_timeout'),
  'failing', (select case when last_failed_time > coalesce(last_archived_time, '-infinity') then last_failed_wal
    else '' end from pg_stat_archiver),
  'waiting', case when has_function_privilege('pg_ls_archive_statusdir()', 'execute') then (
    select count(*) from pg_ls_archive_statusdir() where name like '%.ready') else 0 end,
  'last', (select extract(epoch from clock_timestamp() - last_archived_time) from pg_stat_archiver),
  'pending', (select coalesce(json_agg(name order by name), '[]') from pg_settings where pending_restart),
  'tablespaces', (select count(*) from pg_tablespace where spcname not in ('pg_default', 'pg_global')),
  'cluster', (select coalesce(sum(pg_database_size(oid)), 0) from pg_database
    where has_database_privilege(oid, 'connect') or pg_has_role('pg_read_all_stats', 'member')),
  'replicates', (select rolsuper or rolreplication from pg_roles where rolname = current_user),
  'names', has_function_privilege('pg_create_restore_point(text)', 'execute'),
  'settings', (select json_object_agg(name, setting) from pg_settings where name in ('max_connections',
    'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction',
    'shared_preload_libraries')));
"""

# The innermost mount that holds the archive; Docker's own format has no way to compare a prefix.
_SURVEY = (
    FIND_DB
    + """\
user=$3 side=$4 archive=$5 text=$6
image=$(docker inspect --type container --format '{{.Image}}' "$db") || exit 1
docker inspect --type container --format \\
  '{{range .Mounts}}{{.Destination}}{{"\\t"}}{{if .Name}}{{.Name}}{{else}}{{.Source}}{{end}}{{"\\n"}}{{end}}' "$db" |
  awk -F '\\t' -v path="$archive" 'NF == 2 && (path == $1 || index(path, $1 "/") == 1) && length($1) > length(at) {
    at = $1; from = $2 } END { if (at != "") print "mount\\t" at "\\t" from }'
printf 'image\\t%s\\n' "$image"
docker exec -e PGAPPNAME=rollback "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS
  printf "server\\t"
  printf "%s" "$3" | psql -XqAt -v ON_ERROR_STOP=1 -U "$1" -d "$2" -f - || exit
  [ -d "$4" ] || exit 0
  printf "folder\\t%s\\n" "$(df -Pk -- "$4" | awk "NR==2 {print \\$4}")"
  cd -- "$4" && find . -maxdepth 1 -type f -exec stat -c "file	%s	%n" {} +
' survey "$user" "$side" "$text" "$archive"
"""
)


def survey(project: Project) -> Command:
    """Return the command that describes the server's log and lists its archive."""
    at = project.database_site
    return script(
        _SURVEY,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        project.wal_archive,
        _SERVER,
        effect=Effect.READ,
        timeout=120,
        ok_codes=frozenset(range(124)),
        place=at.place,
    )


def read_survey(text: str) -> ArchiveFacts:
    """Given the answer of ``survey``, return it as values. Raise MalformedAnswer."""
    said: dict[str, list[str]] = {}
    archived: dict[str, int] | None = None
    try:
        for line in text.splitlines():
            word, *rest = line.split("\t")
            if word == "folder":
                archived = {}
            if word == "file" and archived is not None and len(rest) == 2:
                archived[rest[1].removeprefix("./")] = int(rest[0])
            elif rest:
                said[word] = rest
        server = json.loads(said["server"][0])
        mount = said.get("mount", ["", ""])
        return _facts(server, archived, mounted_at=mount[0], mount=mount[1], image=said["image"][0], said=said)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MalformedAnswer("the server described its log in an unknown form", details=text[:500]) from error


def _facts(
    server: dict[str, Any],
    archived: dict[str, int] | None,
    *,
    mounted_at: str,
    mount: str,
    image: str,
    said: dict[str, list[str]],
) -> ArchiveFacts:
    current = str(server["current"])
    free = said.get("folder", [""])[0]
    return ArchiveFacts(
        now=datetime.fromtimestamp(float(server["now"]), UTC),
        version=int(server["version"]),
        system=str(server["system"]),
        timeline=int(server["timeline"]),
        segment_bytes=int(server["segment"]),
        data_folder=str(server["data"]),
        image=image,
        current=current,
        # Files that are kept to be written again have names of the future.
        live=tuple(name for name in server["live"] or () if name <= current),
        archived=archived,
        mount=mount,
        mounted_at=mounted_at,
        mode=str(server["mode"]),
        level=str(server["level"]),
        has_command=bool(server["command"]),
        timeout=int(server["timeout"]),
        failing=str(server["failing"] or ""),
        waiting=int(server["waiting"]),
        last_archived=None if server["last"] is None else float(server["last"]),
        pending=tuple(server["pending"]),
        tablespaces=int(server["tablespaces"]),
        cluster_bytes=int(server["cluster"]),
        free_bytes=int(free) * 1024 if free.isdigit() else 0,
        may_replicate=bool(server["replicates"]),
        may_name=bool(server["names"]),
        settings={str(name): str(value) for name, value in (server["settings"] or {}).items()},
    )


# The server's own transaction: a recovery to a moment stops at the first commit behind it, so one has to be there.
# What is current is finished and handed to the archiver; the file itself is the proof that it arrives, whole.
_CLOSE = (
    FIND_DB
    + """\
user=$3 side=$4 archive=$5 limit=$6 run=$7
inside() {
  docker exec -e PGAPPNAME="rollback-$run" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS
  printf "%s" "$3" | psql -XqAt -v ON_ERROR_STOP=1 -U "$1" -d "$2" -f -' close "$user" "$side" "$1"
}
begin=$(date +%s)
inside 'begin; select txid_current() \\g /dev/null
commit;' || exit 1
wal=$(inside 'select pg_walfile_name(pg_switch_wal());') || exit 1
size=$(inside "select setting::bigint * case unit when '8kB' then 8192 else 1 end from pg_settings
  where name = 'wal_segment_size';") || exit 1
until have=$(docker exec "$db" stat -c %s "$archive/$wal" 2>/dev/null) && [ "$have" = "$size" ]; do
  if [ "$(($(date +%s) - begin))" -ge "$limit" ]; then
    echo "segment $wal is not in $archive after $limit s; the archiver says:" >&2
    inside "select 'archived ' || coalesce(last_archived_wal, 'nothing') || ', failed ' ||
      coalesce(last_failed_wal, 'nothing') from pg_stat_archiver;" >&2
    docker logs --tail 5 "$db" 2>&1 | tail -c 600 >&2
    exit 1
  fi
  sleep 0.1
done
printf '%s %s\\n' "$wal" "$(($(date +%s) - begin))"
"""
)


def close(project: Project, *, run_id: str, limit: int = 60) -> Command:
    """Return the command that finishes the current segment and waits until it is in the archive, whole; it prints the
    segment's name and the seconds that it took.

    :param limit: seconds that the archiver has for it.
    """
    at = project.database_site
    return script(
        _CLOSE,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        project.wal_archive,
        str(limit),
        run_id,
        effect=Effect.WRITE,
        timeout=limit + 60,
        place=at.place,
    )
