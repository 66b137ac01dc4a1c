"""A container that is tried before anybody else asks it."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.drivers.answering import ASK, Door
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# A container of `run` has none of the service's names: no proxy finds it.
_TRY = """\
name=$1 service=$2
shift 2
docker rm -f "$name" >/dev/null 2>&1
"$@" run -d --no-deps --name "$name" "$service" >/dev/null
"""

_END_TRIAL = """\
docker version >/dev/null || exit 1
logs=$1
umask 077
shift
for name; do
  docker inspect --type container "$name" >/dev/null 2>&1 || continue
  mkdir -p "$logs" && docker logs --timestamps --tail 2000 "$name" >"$logs/$name.log" 2>&1
  docker rm -f "$name" >/dev/null || exit 1
done
"""


def trial_name(run_id: str, service: str) -> str:
    """Return the name of the container that a run tries a service with."""
    return f"rollback-trial-{run_id}-{service}"


def start_trial(project: Project, run_id: str, service: str) -> Command:
    """Return the command that starts one container of a service that nobody asks but us."""
    words = (trial_name(run_id, service), service, *project.compose_words())
    return script(_TRY, *words, effect=Effect.WRITE, cwd=project.folder, timeout=120)


def end_trial(project: Project, run_id: str, services: Sequence[str]) -> Command:
    """Return the command that removes these containers, keeping their logs."""
    logs = f"{project.run_folder(run_id)}/evidence"
    names = (trial_name(run_id, service) for service in services)
    return script(_END_TRIAL, logs, *names, effect=Effect.WRITE, timeout=120)


_TRIAL_PLACE = (
    ASK
    + """\
ready "$1" && address "$1" "$2" "$3"
"""
)

_TRIAL_LIVES = """\
for name; do
  state=$(docker inspect --type container --format '{{.State.Status}} {{.State.ExitCode}}' "$name") || exit 1
  case $state in
    'running '* | 'created '*) ;;
    *)
      echo "the container of the trial is ${state% *} (exit code ${state#* }):" \\
        "$(docker logs --tail 3 "$name" 2>&1 | tail -n 1)" >&2
      exit 1 ;;
  esac
done
"""


def trial_place(run_id: str, service: str, door: Door) -> Command:
    """Return the command that prints where the trial's container is asked; it fails where that is not ready."""
    words = (trial_name(run_id, service), door.port, door.fallback)
    return script(_TRIAL_PLACE, *words, effect=Effect.READ, timeout=30)


def trial_lives(run_id: str, services: Sequence[str]) -> Command:
    """Return the check that the trial's containers run."""
    names = (trial_name(run_id, service) for service in services)
    return script(_TRIAL_LIVES, *names, effect=Effect.READ, timeout=30, ok_codes=frozenset({0, 1}))
