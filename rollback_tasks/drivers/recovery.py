"""A server that recovers beside the live one: same image, no network, the archive read-only, paused at the target.

Its container carries compose's labels for a project of its own, so that whatever asks the live database by its labels
asks this one as well.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from rollback_tasks.drivers.postgres import FIND_DB
from rollback_tasks.model.project import Project, Site
from rollback_tasks.model.recovery import Cluster, Target
from rollback_tasks.shell import Command, Effect, script

SERVICE = "recovery"


def container(run_id: str) -> str:
    """Return the name of a run's recovery container, and of its volume."""
    return f"rollback-{run_id}-recovery"


def recovered(project: Project, run_id: str) -> Project:
    """Return the project as the recovered server has it: the same database, asked of another container."""
    at = project.database_site
    site = Site(place=at.place, project=f"rollback-{run_id}", service=SERVICE, folder=at.folder)
    return replace(project, site=site)


_UNPACK = """\
set -e
umask 077
mkdir /recovery/data /recovery/socket
tar -xzf - -C /recovery/data
: >/recovery/data/recovery.signal
printf 'local all all trust\\n' >/recovery/access
chown -R "$1" /recovery
chmod 700 /recovery/data /recovery/socket
"""

# A plain `cp` that cannot read answers 1, which means "the log ends here" to PostgreSQL: 255 stops it instead.
_RESTORE = 'test -f "$1/%f" || exit 1; cp "$1/%f" "%p" || exit 255'

_BEGIN = (
    FIND_DB
    + """\
base=$3 name=$4 run=$5 data=$6 unpack=$7 mount=$8 at=$9
shift 9
image=$(docker inspect --type container --format '{{.Image}}' "$db") || exit 1
owner=$(docker exec "$db" stat -c %u:%g "$data") || exit 1
docker rm -f -v "$name" "$name-unpack" >/dev/null 2>&1
docker volume rm "$name" >/dev/null 2>&1
docker volume create --label "rollback.run=$run" "$name" >/dev/null || exit 1
docker run --rm -i --name "$name-unpack" --network none --user 0:0 --volume "$name:/recovery" \\
  --entrypoint sh "$image" -c "$unpack" unpack "$owner" <"$base" ||
  { echo "the base backup cannot be unpacked" >&2; exit 1; }
docker run --detach --name "$name" --network none --user "$owner" --label "rollback.run=$run" \\
  --label "com.docker.compose.project=rollback-$run" --label com.docker.compose.service=recovery \\
  --label com.docker.compose.oneoff=False --env PGHOST=/recovery/socket --volume "$name:/recovery" \\
  --volume "$mount:$at:ro" --entrypoint postgres "$image" "$@" >/dev/null
"""
)


def begin(project: Project, cluster: Cluster, target: Target, *, base: str, run_id: str, timeout: float) -> Command:
    """Return the command that unpacks a base backup and starts a server on it that recovers to the target.

    :param base: name of the base backup.
    """
    at = project.database_site
    return script(
        _BEGIN,
        at.project,
        at.service,
        f"{project.backup_folder}/base/{base}.tar.gz",
        container(run_id),
        run_id,
        cluster.data_folder,
        _UNPACK,
        cluster.mount,
        cluster.mounted_at,
        *words(project, cluster, target),
        effect=Effect.WRITE,
        timeout=timeout,
        place=at.place,
    )


def words(project: Project, cluster: Cluster, target: Target) -> tuple[str, ...]:
    """Return the arguments of the server that recovers. What an earlier configuration may have set is overruled."""
    folder = project.wal_archive.replace("'", "'\\''").replace("%", "%%")
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": "/recovery/socket",
        "hba_file": "/recovery/access",
        "external_pid_file": "",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "lc_messages": "C",
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "archive_mode": "off",
        "hot_standby": "on",
        "primary_conninfo": "",
        "recovery_target": "",
        "recovery_target_xid": "",
        "recovery_target_lsn": "",
        "recovery_target_inclusive": "on",
        "recovery_target_action": "pause",
        "recovery_target_timeline": "current",
        "restore_command": f"set -- '{folder}'; {_RESTORE}",
        **cluster.settings,
    }
    if target.moment is not None:
        settings["recovery_target_time"] = target.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    else:
        settings["recovery_target_name"] = target.point
    return ("-D", "/recovery/data", *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))


# Paused may also mean that a setting is too small; the server's own words say that it stopped where it was told to.
_AWAIT = """\
name=$1 user=$2 question=$3 limit=$4 log=$5 moment=$6
umask 077
mkdir -p "${log%/*}"
begin=$(date +%s)
ask() { docker exec "$name" psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d postgres -c "$1" 2>/dev/null; }
fail() {
  docker logs "$name" >"$log" 2>&1
  grep -E ' (FATAL|PANIC|ERROR): ' "$log" | tail -n 3 | sed 's/^.* \\(FATAL\\|PANIC\\|ERROR\\): */server: /' >&2
  echo "$1 (its log is $log)" >&2
  exit 1
}
until state=$(ask "$question") && [ "$state" = paused ]; do
  [ "$state" != opened ] || fail "the server opened instead of stopping at the target"
  [ "$(docker inspect --type container --format '{{.State.Running}}' "$name" 2>/dev/null)" = true ] ||
    fail "the recovery did not reach the target"
  [ "$(($(date +%s) - begin))" -lt "$limit" ] || fail "the recovery did not reach the target within $limit s"
  sleep 0.1
done
docker logs "$name" >"$log" 2>&1
grep -qE 'recovery stopping (before|after|at) ' "$log" || fail "the recovery paused before it came to the target"
[ -z "$moment" ] ||
  [ "$(ask "select coalesce(pg_last_xact_replay_timestamp() <= '$moment'::timestamptz, true)")" = t ] ||
  fail "the recovery went past the target"
"""


def await_target(project: Project, cluster: Cluster, target: Target, *, run_id: str, limit: int) -> Command:
    """Return the command that waits until the recovery has stopped at its target, and proves that it has.

    :param limit: seconds; grows with the log that has to be replayed.
    """
    at = project.database_site
    state = (
        "pg_get_wal_replay_pause_state()"
        if cluster.version >= 140000
        else ("case when pg_is_wal_replay_paused() then 'paused' else 'not' end")
    )
    moment = "" if target.moment is None else target.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    return script(
        _AWAIT,
        container(run_id),
        project.database_user,
        f"select case when not pg_is_in_recovery() then 'opened' else {state} end",
        str(limit),
        f"{at.run_folder(run_id)}/recovery.log",
        moment,
        effect=Effect.WRITE,
        timeout=limit + 60,
        place=at.place,
    )


_DROP = """\
name=$1
docker rm -f -v "$name" "$name-unpack" >/dev/null 2>&1
tries=0
while docker volume inspect "$name" >/dev/null 2>&1; do
  docker volume rm "$name" >/dev/null 2>&1 && break
  tries=$((tries + 1))
  [ "$tries" -lt 50 ] || { echo "volume $name cannot be removed" >&2; exit 1; }
  docker rm -f -v "$name" "$name-unpack" >/dev/null 2>&1
  sleep 0.2
done
[ -z "$(docker ps -aq --filter "name=^/$name")" ] || { echo "container $name cannot be removed" >&2; exit 1; }
"""


def drop(project: Project, run_id: str) -> Command:
    """Return the command that removes the run's recovery container and its data; nothing else can have that name."""
    at = project.database_site
    return script(_DROP, container(run_id), effect=Effect.WRITE, timeout=120, place=at.place)


_FORGET = """\
rm -f "$1".*.partial
[ -e "$1.manifest.json" ] || rm -f "$1.dump" "$1.globals.sql"
"""


def forget_partial(project: Project, name: str) -> Command:
    """Return the command that removes what a cut dump of the recovered server left; a finished one stays."""
    at = project.database_site
    return script(_FORGET, f"{project.backup_folder}/{name}", effect=Effect.WRITE, timeout=60, place=at.place)
