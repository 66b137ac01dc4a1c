"""The runs that a host remembers, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

AT_MOST = 50

# A run's parts are parted by NUL, as no JSON holds one.
_READ = """\
cd -- "$1" 2>/dev/null || exit 0
count=0
for run in $(ls -r); do
  [ -e "$run/journal.jsonl" ] && [ -e "$run/plan.json" ] || continue
  # Backups by the hour must not hide the rollback before them.
  case $(head -c 200 "$run/plan.json") in
    *'"task": "backup.'* | *'"task": "drill.'*) [ "$3" = all ] || continue ;;
  esac
  [ "$count" -lt "$2" ] || break
  count=$((count + 1))
  if [ ! -e "$run/settled" ]; then state=unfinished
  elif [ -e "$run/committed" ]; then state=done
  elif [ -e "$run/decided-undo" ]; then state=undone
  else state=restored; fi
  printf '%s\\0%s\\0' "$run" "$state"
  cat "$run/plan.json"
  printf '\\0'
  head -n 1 "$run/journal.jsonl"
  printf '\\0'
  tail -n 1 "$run/journal.jsonl"
  printf '\\0'
done
"""


class RunState(Enum):
    """How a remembered run stands."""

    UNFINISHED = "unfinished"
    DONE = "done"
    UNDONE = "undone"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run as its folder on the host tells it.

    :param plan: as it was written down before the first step; ``{}`` where it cannot be read.
    :param opened_at: ISO time; ``ended_at`` that of the journal's last line.
    """

    run_id: str
    state: RunState
    plan: Mapping[str, Any] = field(default_factory=dict)
    opened_at: str = ""
    ended_at: str = ""

    @property
    def task(self) -> str:
        """The task that made it."""
        return str(self.plan.get("task", "?"))


def reading(project: Project, *, is_whole: bool = True) -> Command:
    """Return the command that prints the newest ``AT_MOST`` runs of a host.

    :param is_whole: also those that only added something beside what is deployed.
    """
    words = (f"{project.state_folder}/runs", str(AT_MOST), "all" if is_whole else "")
    return script(_READ, *words, effect=Effect.READ)


def read(text: str) -> tuple[PastRun, ...]:
    """Given the answer of ``reading``, return the runs, newest first."""
    return tuple(_runs(text.split("\0")))


def _runs(parts: list[str]) -> Iterator[PastRun]:
    for start in range(0, len(parts) - 4, 5):
        run_id, state, plan, first, last = parts[start : start + 5]
        yield PastRun(
            run_id=run_id,
            state=RunState(state),
            plan=_mapping(plan),
            opened_at=str(_mapping(first).get("at", "")),
            ended_at=str(_mapping(last).get("at", "")),
        )


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
