"""Containers exchanged without a gap: new ones beside the old ones, which go only when the new ones serve."""

from __future__ import annotations

from rollback_tasks.drivers.answering import ASK, Door, Wanted
from rollback_tasks.drivers.containers import FIND
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# $1 what to do: start, retire, remove, swap; $2 project, $3 folder, $4 folder for logs, $5 port, $6 the port where
# nothing else says one, $7 path, $8 seconds to wait for containers that this script starts itself, $9 number of
# services; for each: service, image id, number of containers; then the words of compose. Where compose makes a
# container, it makes it from what its image reference means now. Wherever this was cut, it goes on from there when it
# runs again.
_ROLL = (
    FIND
    + ASK
    + """\
act=$1 project=$2 folder=$3 logs=$4 asked=$5 fallback=$6 path=$7 patience=$8 services=$9
shift 9
todo=
while [ "$services" -gt 0 ]; do
  todo="$todo $1 $2 $3"
  shift 3
  services=$((services - 1))
done
cd -- "$folder" || exit 1
umask 077
set -f
sort_out() {
  fresh= stale=
  ids=$(find_containers "$project" "$1" -a) || exit 1
  [ -n "$ids" ] || return 0
  # One that vanished meanwhile is none; an engine that vanished is an error.
  said=$(docker inspect --type container --format '{{.Id}} {{.Image}}' $ids 2>/dev/null) ||
    docker version >/dev/null || exit 1
  while read -r one is; do
    if [ -z "$one" ]; then continue; fi
    if [ "$is" = "$2" ]; then fresh="$fresh $one"; else stale="$stale $one"; fi
  done <<END
$said
END
}
count() { echo "$#"; }
uptime_seconds() { if [ -r /proc/uptime ]; then cut -d. -f1 /proc/uptime; else date +%s; fi; }
# Without a tool to ask with, a container gets a moment.
serves() {
  ready "$1" 2>/dev/null || return 1
  place=$(address "$1" "$asked" "$fallback" 2>/dev/null) || return 1
  fetch "http://$place$path"
  case $? in 0) ;; 127) sleep 3 ;; *) return 1 ;; esac
}
start() {
  service=$1 image=$2 number=$3
  shift 3
  sort_out "$service" "$image"
  missing=$((number - $(count $fresh)))
  if [ "$missing" -gt 0 ]; then
    total=$(($(count $fresh $stale) + missing))
    "$@" up --no-start --no-deps --no-build --no-recreate --scale "$service=$total" "$service" >&2 || exit 1
    sort_out "$service" "$image"
    [ "$(count $fresh)" -ge "$number" ] || { echo "compose made no $service of image $image" >&2; exit 1; }
  fi
  docker start $fresh >/dev/null || exit 1
}
retire() {
  sort_out "$1" "$2"
  [ -n "$fresh" ] || { echo "$1 has no container of image $2" >&2; exit 1; }
  for one in $stale; do docker stop "$one" >/dev/null || exit 1; done
}
remove() {
  sort_out "$1" "$2"
  for one in $stale; do
    mkdir -p "$logs" && docker logs --timestamps --tail 2000 "$one" >"$logs/left-$1-$one.log" 2>&1
    docker rm "$one" >/dev/null || exit 1
  done
}
docker version >/dev/null || exit 1
is_first=yes
while [ -n "${todo# }" ]; do
  line=${todo# }
  service=${line%% *} line=${line#* }
  image=${line%% *} line=${line#* }
  number=${line%% *}
  case $line in *' '*) todo=" ${line#* }" ;; *) todo= ;; esac
  case $act in
    start) start "$service" "$image" "$number" "$@" ;;
    retire) retire "$service" "$image" ;;
    remove) remove "$service" "$image" ;;
    swap)
      start "$service" "$image" "$number" "$@"
      if [ -n "$stale" ] && [ "$is_first" = yes ]; then
        for one in $fresh; do
          limit=$(($(uptime_seconds) + patience))
          until serves "$one" || [ "$(uptime_seconds)" -ge "$limit" ]; do sleep 1; done
        done
      fi
      retire "$service" "$image"
      remove "$service" "$image"
      ;;
  esac
  is_first=no
done
"""
)


def _roll(
    act: str,
    project: Project,
    wanted: Wanted,
    *,
    logs: str = "",
    door: Door | None = None,
    patience: float = 0,
    grace: float = 0,
) -> Command:
    where = (door.port, door.fallback, door.path) if door else ("", "", "")
    head = (act, project.name, project.folder, logs, *where, str(round(patience)), str(len(wanted)))
    words = [word for service, (image, number) in wanted.items() for word in (service, image, str(number))]
    seconds = 300 + grace + patience * sum(number for _, number in wanted.values())
    return script(_ROLL, *head, *words, *project.compose_words(), effect=Effect.WRITE, timeout=seconds)


def start_beside(project: Project, wanted: Wanted) -> Command:
    """Return the command that starts containers beside those that are there.

    :param wanted: service to image id and number of containers; what the service's reference means now.
    """
    return _roll("start", project, wanted)


def retire(project: Project, wanted: Wanted, *, grace: float) -> Command:
    """Return the command that stops the containers of other images, one after the other, and keeps them.

    :param grace: seconds that they may take together to finish what they were asked.
    """
    return _roll("retire", project, wanted, grace=grace)


def remove(project: Project, wanted: Wanted, logs: str) -> Command:
    """Return the command that removes the stopped containers of other images, keeping their logs."""
    return _roll("remove", project, wanted, logs=logs)


def swap(project: Project, wanted: Wanted, logs: str, *, door: Door, patience: float, grace: float) -> Command:
    """Return the command that does all of it, and waits in between, up to ``patience`` seconds a container, until the
    new ones of the first service answer. Safe at any time and twice."""
    return _roll("swap", project, wanted, logs=logs, door=door, patience=patience, grace=grace)
