"""One run a host: a folder on the host, made by one atomic ``mkdir``."""

from __future__ import annotations

import json

from rollback_tasks.errors import LockHeld
from rollback_tasks.execution.guardian import ALONE
from rollback_tasks.model.facts import LockOwner
from rollback_tasks.model.project import Project
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.ports import Host
from rollback_tasks.shell import Command, Effect, script

# A lock without a name in it is what a taker left that died before it had the lock.
_TAKE = (
    ALONE
    + """\
state=$1 owner=$2 run=$3
umask 007
mkdir -p "$state/runs" "$state/backups" || exit 1
chmod 0770 "$state" 2>/dev/null
alone "$state" 100 || exit 73
[ ! -d "$state/lock" ] || [ -s "$state/lock/run_id" ] || rm -rf "$state/lock"
[ ! -d "$state/lock" ] || exit 73
for other in "$state"/runs/*/; do
  [ -e "$other/journal.jsonl" ] && [ ! -e "$other/settled" ] || continue
  echo "$other" | sed 's,.*/runs/,,; s,/*$,,' >&2
  exit 74
done
if ! mkdir "$state/lock" 2>/dev/null; then
  [ -d "$state/lock" ] && exit 73
  echo "the lock cannot be made in $state" >&2
  exit 1
fi
printf '%s\\n' "$owner" >"$state/lock/owner.json" && printf '%s\\n' "$run" >"$state/lock/run_id" || {
  rm -rf "$state/lock"
  exit 1
}
: >"$state/lock/heartbeat"
sync "$state/lock/run_id" "$state/lock/owner.json" 2>/dev/null || sync
"""
)

# Only what is settled, or was never begun, may leave the host open to other runs.
_IS_UNFINISHED = """\
is_unfinished() { [ -e "$1/runs/$2/journal.jsonl" ] && [ ! -e "$1/runs/$2/settled" ]; }
"""

_RELEASE = (
    ALONE
    + _IS_UNFINISHED
    + """\
state=$1 run=$2
umask 007
[ "$(cat "$state/lock/run_id" 2>/dev/null)" = "$run" ] || exit 0
alone "$state" 100 || { echo "the lock is in use" >&2; exit 73; }
[ "$(cat "$state/lock/run_id" 2>/dev/null)" = "$run" ] || exit 0
if is_unfinished "$state" "$run"; then
  echo "the run is unfinished: its lock protects a host that is half way" >&2
  exit 73
fi
mv "$state/lock" "$state/lock.$run" && rm -rf "$state/lock.$run"
"""
)

_READ = """\
state=$1
if [ -d "$state/lock" ]; then
  now=$(date +%s)
  beat=$(stat -c %Y "$state/lock/heartbeat" 2>/dev/null || stat -c %Y "$state/lock")
  echo "$((now - beat))"
  if [ -s "$state/lock/owner.json" ]; then cat "$state/lock/owner.json"
  else printf '{"run_id": "%s"}\\n' "$(cat "$state/lock/run_id" 2>/dev/null)"; fi
else
  echo
  echo
fi
for other in "$state"/runs/*/; do
  [ -e "$other/journal.jsonl" ] && [ ! -e "$other/settled" ] && echo "$other" | sed 's,.*/runs/,,; s,/*$,,'
done
exit 0
"""


def reading(state_folder: str) -> Command:
    """Return the command that tells who holds the host and which runs are unfinished."""
    return script(_READ, state_folder, effect=Effect.READ)


def read(text: str) -> tuple[LockOwner | None, tuple[str, ...]]:
    """Given the answer of ``reading``, return the lock's owner and the unfinished runs."""
    lines = text.splitlines()
    age = lines[0].strip() if lines else ""
    unfinished = tuple(line for line in lines[2:] if line)
    if not age:
        return None, unfinished
    try:
        said = json.loads(lines[1])
    except (ValueError, IndexError):
        said = {}
    said = said if isinstance(said, dict) else {}
    fields = {name: str(said.get(name, "?")) for name in ("run_id", "operator", "laptop", "task", "reason", "taken_at")}
    return LockOwner(heartbeat_age=float(age), **fields), unfinished


def take(host: Host, project: Project, request: RollbackRequest, taken_at: str) -> None:
    """Lock the host for this run.

    :raises LockHeld: another run holds it, or one was left unfinished; the error names the way on.
    """
    owner = json.dumps(
        {
            "run_id": request.run_id,
            "operator": request.operator,
            "laptop": request.laptop,
            "task": request.task,
            "reason": request.reason,
            "taken_at": taken_at,
        }
    )
    done = host.run(
        script(
            _TAKE,
            project.state_folder,
            owner,
            request.run_id,
            effect=Effect.WRITE,
            ok_codes=frozenset({0, 73, 74}),
        )
    )
    if done.exit_code == 74:
        raise unfinished_run(host.name, (done.error_text.strip(),))
    if done.exit_code == 73:
        holder, _ = read(host.run(reading(project.state_folder)).text)
        raise held(host.name, holder)


def held(name: str, owner: LockOwner | None) -> LockHeld:
    """Return the error for a host that somebody holds."""
    if owner is None:
        return LockHeld("the host was locked by another run a moment ago", host=name, hint="Run the command again.")
    why = f" ({owner.reason})" if owner.reason else ""
    return LockHeld(
        f"locked by {owner.operator} on {owner.laptop}: {owner.task}{why}, since {owner.taken_at}",
        details=f"run {owner.run_id}; last sign of life {owner.heartbeat_age:.0f} s ago; nothing was changed",
        hint=f"wait for it; if that laptop is gone: `inv rollback.resume --host {name}` goes on, "
        f"`inv rollback.abort --host {name}` puts the host back.",
        host=name,
    )


def unfinished_run(name: str, runs: tuple[str, ...]) -> LockHeld:
    """Return the error for a host on which a run was left unfinished."""
    return LockHeld(
        f"run {', '.join(runs)} was left unfinished on this host",
        details="nothing was changed by this command",
        hint=f"`inv rollback.resume --host {name}` goes on, `inv rollback.abort --host {name}` puts the host back.",
        host=name,
    )


_TAKE_AWAY = (
    ALONE
    + _IS_UNFINISHED
    + """\
state=$1 run=$2 line=$3
umask 007
alone "$state" 100 || { echo "the lock is in use" >&2; exit 73; }
[ "$(cat "$state/lock/run_id" 2>/dev/null)" = "$run" ] || [ ! -s "$state/lock/run_id" ] || exit 73
if is_unfinished "$state" "$run"; then
  echo "the run is unfinished: its lock protects a host that is half way" >&2
  exit 73
fi
printf '%s\\n' "$line" >>"$state/locks.jsonl" || exit 1
mv "$state/lock" "$state/lock.$run.gone" && rm -rf "$state/lock.$run.gone"
"""
)


def take_away(host: Host, project: Project, run_id: str, request: RollbackRequest, at: str) -> None:
    """Free a lock that its holder left, and write down who did and why.

    :raises CommandFailed: it is another run's by now.
    """
    fields = {"at": at, "run_id": run_id, "by": request.operator, "laptop": request.laptop, "reason": request.reason}
    line = json.dumps({"version": 1, "event": "lock_released", **fields})
    host.run(script(_TAKE_AWAY, project.state_folder, run_id, line, effect=Effect.WRITE))


def release(host: Host, project: Project, run_id: str) -> None:
    """Give the lock back; only the run's own: nothing happens where another run has it.

    :raises CommandFailed: the run is unfinished, so its lock stays.
    """
    host.run(script(_RELEASE, project.state_folder, run_id, effect=Effect.WRITE))
