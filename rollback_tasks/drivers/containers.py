"""Containers of a compose project, found by compose's own labels, asked and told through docker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import Container
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, Secret, script

# Containers are found by compose's own labels: names differ between the generations.
FIND = """\
find_containers() {
  docker ps "$3" -q --no-trunc --filter "label=com.docker.compose.project=$1" \\
    --filter "label=com.docker.compose.service=$2" --filter label=com.docker.compose.oneoff=False
}
"""

# The environment is left out on purpose: it holds passwords. Every name is that of docker's own structure: with one
# that stands in its JSON alone, such as .Id, docker reads the JSON, and a field that is not there is an error then.
_FIELDS = (
    '{"id":{{json .ID}},"name":{{json .Name}},"image":{{json .Image}},"ref":{{json .Config.Image}},'
    '"labels":{{json .Config.Labels}},"state":{{json .State}},"restarts":{{json .RestartCount}},'
    '"networks":{{json .NetworkSettings.Networks}},"entrypoint":{{json .Config.Entrypoint}},'
    '"cmd":{{json .Config.Cmd}},"workdir":{{json .Config.WorkingDir}},"user":{{json .Config.User}},'
    '"grace":{{json .Config.StopTimeout}}}'
)

_INSPECT = """\
ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1" \\
  --filter label=com.docker.compose.oneoff=False) || exit 1
[ -n "$ids" ] || exit 0
docker inspect --type container --format "$2" $ids
"""


def containers(project: str) -> Command:
    """Return the command that describes every container of a compose project, one JSON object a line."""
    return script(_INSPECT, project, _FIELDS, effect=Effect.READ, timeout=60)


def read_containers(text: str) -> tuple[Container, ...]:
    """Given the answer of ``containers``, return them sorted by service and name. Raise MalformedAnswer."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            found.append(_container(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedAnswer("docker described a container in an unknown form", details=line[:500]) from error
    return tuple(sorted(found, key=lambda container: (container.service, container.name)))


def _container(said: Mapping[str, Any]) -> Container:
    state = said["state"]
    return Container(
        id=said["id"],
        name=said["name"].removeprefix("/"),
        service=said["labels"]["com.docker.compose.service"],
        image=said["image"],
        image_ref=said["ref"],
        state=state["Status"],
        exit_code=state.get("ExitCode", 0),
        restarts=said.get("restarts") or 0,
        health=(state.get("Health") or {}).get("Status", ""),
        networks={name: net.get("IPAddress", "") for name, net in (said.get("networks") or {}).items()},
        command=(*(said.get("entrypoint") or ()), *(said.get("cmd") or ())),
        workdir=said.get("workdir") or "",
        started_at=state.get("StartedAt", ""),
        grace=10 if said.get("grace") is None else int(said["grace"]),
        config_hash=said["labels"].get("com.docker.compose.config-hash", ""),
        config_files=tuple(
            file for file in said["labels"].get("com.docker.compose.project.config_files", "").split(",") if file
        ),
    )


_ENVIRONMENT = """\
image=$(docker inspect --type container --format '{{.Image}}' "$1") || exit 1
docker inspect --type container --format '{{json .Config.Env}}' "$1" || exit 1
docker image inspect --format '{{json .Config.Env}}' "$image" 2>/dev/null || echo '[]'
"""


def environment(container: str) -> Command:
    """Return the command that prints a container's variables, then those that its image already has."""
    return script(_ENVIRONMENT, container, effect=Effect.READ, timeout=60)


def read_environment(text: str) -> tuple[tuple[str, Secret], ...]:
    """Given the answer of ``environment``, return what compose added to the image. Every value is a Secret:
    nobody can know which one is a password."""
    lines = text.splitlines()
    try:
        own: Sequence[str] = json.loads(lines[0]) or ()
        inherited = set(json.loads(lines[1]) or ())
    except (ValueError, IndexError) as error:
        raise MalformedAnswer("docker did not print the variables of a container") from error
    pairs = (entry.partition("=") for entry in own if entry not in inherited)
    return tuple((name, Secret(value)) for name, _, value in pairs)


_STOP = (
    FIND
    + """\
project=$1
shift
for service in "$@"; do
  ids=$(find_containers "$project" "$service" -a) || exit 1
  [ -z "$ids" ] || docker stop $ids >/dev/null || exit 1
done
"""
)


def stop(project: Project, services: Sequence[str], *, grace: float = 0) -> Command:
    """Return the command that stops services and keeps their containers.

    :param grace: seconds that the containers of all of them may take together before docker kills them.
    """
    return script(_STOP, project.name, *services, effect=Effect.WRITE, timeout=120 + grace)


_STOPPED = (
    FIND
    + """\
project=$1
shift
for service in "$@"; do
  ids=$(find_containers "$project" "$service" --no-trunc) || exit 1
  [ -z "$ids" ] || { echo "$service still runs" >&2; exit 1; }
done
"""
)


def are_stopped(project: Project, services: Sequence[str]) -> Command:
    """Return the check that no container of the services runs."""
    return script(_STOPPED, project.name, *services, effect=Effect.READ)


# $1 project, $2 folder for logs, $3 number of old ids, the ids, then services.
_DISCARD = (
    FIND
    + """\
project=$1 logs=$2 count=$3
shift 3
old=' '
while [ "$count" -gt 0 ]; do old="$old$1 "; shift; count=$((count - 1)); done
umask 077
failed=0
for service in "$@"; do
  ids=$(find_containers "$project" "$service" -a) || exit 1
  for id in $ids; do
    case $old in *" $id "*) continue ;; esac
    mkdir -p "$logs" && docker logs --timestamps --tail 2000 "$id" >"$logs/failed-$service-$id.log" 2>&1
    docker rm -f "$id" >/dev/null || failed=1
  done
done
exit $failed
"""
)


def discard_new(project: Project, services: Sequence[str], old_ids: Sequence[str], logs: str) -> Command:
    """Return the command that removes the services' containers that are not ``old_ids``, keeping their logs."""
    known = (str(len(old_ids)), *old_ids)
    return script(_DISCARD, project.name, logs, *known, *services, effect=Effect.WRITE, timeout=120)


# Waiting is pointless once the process ended for good or keeps dying.
_ALIVE = (
    FIND
    + """\
project=$1
shift
format='{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}'
for service in "$@"; do
  ids=$(find_containers "$project" "$service" -a) || exit 1
  [ -n "$ids" ] || { echo "$service has no container" >&2; exit 1; }
  for id in $ids; do
    state=$(docker inspect --type container --format "$format" "$id") || exit 1
    read -r status restarts code <<END
$state
END
    if [ "$status" = exited ] || [ "$status" = dead ]; then
      [ "$code" = 0 ] && continue
      echo "$service ended with exit code $code: $(docker logs --tail 3 "$id" 2>&1 | tail -n 1)" >&2
      exit 1
    fi
    if [ "$restarts" -ge 3 ]; then
      echo "$service keeps dying ($restarts restarts): $(docker logs --tail 3 "$id" 2>&1 | tail -n 1)" >&2
      exit 1
    fi
  done
done
"""
)


def alive(project: Project, services: Sequence[str]) -> Command:
    """Return the check that fails as soon as waiting for the services is pointless, with the last log line."""
    return script(_ALIVE, project.name, *services, effect=Effect.READ, ok_codes=frozenset({0, 1}))


_LIVE_ON = (
    FIND
    + """\
project=$1 seconds=$2
shift 2
state() {
  for service in "$@"; do
    ids=$(find_containers "$project" "$service" -a) || return 1
    [ -z "$ids" ] || docker inspect --type container \\
      --format '{{.Id}} {{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}' $ids || return 1
  done
}
first=$(state "$@") || exit 1
while :; do
  now=$(state "$@") || exit 1
  bad=$(printf '%s\\n' "$now" | grep -v -e ' running ' -e ' exited [0-9]* 0$')
  if [ -n "$bad" ]; then
    one=${bad%% *}
    echo "a container does not live: $(docker logs --tail 3 "$one" 2>&1 | tail -n 1)" >&2
    exit 1
  fi
  [ "$now" = "$first" ] || { echo "a container was started anew or ended" >&2; exit 1; }
  [ "$seconds" -gt 0 ] || exit 0
  seconds=$((seconds - 1))
  sleep 1
done
"""
)


def live_on(project: Project, services: Sequence[str], seconds: float) -> Command:
    """Return the command that fails where a container of the services ends badly or is started anew meanwhile."""
    count = str(max(1, round(seconds)))
    return script(_LIVE_ON, project.name, count, *services, effect=Effect.READ, timeout=seconds + 60)


_RUNS = (
    FIND
    + """\
ended_well() {
  for one in $(find_containers "$1" "$2" -a); do
    case $(docker inspect --type container --format '{{.State.Status}} {{.State.ExitCode}}' "$one") in
      "exited 0") echo "$one" ;;
    esac
  done
}
project=$1 one_shots=$2
shift 2
while [ "$#" -gt 0 ]; do
  want=$(docker image inspect --format '{{.Id}}' "$2") || exit 1
  ids=$(find_containers "$project" "$1" --no-trunc)
  if [ -z "$ids" ]; then case " $one_shots " in *" $1 "*) ids=$(ended_well "$project" "$1") ;; esac; fi
  [ -n "$ids" ] || { echo "$1 does not run" >&2; exit 1; }
  for id in $ids; do
    have=$(docker inspect --type container --format '{{.Image}}' "$id") || exit 1
    [ "$have" = "$want" ] || { echo "$1 runs $have, not $want" >&2; exit 1; }
  done
  shift 2
done
"""
)


def runs_images(project: Project, images: Mapping[str, str], one_shots: Sequence[str] = ()) -> Command:
    """Return the check that every container of each service runs exactly the image that its name means now.

    :param one_shots: services that may have run it to a good end instead.
    """
    words = (word for pair in sorted(images.items()) for word in pair)
    return script(_RUNS, project.name, " ".join(one_shots), *words, effect=Effect.READ)


_EVIDENCE = """\
project=$1 place=$2 fields=$3
umask 077
mkdir -p "$place" || exit 1
ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project") || exit 1
for id in $ids; do
  name=$(docker inspect --type container --format '{{.Name}}' "$id" | tr -d /)
  docker inspect --type container --format "$fields" "$id" >"$place/$name.json" || exit 1
  docker logs --timestamps --tail 5000 "$id" >"$place/$name.log" 2>&1
done
docker images --no-trunc >"$place/images.txt"
"""


def save_evidence(project: Project, place: str) -> Command:
    """Return the command that keeps logs and descriptions of all containers before anything is stopped."""
    return script(_EVIDENCE, project.name, place, _FIELDS, effect=Effect.WRITE, timeout=120)
