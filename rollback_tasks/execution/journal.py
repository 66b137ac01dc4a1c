"""The append-only record of a run, on the host, with the way back beside it.

``runs/ID/`` holds ``journal.jsonl``, ``undo/NNN-KIND.sh`` (written before its step acts, renamed to ``.undone``
when it ran), ``unwind.sh`` (runs them, newest first, without the laptop), ``undecided`` (renamed by whoever
decides how the run ends: one atomic rename, so that two never decide) and ``settled``.
"""

from __future__ import annotations

import json

from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

FENCED = 75
DECIDED_ELSEWHERE = 76
NOT_ALL_UNDONE = 77

# $1 who decides. Every compensation is tried; what is still running of the run is ended first.
UNWIND = """\
#!/bin/sh
who=$1
run=$(cd "$(dirname "$0")" && pwd) || exit 1
id=${run##*/}
LC_ALL=C
export LC_ALL
umask 077
if [ ! -e "$run/decided-$who" ]; then
  mv "$run/undecided" "$run/decided-$who" 2>/dev/null || exit 76
fi
group=$(cat "$run/pgid" 2>/dev/null)
own=$(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f3)
if [ -n "$group" ] && [ "$group" != "$own" ] && grep -q "$id" "/proc/$group/cmdline" 2>/dev/null; then
  kill -TERM -- "-$group" 2>/dev/null
  tries=0
  while [ -e "/proc/$group" ] && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL -- "-$group" 2>/dev/null
fi
failed=0
for file in $(ls -r "$run/undo"); do
  case $file in *.sh) ;; *) continue ;; esac
  name=${file%.sh}
  if sh "$run/undo/$file" >>"$run/undo/$name.log" 2>&1 </dev/null; then
    mv "$run/undo/$file" "$run/undo/$name.undone"
    state=compensated
  else
    failed=1
    state=compensation_failed
  fi
  printf '{"version": 1, "event": "%s", "step": "%s", "at": "%s", "by": "%s"}\\n' "$state" "$name" \\
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" >>"$run/journal.jsonl"
  printf '%s %s\\n' "$state" "${name#*-}"
done
[ "$failed" = 0 ] || exit 77
printf '{"version": 1, "event": "settled", "outcome": "restored", "at": "%s", "by": "%s"}\\n' \\
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" >>"$run/journal.jsonl"
: >"$run/settled"
sync "$run/journal.jsonl" 2>/dev/null || sync
"""

_OPEN = """\
run=$1 line=$2 unwind=$3
umask 007
mkdir -p "$run/undo" || exit 1
printf '%s' "$unwind" >"$run/unwind.sh" && : >"$run/undecided" || exit 1
printf '%s\\n' "$line" >>"$run/journal.jsonl" || exit 1
sync "$run/unwind.sh" "$run/journal.jsonl" 2>/dev/null || sync
"""

# The fence: a run that lost its lock, or was decided by somebody else, must not take another step.
_BEGIN = """\
state=$1 id=$2 name=$3 undo=$4 line=$5
run=$state/runs/$id
umask 007
[ "$(cat "$state/lock/run_id" 2>/dev/null)" = "$id" ] && [ -e "$run/undecided" ] || exit 75
sed 's/.*) //' "/proc/$$/stat" 2>/dev/null | cut -d' ' -f3 >"$run/pgid"
if [ -n "$undo" ]; then
  printf '%s' "$undo" >"$run/undo/$name.partial" && mv "$run/undo/$name.partial" "$run/undo/$name.sh" || exit 1
fi
printf '%s\\n' "$line" >>"$run/journal.jsonl" || exit 1
sync "$run/journal.jsonl" "$run/undo" 2>/dev/null || sync
"""

_APPEND = """\
printf '%s\\n' "$2" >>"$1/journal.jsonl" || exit 1
sync "$1/journal.jsonl" 2>/dev/null || sync
"""

_COMMIT = """\
run=$1 line=$2
umask 007
mv "$run/undecided" "$run/decided-laptop" || exit 75
printf '%s\\n' "$line" >>"$run/journal.jsonl" || exit 1
: >"$run/settled"
sync "$run/journal.jsonl" 2>/dev/null || sync
"""


def line(event: str, *, at: str, **fields: object) -> str:
    """Return one line of a journal. Fields are public API; no secret may stand in one."""
    return json.dumps({"version": 1, "event": event, "at": at, **fields}, ensure_ascii=True)


def open_run(project: Project, run_id: str, first: str) -> Command:
    """Return the command that makes a run's folder with its way back, still empty."""
    return script(_OPEN, project.run_folder(run_id), first, UNWIND, effect=Effect.WRITE)


def begin(project: Project, run_id: str, *, name: str, undo: str, begun: str) -> Command:
    """Return the command that writes a step's compensation, then that it begins; exit code 75 where the run is
    no longer ours.

    :param name: ``NNN-kind``; sorts in the order of the steps.
    :param undo: script text; empty where there is nothing to undo.
    """
    return script(_BEGIN, project.state_folder, run_id, name, undo, begun, effect=Effect.WRITE)


def append(project: Project, run_id: str, text: str) -> Command:
    """Return the command that adds a line."""
    return script(_APPEND, project.run_folder(run_id), text, effect=Effect.WRITE)


def commit(project: Project, run_id: str, last: str) -> Command:
    """Return the command that decides for the result: from now on nothing is undone by itself."""
    return script(_COMMIT, project.run_folder(run_id), last, effect=Effect.WRITE)


def unwind(project: Project, run_id: str, who: str) -> Command:
    """Return the command that decides against the result and runs every compensation, newest first.

    Exit code 76: somebody else decided; 77: not every compensation succeeded.
    """
    return Command(
        argv=("sh", f"{project.run_folder(run_id)}/unwind.sh", who),
        effect=Effect.DESTROY,
        timeout=1800,
        ok_codes=frozenset({0, DECIDED_ELSEWHERE, NOT_ALL_UNDONE}),
    )
