"""A new cluster in a volume of its own, beside the live one: same image, same settings, no network.

Its container carries compose's labels for a project of its own, so that whatever asks the live database by its labels
asks this one as well. In the volume lies a file that names the run: what has it is the run's own.
"""

from __future__ import annotations

from dataclasses import replace

from rollback_tasks.drivers.postgres import FIND_DB, INSIDE
from rollback_tasks.model.project import Project, Site
from rollback_tasks.model.volumes import DataVolume
from rollback_tasks.shell import Command, Effect, script

SERVICE = "volume"


def container(run_id: str) -> str:
    """Return the name of the container that a run fills a new volume with."""
    return f"rollback-{run_id}-volume"


def keeper(run_id: str) -> str:
    """Return the name of the container that keeps what a run put aside from a prune."""
    return f"rollback-{run_id}-keeps-volume"


def marker(run_id: str) -> str:
    """Return the name of the file in a volume that says which run made what is in it."""
    return f".rollback-volume-{run_id}"


def new(project: Project, run_id: str) -> Project:
    """Return the project as the new server has it: the same database, asked of another container."""
    at = project.database_site
    site = Site(place=at.place, project=f"rollback-{run_id}", service=SERVICE, folder=at.folder)
    return replace(project, site=site)


# What initdb has to be told so that the new cluster is like the live one, a word a line.
_LIKE = """\
select w from (
  select 1, '--username=' || rolname from pg_roles where oid = 10
  union all select 2, '--encoding=' || pg_encoding_to_char(encoding) from pg_database where datname = 'template1'
  union all select 3, '--lc-collate=' || datcollate from pg_database where datname = 'template1'
  union all select 4, '--lc-ctype=' || datctype from pg_database where datname = 'template1'
  union all select 5, case j ->> 'datlocprovider' when 'i' then '--locale-provider=icu'
      when 'b' then '--locale-provider=builtin' end from pg_database d, to_jsonb(d) j where datname = 'template1'
  union all select 6, case j ->> 'datlocprovider'
      when 'i' then '--icu-locale=' || coalesce(j ->> 'datlocale', j ->> 'daticulocale')
      when 'b' then '--builtin-locale=' || (j ->> 'datlocale') end
    from pg_database d, to_jsonb(d) j where datname = 'template1'
  union all select 7, case when current_setting('data_checksums') = 'on' then '--data-checksums'
      when current_setting('server_version_num')::int >= 180000 then '--no-data-checksums' end
  union all select 8, '--wal-segsize=' || setting::bigint * case unit when '8kB' then 8192 else 1 end / 1048576
    from pg_settings where name = 'wal_segment_size'
) as q (n, w) where w is not null order by n;
"""

# Everything in the data folder that is no part of the cluster itself: its configuration, keys, what people laid there.
_OWN_FILES = """\
cd "$1" || exit 1
ls -A | grep -vxE "base|global|pg_(commit_ts|dynshmem|logical|multixact|notify|replslot|serial|snapshots|stat|stat_tmp\
|subtrans|tblspc|twophase|wal|xact|xlog|clog|log)|log|PG_VERSION|postmaster\\.(pid|opts)|current_logfiles\
|backup_(label|manifest).*|tablespace_map.*|(recovery|standby)\\.signal|lost\\+found|\\.rollback-volume-.*" |
  grep -v '^-' | tar -cf - -T -
"""

_PREPARE = """\
set -e
umask 077
: >"$1/$2"
mkdir -p "$3"
chown "$4" "$3"
chmod 700 "$3"
place=$3
while [ "$place" != "$1" ] && [ "$place" != / ]; do chown "$4" "$place"; place=$(dirname "$place"); done
"""

# The file that names the run is there from the beginning, and initdb takes no folder that holds one. The files come as
# a tar of the live data folder; what initdb wrote under the same names goes. $2: words, one a line.
_INIT = """\
set -e
umask 077
data=$1 words=$2
set -- -D "$data/.rollback-init" --auth=trust
while IFS= read -r word; do set -- "$@" "$word"; done <<END
$words
END
initdb "$@" >/dev/null
mv "$data/.rollback-init"/* "$data/"
rmdir "$data/.rollback-init"
tar -xf - -C "$data"
"""

_SERVE = """\
umask 077
printf 'local all all trust\\n' >/tmp/rollback-access
exec postgres "$@"
"""

_AWAIT_NEW = """\
tries=0
until docker exec "$name" pg_isready -q -h /tmp -d postgres; do
  [ "$(docker inspect --type container --format '{{.State.Running}}' "$name" 2>/dev/null)" = true ] || {
    echo "the new server does not run: $(docker logs --tail 3 "$name" 2>&1 | tail -n 1)" >&2
    exit 1
  }
  [ "$tries" -lt 600 ] || { echo "the new server does not answer" >&2; exit 1; }
  tries=$((tries + 1))
  sleep 0.2
done
"""

_MAKE = (
    FIND_DB
    + """\
user=$3 side=$4 name=$5 run=$6 volume=$7 mounted=$8 data=$9
marker=${10} like=${11} own=${12} prepare=${13} init=${14} serve=${15}
shift 15
"""
    + INSIDE
    + """\
image=$(docker inspect --type container --format '{{.Image}}' "$db") || exit 1
owner=$(docker exec "$db" stat -c %u:%g "$data") || exit 1
words=$(printf '%s' "$like" | inside psql -XqAt -v ON_ERROR_STOP=1 -U "$user" -d "$side" -f -) || exit 1
docker volume create --label "rollback.run=$run" "$volume" >/dev/null || exit 1
docker run --rm --name "$name-prepare" --network none --user 0:0 --volume "$volume:$mounted:nocopy" \\
  --entrypoint sh "$image" -c "$prepare" prepare "$mounted" "$marker" "$data" "$owner" || exit 1
docker exec "$db" sh -c "$own" own "$data" |
  docker run --rm -i --name "$name-init" --network none --user "$owner" --volume "$volume:$mounted:nocopy" \\
    --entrypoint sh "$image" -c "$init" init "$data" "$words" || { echo "the new cluster cannot be made" >&2; exit 1; }
docker run --detach --name "$name" --network none --user "$owner" --label "rollback.run=$run" \\
  --label "com.docker.compose.project=rollback-$run" --label com.docker.compose.service=volume \\
  --label com.docker.compose.oneoff=False --env PGHOST=/tmp --volume "$volume:$mounted:nocopy" \\
  --entrypoint sh "$image" -c "$serve" serve "$@" >/dev/null || exit 1
"""
    + _AWAIT_NEW
)


def make(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that makes a volume with an empty cluster that is like the live one, and serves it."""
    at = project.database_site
    return script(
        _MAKE,
        at.project,
        at.service,
        project.database_user,
        project.side_database,
        container(run_id),
        run_id,
        volume.aside(run_id),
        volume.mounted_at,
        volume.data_folder,
        marker(run_id),
        _LIKE,
        _OWN_FILES,
        _PREPARE,
        _INIT,
        _SERVE,
        *words(volume),
        effect=Effect.WRITE,
        timeout=600,
        place=at.place,
    )


def words(volume: DataVolume) -> tuple[str, ...]:
    """Return the arguments of the new server. What the live configuration says of the world outside is overruled; no
    statement is logged, because one of them may hold a password."""
    settings = {
        "data_directory": volume.data_folder,
        "listen_addresses": "",
        "unix_socket_directories": "/tmp",
        "hba_file": "/tmp/rollback-access",
        "external_pid_file": "",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "lc_messages": "C",
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "archive_mode": "off",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
    }
    return ("-D", volume.data_folder, *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")))


# What holds data that others wrote is never removed, whatever went before.
_DROP = """name=$1 volume=$2 image=$3 marker=$4 served=$5 keeper=$6
docker version >/dev/null || exit 1
for one in "$name" "$name-prepare" "$name-init" "$name-finish"; do docker rm -f "$one" >/dev/null 2>&1; done
docker volume inspect "$volume" >/dev/null 2>&1 || exit 0
[ ! -e "$served" ] || { echo "volume $volume is kept: the application wrote to it"; exit 0; }
docker run --rm --network none --user 0:0 --volume "$volume:/kept" --entrypoint sh "$image" \\
  -c '[ -e "/kept/$1" ] || [ -z "$(ls -A /kept)" ]' own "$marker" ||
  { echo "volume $volume holds what this run did not make: it is kept" >&2; exit 1; }
docker rm -f "$keeper" >/dev/null 2>&1
tries=0
until docker volume rm "$volume" >/dev/null 2>&1; do
  docker volume inspect "$volume" >/dev/null 2>&1 || exit 0
  [ "$tries" -lt 50 ] || { echo "volume $volume cannot be removed" >&2; exit 1; }
  tries=$((tries + 1))
  sleep 0.2
done
"""


def drop(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that removes the new server and its volume, unless the application wrote to it."""
    at = project.database_site
    return script(
        _DROP,
        container(run_id),
        volume.aside(run_id),
        volume.image,
        marker(run_id),
        f"{at.run_folder(run_id)}/served",
        keeper(run_id),
        effect=Effect.DESTROY,
        timeout=180,
        place=at.place,
    )
