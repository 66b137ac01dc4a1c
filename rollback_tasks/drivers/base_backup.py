"""Physical base backups: the whole cluster in one compressed archive, checked file by file before it gets its name.

They lie in ``base/`` of the backup folder: ``N.tar.gz`` and ``N.base.json``, which appears last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime

from rollback_tasks.drivers.postgres import FIND_DB, INSIDE
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import BaseBackup
from rollback_tasks.shell import Command, Effect, script

# What is unpacked for the check is a container's own volume, gone with it. Tar archives cannot be checked as they are
# before PostgreSQL 18. pg_verifybackup also reads the log that the copy needs to be consistent.
_CHECK = """\
set -e
mkdir /check/data
tar -xzf - -C /check/data
cd /check/data
pg_verifybackup --exit-on-error . >&2
range='"Timeline": *\\([0-9]*\\), *"Start-LSN": *"\\([0-9A-F/]*\\)", *"End-LSN": *"\\([0-9A-F/]*\\)"'
sed -n "s!.*$range.*!range \\1 \\2 \\3!p" backup_manifest
sed -n 's/^START WAL LOCATION: .*(file \\([0-9A-F]*\\)).*/segment \\1/p' backup_label
printf 'unpacked %s\\n' "$(du -sk . | cut -f 1)"
"""

_TAKE = (
    FIND_DB
    + """\
user=$3 side=$4 folder=$5/base name=$6 run=$7 check=$8 segment=$9
umask 077
mkdir -p "$folder" || exit 1
[ ! -e "$folder/$name.base.json" ] || exit 0
part=$folder/$name.tar.gz.partial said=$folder/$name.log.partial code=$folder/$name.code.partial
manifest=$folder/$name.base.json
trap 'rm -f "$part" "$said" "$code" "$manifest.partial"' EXIT
fail() {
  [ "$(df -Pk -- "$folder" | awk 'NR==2 {print $4}')" -gt 64 ] || echo "no space left in $folder" >&2
  echo "$1" >&2
  exit 1
}
"""
    + INSIDE
    + """\
ask() { inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$side" -c "$1"; }
now="select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\\"T\\"HH24:MI:SS.US+00:00')"
: >"$part" || fail "the base backup cannot be begun"
image=$(docker inspect --type container --format '{{.Image}}' "$db") || exit 1
started=$(ask "$now") || exit 1
sha=$({
  inside pg_basebackup -U "$user" -D - -Ft -X fetch -c fast -Z 1 --manifest-checksums=SHA256 -l "$name" 2>"$said"
  echo $? >"$code"
} | tee "$part" | sha256sum | cut -d' ' -f1)
[ "$(cat "$code")" = 0 ] || { tail -n 5 "$said" >&2; fail "pg_basebackup failed"; }
stopped=$(ask "$now") || exit 1
server=$(ask "select json_build_object('version', current_setting('server_version_num')::int,
  'system', (select system_identifier::text from pg_control_system()))") || exit 1
sync "$part" 2>/dev/null || sync
[ "$(sha256sum <"$part" | cut -d' ' -f1)" = "$sha" ] || fail "the base backup on disk is not what was sent"
docker rm -f -v "rollback-$run-check" >/dev/null 2>&1
told=$(docker run --rm -i --name "rollback-$run-check" --network none --user 0:0 -v /check --entrypoint sh "$image" \\
  -c "$check" <"$part") || fail "the base backup does not hold what the server sent"
field() { printf '%s\\n' "$told" | awk -v word="$1" -v number="$2" '$1 == word {found = $number} END {print found}'; }
cat >"$manifest.partial" <<END || fail "the manifest cannot be written"
{
"version": 1,
"name": "$name",
"run_id": "$run",
"started_at": "$started",
"stopped_at": "$stopped",
"sha256": "$sha",
"bytes": $(wc -c <"$part" | tr -d ' '),
"unpacked_bytes": $(($(field unpacked 2) * 1024)),
"level": "verified",
"timeline": $(field range 2),
"start_lsn": "$(field range 3)",
"stop_lsn": "$(field range 4)",
"start_wal": "$(field segment 2)",
"segment_bytes": $segment,
"image": "$image",
"server": $server
}
END
sync "$manifest.partial" 2>/dev/null || sync
mv "$part" "$folder/$name.tar.gz" && mv "$manifest.partial" "$manifest" || exit 1
sync "$folder" 2>/dev/null || sync
"""
)


def take(project: Project, *, segment_bytes: int, name: str, run_id: str, timeout: float) -> Command:
    """Return the command that makes the base backup ``name`` and checks it.

    :param segment_bytes: of a segment of the log.
    :param timeout: seconds; grows with the cluster.
    """
    at = project.database_site
    return script(
        _TAKE,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        project.backup_folder,
        name,
        run_id,
        _CHECK,
        str(segment_bytes),
        effect=Effect.WRITE,
        timeout=timeout,
        place=at.place,
    )


_END = """\
folder=$1/base name=$2 run=$3
docker rm -f -v "rollback-$run-check" >/dev/null 2>&1
rm -f "$folder/$name".*.partial
[ -e "$folder/$name.base.json" ] || rm -f "$folder/$name.tar.gz"
"""


def end_leftovers(project: Project, *, name: str, run_id: str) -> Command:
    """Return the command that removes what a cut base backup left; a finished one stays. The server ends its part by
    itself when nobody reads any more."""
    at = project.database_site
    return script(_END, project.backup_folder, name, run_id, effect=Effect.WRITE, timeout=120, place=at.place)


_HAS = """\
want=$(sed -n 's/^"sha256": "\\([0-9a-f]*\\)",$/\\1/p' "$1.base.json")
[ -n "$want" ] && [ "$(sha256sum <"$1.tar.gz" | cut -d' ' -f1)" = "$want" ] || {
  echo "$1.tar.gz is not what its manifest says" >&2
  exit 1
}
"""


def has(project: Project, name: str) -> Command:
    """Return the check that a base backup's bytes are those of its manifest."""
    at = project.database_site
    return script(_HAS, f"{project.backup_folder}/base/{name}", effect=Effect.READ, timeout=3600, place=at.place)


_PRUNE = """\
folder=$1/base newest=$2
shift 2
[ -s "$folder/$newest.base.json" ] && [ -s "$folder/$newest.tar.gz" ] || {
  echo "the newest base backup, $newest, is not there any more: nothing is removed" >&2
  exit 1
}
for name in "$@"; do
  [ "$name" != "$newest" ] || exit 1
  rm -f -- "$folder/$name.base.json" && rm -f -- "$folder/$name.tar.gz" || exit 1
done
sync "$folder" 2>/dev/null || sync
"""


def prune(project: Project, *, names: tuple[str, ...], newest: str) -> Command:
    """Return the command that removes base backups; one that is gone already is no failure.

    :param newest: the newest whole one, without which nothing is removed.
    """
    at = project.database_site.place
    return script(_PRUNE, project.backup_folder, newest, *names, effect=Effect.DESTROY, timeout=600, place=at)


# Names of segments are compared without their timeline, as PostgreSQL's own tool does, which removes them.
_PRUNE_WAL = (
    FIND_DB
    + """\
archive=$3 folder=$4/base oldest=$5
begins() { sed -n 's/^"start_wal": "\\([0-9A-F]*\\)",$/\\1/p' "$1" | cut -c 9-24; }
wants=$(printf '%s' "$oldest" | cut -c 9-24) found=
for manifest in "$folder"/*.base.json; do
  [ -e "$manifest" ] || continue
  its=$(begins "$manifest")
  [ "$its" != "$wants" ] || found=yes
  [ "$(printf '%s\\n%s\\n' "$its" "$wants" | LC_ALL=C sort | head -n 1)" = "$wants" ] || {
    echo "$manifest needs older segments than $oldest: nothing is removed" >&2
    exit 1
  }
done
[ -n "$found" ] || { echo "no base backup begins at $oldest: nothing is removed" >&2; exit 1; }
docker exec "$db" sh -c '
  [ -f "$1/$2" ] || { echo "segment $2 is not in $1: nothing is removed" >&2; exit 1; }
  exec pg_archivecleanup "$1" "$2"' prune "$archive" "$oldest"
"""
)


def prune_wal(project: Project, *, oldest: str) -> Command:
    """Return the command that removes the segments of the archive that are older than ``oldest``, with which the oldest
    base backup begins; all from it on stay."""
    at = project.database_site
    return script(
        _PRUNE_WAL,
        at.project,
        at.service,
        project.wal_archive,
        project.backup_folder,
        oldest,
        effect=Effect.DESTROY,
        timeout=900,
        place=at.place,
    )


def manifests(project: Project) -> Command:
    """Return the command that prints every manifest of base backups, one after the other."""
    return script(
        'for file in "$1"/base/*.base.json; do [ ! -e "${file%.base.json}.tar.gz" ] || { cat "$file"; '
        'printf "\\0"; }; done',
        project.backup_folder,
        effect=Effect.READ,
        place=project.database_site.place,
    )


# The name is a file's on the host, and nothing else.
_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*\Z")


def read_manifests(text: str, folder: str) -> tuple[BaseBackup, ...]:
    """Given the answer of ``manifests``, return the base backups, newest first. A torn manifest is none."""
    return tuple(sorted(_read(text.split("\0"), folder), key=lambda base: (base.stopped_at, base.name), reverse=True))


def _read(texts: Iterable[str], folder: str) -> Iterable[BaseBackup]:
    for text in texts:
        try:
            said = json.loads(text)
            if not _NAME.match(said["name"]) or said["level"] != "verified":
                continue
            yield BaseBackup(
                name=said["name"],
                path=f"{folder}/base/{said['name']}.tar.gz",
                sha256=said["sha256"],
                size_bytes=int(said["bytes"]),
                unpacked_bytes=int(said["unpacked_bytes"]),
                started_at=_moment(said["started_at"]),
                stopped_at=_moment(said["stopped_at"]),
                timeline=int(said["timeline"]),
                start_lsn=said["start_lsn"],
                stop_lsn=said["stop_lsn"],
                start_wal=said["start_wal"],
                system=str(said["server"]["system"]),
                server_version=int(said["server"]["version"]),
                segment_bytes=int(said["segment_bytes"]),
                run_id=said["run_id"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without offset")
    return found
