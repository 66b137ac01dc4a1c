"""Manifests: what a backup folder says of its backups."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from rollback_tasks.drivers.databases import put_aside_by
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, BackupLevel
from rollback_tasks.shell import Command, Effect, script

_MANIFESTS = """\
for file in "$1"/*.manifest.json; do
  [ -e "$file" ] || continue
  dump=${file%.manifest.json}.dump
  size=-1
  [ ! -f "$dump" ] || size=$(wc -c <"$dump" | tr -d ' ')
  printf '%s %s\\n' "${size:--1}" "${file##*/}"
  cat "$file"
  printf '\\0'
done
"""

# Functions for scripts: what psql reads at the beginning of its script so that a variable has the one line on standard
# input as its value, and the same for the counts of the manifest $1. They may be longer than a word of a command.
AS_VARIABLE = """\
as_variable() { sed -e 's/[\\]/&&/g' -e "s/'/&&/g" -e "s/^/\\\\\\\\set $1 '/" -e "s/\\$/'/"; }
counts_of() { sed -n 's/^"counts": //p' "$1.manifest.json" | as_variable counts; }
"""


def manifests(project: Project) -> Command:
    """Return the command that prints every manifest of the backup folder, one after the other, each with its name and
    the size of its dump as they are on the disk."""
    at = project.database_site.place
    return script(_MANIFESTS, project.backup_folder, effect=Effect.READ, place=at)


def read_manifests(text: str, folder: str, *, database: str | None = None) -> tuple[Backup, ...]:
    """Given the answer of ``manifests``, return the backups, newest first. A torn manifest is no backup; one whose dump
    is gone, has another size, or is of another database than ``database`` (None = any) is not proven at all."""
    found = _backups(text.split("\0"), folder, database)
    return tuple(sorted(found, key=lambda backup: (backup.taken_at, backup.name), reverse=True))


def read_manifest(text: str, folder: str, *, size: int, database: str | None = None) -> Backup | None:
    """Given one manifest, return its backup; None where it is torn.

    :param size: bytes of the dump on the disk; -1 = it is not there.
    """
    try:
        said = json.loads(text)
        server = said["server"]
        if not (_NAME.match(said["name"]) and _DIGEST.match(said["sha256"])):
            return None
        damage = _damage(size, int(said["bytes"]), server["database"], database)
        return Backup(
            name=said["name"],
            path=f"{folder}/{said['name']}.dump",
            sha256=said["sha256"],
            size_bytes=int(said["bytes"]),
            level=BackupLevel.WRITTEN if damage else BackupLevel(said["level"]),
            taken_at=said["taken_at"],
            database=server["database"],
            schema=tuple(said["schema"]),
            counts={str(key): int(value) for key, value in said["counts"].items()},
            run_id=said["run_id"],
            commit=said["commit"],
            server_version=int(server["version"]),
            verified_at=str(said.get("verified_at") or ""),
            damage=damage,
            host=str(said.get("host") or ""),
            project=str(said.get("project") or ""),
            system=str(server.get("system") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


# The name becomes a path on the laptop as well: a host must not choose a folder there.
_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def _damage(size: int, bytes_: int, of: str, database: str | None) -> str:
    if size < 0:
        return "the dump is missing"
    if size != bytes_:
        return f"the dump has {size} bytes, not {bytes_}"
    if database is None or database == of or put_aside_by(database, of):
        return ""
    return f"it is of database {of}"


def origin(backup: Backup, project: Project, *, host: str, system: str) -> str:
    """Say what a backup is of, where that is not the live database of this deployment; empty where it is.

    Hosts that share a database have backups of each other, and a cluster that was made anew has those of the one
    before: either the cluster has to be the same, or host and project.

    :param system: identity of the live cluster; empty where it is not known.
    """
    if run := put_aside_by(project.database, backup.database):
        return f"database {backup.database}, which run {run} put aside"
    if system and backup.system == system:
        return ""
    if backup.host in ("", host) and backup.project in ("", project.name):
        return ""
    return f"project {backup.project or 'unknown'} on host {backup.host or 'unknown'}"


def _backups(texts: Iterable[str], folder: str, database: str | None) -> Iterable[Backup]:
    for text in texts:
        first, _, manifest = text.partition("\n")
        size, _, file = first.partition(" ")
        if size.removeprefix("-").isdigit():
            backup = read_manifest(manifest, folder, size=int(size), database=database)
            if backup is not None and file == f"{backup.name}.manifest.json":
                yield backup
