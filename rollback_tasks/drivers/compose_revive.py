"""Give services the containers that they had: the undo of a stop, run by the host alone."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence

from rollback_tasks.drivers.compose import NO_PULL
from rollback_tasks.model.facts import Container
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# The very containers come back where they still are; else compose makes them anew from the restored files and tags,
# and starts only what ran. Where compose refuses the restored file, they are made from that of another commit.
_REVIVE = """\
project=$1 folder=$2 held=$3 otherwise=$4 beside=$5 count=$6
shift 6
ran= slept= ran_scale= slept_scale=
while [ "$count" -gt 0 ]; do
  service=$1 id=$2 running=$3 replicas=$4
  shift 4
  scale=
  [ "$replicas" -le 1 ] || scale=" --scale $service=$replicas"
  count=$((count - 1))
  docker version >/dev/null || exit 1
  if docker inspect --type container "$id" >/dev/null 2>&1; then
    if [ "$running" = yes ]; then docker start "$id" >/dev/null || exit 1; fi
  elif [ "$running" = yes ]; then
    case " $ran " in *" $service "*) ;; *) ran="$ran $service" ran_scale=$ran_scale$scale ;; esac
  else
    case " $slept " in *" $service "*) ;; *) slept="$slept $service" slept_scale=$slept_scale$scale ;; esac
  fi
done
cd -- "$folder" || exit 1
if [ -n "$otherwise" ] && [ -n "$ran$slept" ] && ! "$@" config -q >/dev/null 2>&1; then
  place=$(mktemp -d) || exit 1
  trap 'rm -rf "$place"' EXIT
  umask 077
  left=$# before=
  while [ "$left" -gt 0 ]; do
    word=$1
    shift
    left=$((left - 1))
    if [ "$before" = -f ] && git cat-file -e "$otherwise:./$word" 2>/dev/null; then
      mkdir -p "$place/$(dirname -- "$word")" && git cat-file blob "$otherwise:./$word" >"$place/$word" || exit 1
      word=$place/$word
    fi
    before=$word
    set -- "$@" "$word"
  done
  set -- "$@" --project-directory "$beside"
fi
[ -z "$slept" ] || "$@" up --no-start --no-deps --no-build --force-recreate $held $slept_scale $slept || exit 1
[ -z "$ran" ] || "$@" up -d --no-deps --no-build --force-recreate $held $ran_scale $ran
"""


def revive(project: Project, old: Sequence[Container], *, is_pulled: bool = False, otherwise: str = "") -> Command:
    """Return the command that gives the services the containers that they had, and as many. Safe at any time and twice.

    :param is_pulled: as in ``up``.
    :param otherwise: commit whose compose files serve where compose refuses those of the work tree; empty = none.
    """
    numbers = Counter(c.service for c in old)
    words = [
        word
        for c in old
        for word in (
            c.service,
            c.id,
            "yes" if c.is_up else "no",
            str(numbers[c.service]),
        )
    ]
    return script(
        _REVIVE,
        project.name,
        project.folder,
        " ".join(NO_PULL) if is_pulled else "",
        otherwise,
        posixpath.join(project.folder, posixpath.dirname(project.files[0])).rstrip("/"),
        str(len(old)),
        *words,
        *project.compose_words(),
        effect=Effect.WRITE,
        timeout=300,
    )
