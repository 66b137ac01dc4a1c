"""Prove a backup again: what its manifest says may have been true once."""

from __future__ import annotations

from dataclasses import dataclass

from rollback_tasks.drivers import scratch
from rollback_tasks.drivers.postgres import FIND_DB
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import BackupLevel
from rollback_tasks.shell import Command, Effect, script

# Whatever is found is an answer, a line in $out; it fails only where nothing can be said. What a backup is proven as
# goes down in its manifest at once, and up again where a restore succeeds. A server that does not answer, or has no
# room, says nothing of a dump.
_VERIFY = (
    FIND_DB
    + """\
user=$3 live=$4 place=$5 name=$6 out=$7 quick=$8
shift 8
umask 077
answer() {
  printf '%s\\t%s\\t%s\\n' "$name" "$1" "$(printf '%s' "$2" | tr '\\t\\n' '  ' | tail -c 600)" >>"$out" || exit 1
}
level() {
  sed 's/^"level": "[a-z]*"/"level": "'"$1"'"/' "$place.manifest.json" >"$place.manifest.json.partial" || exit 1
  sync "$place.manifest.json.partial" 2>/dev/null || sync
  mv "$place.manifest.json.partial" "$place.manifest.json" || exit 1
}
only() { level "$1"; answer "$1" "$2"; exit 0; }
[ -e "$place.manifest.json" ] || { answer written "it is gone"; exit 0; }
want=$(sed -n 's/^"sha256": "\\([0-9a-f]*\\)",$/\\1/p' "$place.manifest.json")
[ -f "$place.dump" ] || { answer written "the dump is missing"; exit 0; }
have=$(sha256sum <"$place.dump" | cut -d' ' -f1)
[ "$have" = "$want" ] || only written "its bytes are not those that were written: sha256 $have, the manifest says $want"
said=$(docker exec -i "$db" pg_restore -f /dev/null <"$place.dump" 2>&1) || {
  docker exec "$db" pg_restore --version >/dev/null || exit 1
  only hashed "it cannot be read: $said"
}
of=$(docker exec -i "$db" pg_restore -l <"$place.dump" | sed -n 's/^; *dbname: //p' | head -n 1)
[ "$of" = "$(printf '%s' "$live" | tr '\\n\\r' '  ')" ] || only readable "it is a dump of database $of"
if [ "$quick" = yes ]; then
  grep -q '^"level": "restored"' "$place.manifest.json" || level readable
  answer readable ""
  exit 0
fi
said=$("$@" 2>&1) || {
  docker exec "$db" pg_isready -q -U "$user" -d template1 || { echo "the database does not answer" >&2; exit 1; }
  free=$(docker exec "$db" sh -c 'df -Pk -- "${PGDATA:-/var/lib/postgresql/data}" 2>/dev/null || df -Pk /' |
    awk 'NR==2 {print $4}')
  [ "${free:-0}" -gt 1024 ] || { echo "no room for the restore where the database lies" >&2; exit 1; }
  # Its bytes are good. That the counts differ is the backup's fault; anything else may be this server's, now.
  case $said in *"restored rows differ"*) only readable "it cannot be restored: $said" ;; esac
  grep -q '^"level": "restored"' "$place.manifest.json" || level readable
  answer readable "it cannot be restored: $said"
  exit 0
}
answer restored ""
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a check found. ``problem`` is empty where the backup is as good as was asked for."""

    name: str
    level: BackupLevel
    problem: str = ""


def verify(project: Project, *, backup: str, run_id: str, is_quick: bool, timeout: float) -> Command:
    """Return the command that hashes, reads and restores a backup and writes down what it found.

    :param is_quick: leave the restore out.
    """
    prove = scratch.prove(project, backup=backup, run_id=run_id, timeout=timeout)
    return script(
        _VERIFY,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        f"{project.backup_folder}/{backup}",
        backup,
        _answers(project, run_id),
        "yes" if is_quick else "",
        *prove.argv,
        effect=Effect.WRITE,
        timeout=timeout,
        place=prove.place,
    )


def answers(project: Project, run_id: str) -> Command:
    """Return the command that prints what a run's checks found."""
    at = project.database_site.place
    return script('[ ! -e "$1" ] || cat "$1"', _answers(project, run_id), effect=Effect.READ, place=at)


def read_answers(text: str) -> tuple[Verified, ...]:
    """Given the answer of ``answers``, return what was found of each backup: the last word, where one was checked
    twice. A torn line says nothing."""
    found: dict[str, Verified] = {}
    levels = {level.value: level for level in BackupLevel}
    for line in text.split("\n")[:-1]:
        parts = line.split("\t")
        if len(parts) == 3 and parts[1] in levels:
            found[parts[0]] = Verified(name=parts[0], level=levels[parts[1]], problem=parts[2].strip())
    return tuple(found.values())


def _answers(project: Project, run_id: str) -> str:
    return f"{project.database_site.run_folder(run_id)}/verified"
