"""Containers asked one by one, past whatever stands in front of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollback_tasks.drivers.containers import FIND
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# Service to the image and the number of its containers; the first service is the one that is asked.
Wanted = Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the application is asked inside its container.

    :param port: as the compose file says it; empty = the first one that the image exposes, else ``fallback``.
    :param path: of the health page, with its query.
    """

    port: str
    fallback: str
    path: str


# One container at a time is asked, by its own health check where it has one.
ASK = """\
ready() {
  said=$(docker inspect --type container --format \\
    '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$1") || return 1
  case $said in
    'running ' | 'running healthy') ;;
    *) echo "the container $1 is $said" >&2; return 1 ;;
  esac
}
address() {
  ip=$(docker inspect --type container \\
    --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$1" | cut -d' ' -f1)
  [ -n "$ip" ] || { echo "the container $1 has no address" >&2; return 1; }
  port=$2
  if [ -z "$port" ]; then
    port=$(docker inspect --type container \\
      --format '{{range $p, $_ := .Config.ExposedPorts}}{{$p}} {{end}}' "$1" | cut -d/ -f1)
  fi
  echo "$ip:${port:-$3}"
}
fetch() {
  if command -v curl >/dev/null 2>&1; then curl -fs -m 5 -o /dev/null "$1"
  elif command -v wget >/dev/null 2>&1; then wget -q -T 5 -O /dev/null "$1"
  else return 127; fi
}
"""

_ADDRESSES = (
    FIND
    + ASK
    + """\
project=$1 asked=$2 fallback=$3
shift 3
is_first=yes
while [ "$#" -gt 0 ]; do
  found=0
  ids=$(find_containers "$project" "$1" --no-trunc) || exit 1
  for one in $ids; do
    [ "$(docker inspect --type container --format '{{.Image}}' "$one")" = "$2" ] || continue
    ready "$one" || exit 1
    if [ "$is_first" = yes ]; then address "$one" "$asked" "$fallback" || exit 1; fi
    found=$((found + 1))
  done
  [ "$found" -ge "$3" ] || { echo "only $found of $3 new containers of $1 run" >&2; exit 1; }
  is_first=no
  shift 3
done
"""
)


def addresses(project: Project, wanted: Wanted, door: Door) -> Command:
    """Return the command that prints where each new container of the first service is asked; it fails where one of any
    service does not run, or is not healthy by its own check."""
    words = [word for service, (image, number) in wanted.items() for word in (service, image, str(number))]
    head = (project.name, door.port, door.fallback)
    return script(_ADDRESSES, *head, *words, effect=Effect.READ, timeout=60)


# The old ones may die as they like: that is what is gone back from.
_LIVE = (
    FIND
    + """\
project=$1
shift
format='{{.Image}} {{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}'
while [ "$#" -gt 0 ]; do
  ids=$(find_containers "$project" "$1" -a) || exit 1
  for one in $ids; do
    state=$(docker inspect --type container --format "$format" "$one") || exit 1
    read -r image status restarts code <<END
$state
END
    [ "$image" = "$2" ] || continue
    last=$(docker logs --tail 3 "$one" 2>&1 | tail -n 1)
    case $status in
      exited | dead) echo "a new container of $1 ended with exit code $code: $last" >&2; exit 1 ;;
    esac
    [ "$restarts" -lt 3 ] || { echo "a new container of $1 keeps dying ($restarts restarts): $last" >&2; exit 1; }
  done
  shift 3
done
"""
)


def live(project: Project, wanted: Wanted) -> Command:
    """Return the check that fails as soon as waiting for the new containers is pointless, with the last log line."""
    words = [word for service, (image, number) in wanted.items() for word in (service, image, str(number))]
    return script(_LIVE, project.name, *words, effect=Effect.READ, timeout=60, ok_codes=frozenset({0, 1}))


# What comes in at a container's network is counted by docker, to three digits.
_IS_REACHED = (
    FIND
    + ASK
    + """\
project=$1 service=$2 image=$3 url=$4
command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 || exit 0
wanted=
ids=$(find_containers "$project" "$service" --no-trunc) || exit 1
for one in $ids; do
  [ "$(docker inspect --type container --format '{{.Image}}' "$one")" != "$image" ] || wanted="$wanted $one"
done
received() {
  docker stats --no-stream --format '{{.NetIO}}' "$1" | sed 's| .*||' | awk '
    /GB$/ { print int($0 * 1000000000); next } /MB$/ { print int($0 * 1000000); next }
    /kB$/ { print int($0 * 1000); next } { print int($0) }'
}
tries=0
for one in $wanted; do
  before=$(received "$one")
  while :; do
    asked=0 heard=
    while [ "$asked" -lt 20 ]; do
      fetch "$url" 2>/dev/null
      case $? in 0 | 8 | 22) heard=yes ;; esac
      asked=$((asked + 1))
    done
    [ -n "$heard" ] || exit 0
    now=$(received "$one")
    [ "$((now - before))" -lt 2000 ] || break
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || {
      echo "$url was asked $((tries * 20)) times, and the new container $one got none of it: what stands in front" \\
        "asks only the old ones" >&2
      exit 1
    }
  done
done
"""
)


def is_reached(project: Project, service: str, image: str, url: str) -> Command:
    """Return the check that asking ``url`` reaches every new container: the proxy has found them.

    Without a tool to ask with, or where the host cannot ask that URL, it says nothing.
    """
    return script(_IS_REACHED, project.name, service, image, url, effect=Effect.READ, timeout=120)
