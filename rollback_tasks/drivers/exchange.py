"""Two volumes give each other their data, by rename, while no server runs on either.

Docker cannot rename a volume: the folders in which it keeps the two are exchanged. The file of the run
(``fresh.marker``) goes with the data, so whoever comes later sees which is which, also where the exchange was cut.
"""

from __future__ import annotations

from rollback_tasks.drivers.fresh import keeper, marker
from rollback_tasks.drivers.postgres import AWAIT_DB, FIND_DB, INSIDE
from rollback_tasks.model.project import Project
from rollback_tasks.model.volumes import DataVolume
from rollback_tasks.shell import Command, Effect, script

_FIND_ANY = """\
docker version >/dev/null || exit 1
db=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1" \\
  --filter "label=com.docker.compose.service=$2" --filter label=com.docker.compose.oneoff=False) || exit 1
case $db in
  '') echo "the database has no container" >&2; exit 9 ;;
  *' '* | *'
'*) echo "the database has more than one container" >&2; exit 9 ;;
esac
"""

# What `mv` cannot rename it copies: a volume whose folder is another disk is never touched.
_ONE_DISK = """\
disk() { stat -c %d "$1"; }
one_disk() {
  first=$(disk "$1") || return 1
  for each; do [ "$(disk "$each")" = "$first" ] || { echo "$each lies on another disk than $1" >&2; return 1; }; done
}
"""

# A rename within one file system, in three parts. $1 live volume, $2 the other one, $3 what names the run's data,
# $4 what has to be live: new or old; $5 the folder of all volumes
RENAME = (
    _ONE_DISK
    + """\
live=$5/$1/_data other=$5/$2/_data between=$5/$1/_data.rollback marker=$3 wanted=$4
if [ -d "$between" ]; then
  if [ ! -e "$live" ]; then mv "$between" "$live" || exit 1
  elif [ ! -e "$other" ]; then mv "$between" "$other" || exit 1
  else echo "$between is there, and so are both volumes" >&2; exit 1
  fi
fi
[ -d "$live" ] || { echo "volume $1 is gone" >&2; exit 1; }
if [ -e "$live/$marker" ]; then have=new
elif [ -e "$other/$marker" ]; then have=old
elif [ "$wanted" = old ]; then exit 0
else echo "neither of the volumes holds what the run made" >&2; exit 1
fi
[ "$have" != "$wanted" ] || exit 0
[ -d "$other" ] || { echo "volume $2 is gone: there is nothing to exchange for" >&2; exit 1; }
one_disk "$5/$1" "$live" "$5/$2" "$other" || exit 1
mv "$live" "$between" && mv "$other" "$live" && mv "$between" "$other" || exit 1
sync
"""
)

# The words of RENAME; fails with 3 where it would rename nothing.
NEEDED = """\
live=$5/$1/_data other=$5/$2/_data
[ ! -d "$5/$1/_data.rollback" ] || exit 0
if [ -e "$live/$3" ]; then have=new
elif [ -e "$other/$3" ]; then have=old
else exit 3
fi
[ "$have" != "$4" ] || exit 3
"""

# Whether it will work, tried with an empty folder. $1 live volume, $2 the other one, $3 the folder of all volumes
_TRY = (
    _ONE_DISK
    + """\
one_disk "$3/$1" "$3/$1/_data" "$3/$2" "$3/$2/_data" || exit 1
rmdir "$3/$1/rollback-try" "$3/$2/rollback-try" 2>/dev/null
mkdir "$3/$1/rollback-try" && mv "$3/$1/rollback-try" "$3/$2/rollback-try" && rmdir "$3/$2/rollback-try" || exit 1
"""
)

_ROOT = """\
place=$(docker volume inspect --format '{{.Mountpoint}}' "$live") || exit 1
root=${place%/*/_data}
[ "$root/$live/_data" = "$place" ] || { echo "volume $live lies in $place, which is not as expected" >&2; exit 1; }
inside() {
  body=$1
  shift
  docker run --rm --network none --user 0:0 --security-opt label=disable --volume "$root:/volumes" --entrypoint sh \\
    "$image" -c "$body" "$@"
}
"""

# $3 live volume, $4 the other one, $5 image, $6 what names the run's data, $7 new or old, $8 the renames,
# $9 stop whoever still runs on them
_EXCHANGE = (
    _FIND_ANY
    + """\
live=$3 other=$4 image=$5 marker=$6 wanted=$7 rename=$8 stops=$9 needed=${10}
"""
    + _ROOT
    + """\
# Where there is nothing to exchange for, nobody is stopped for it.
if docker volume inspect "$other" >/dev/null 2>&1; then
  running=$(docker ps -q --filter "volume=$live"; docker ps -q --filter "volume=$other")
  if [ -n "$running" ]; then
    [ "$stops" = yes ] || { echo "a container still runs on volume $live" >&2; exit 1; }
    inside "$needed" needed "$live" "$other" "$marker" "$wanted" /volumes
    case $? in 0) ;; 3) exit 0 ;; *) exit 1 ;; esac
    docker stop -t 600 $running >/dev/null || exit 1
  fi
fi
inside "$rename" rename "$live" "$other" "$marker" "$wanted" /volumes
"""
)

_REHEARSE = (
    """\
live=$1 other=$2 image=$3 try=$4
"""
    + _ROOT
    + """\
inside "$try" try "$live" "$other" /volumes || {
  echo "the data of volumes $live and $other cannot be exchanged" >&2
  exit 1
}
"""
)

_KEEP = """\
docker inspect --type container "$1" >/dev/null 2>&1 ||
  docker create --name "$1" --label "rollback.run=$2" --network none --volume "$3:/kept" --entrypoint true "$4" \\
    >/dev/null
"""


def forward(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that makes what the run made the live data. Does nothing where it is."""
    return _exchange(project, volume, run_id, wanted="new", stops=False)


def rehearse(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that fails where the exchange could not work, while everything still runs."""
    words = (volume.name, volume.aside(run_id), volume.image, _TRY)
    return script(_REHEARSE, *words, effect=Effect.WRITE, timeout=120, place=project.database_site.place)


def back(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that stops the server and makes the old data the live one again. Does nothing where it is."""
    return _exchange(project, volume, run_id, wanted="old", stops=True)


def _exchange(project: Project, volume: DataVolume, run_id: str, *, wanted: str, stops: bool) -> Command:
    at = project.database_site
    return script(
        _EXCHANGE,
        at.project,
        at.service,
        volume.name,
        volume.aside(run_id),
        volume.image,
        marker(run_id),
        wanted,
        RENAME,
        "yes" if stops else "",
        NEEDED,
        effect=Effect.DESTROY,
        timeout=700,
        place=at.place,
    )


def keep(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the command that makes a container which never runs, and keeps the old volume from a prune."""
    words = (keeper(run_id), run_id, volume.aside(run_id), volume.image)
    return script(_KEEP, *words, effect=Effect.WRITE, place=project.database_site.place)


_STOP = (
    _FIND_ANY
    + """\
user=$3 side=$4 run=$5
"""
    + INSIDE
    + """\
if [ "$(docker inspect --type container --format '{{.State.Running}}' "$db")" = true ]; then
  inside psql -XqAt -U "$user" -d "$side" -c checkpoint || exit 1
  docker stop -t 600 "$db" >/dev/null || exit 1
fi
"""
)


def stop(project: Project, run_id: str) -> Command:
    """Return the command that stops the live server; it has ten minutes to write everything down."""
    at = project.database_site
    words = (at.project, at.service, project.database_user, project.side_database, run_id)
    return script(_STOP, *words, effect=Effect.WRITE, timeout=900, place=at.place)


_IS_STOPPED = (
    _FIND_ANY
    + """\
said=$(docker inspect --type container --format '{{.State.Status}} {{.State.ExitCode}}' "$db") || exit 1
[ "$said" = 'exited 0' ] || { echo "the database did not end well: $said" >&2; exit 1; }
"""
)


def is_stopped(project: Project) -> Command:
    """Return the check that the live server ended by itself, and well."""
    at = project.database_site
    return script(_IS_STOPPED, at.project, at.service, effect=Effect.READ, place=at.place)


_START = (
    _FIND_ANY
    + """\
docker start "$db" >/dev/null || exit 1
"""
    + AWAIT_DB
)


def start(project: Project) -> Command:
    """Return the command that starts the server on what is live now, and waits until it answers."""
    at = project.database_site
    words = (at.project, at.service, project.database_user)
    return script(_START, *words, effect=Effect.WRITE, timeout=300, place=at.place)


_IS_NEW = (
    FIND_DB
    + """\
docker exec "$db" test -e "$3/$4" || { echo "the server does not run on what the run made" >&2; exit 1; }
"""
)


def is_live(project: Project, volume: DataVolume, run_id: str) -> Command:
    """Return the check that the server runs on what the run made."""
    at = project.database_site
    words = (at.project, at.service, volume.mounted_at, marker(run_id))
    return script(_IS_NEW, *words, effect=Effect.READ, place=at.place)
