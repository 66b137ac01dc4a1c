"""What a run's folder says to another laptop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollback_tasks.drivers.engine_trouble import remedy
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.outcome import StepState
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

_READ = """\
run=$1
[ -e "$run/library.sh" ] && . "$run/library.sh" && seconds_left "$run" || echo 0
if [ -e "$run/settled" ]; then echo settled; elif [ -e "$run/undecided" ]; then echo undecided; else echo decided; fi
cat "$run/plan.json" && echo && cat "$run/journal.jsonl"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a run's folder says.

    :param seconds_left: of the lease; 0 or less where nobody gave a sign of life.
    :param state: ``undecided``, ``decided`` (being undone, or that was cut) or ``settled``.
    :param done: names of the steps that ended well.
    :param begun: the step that was begun and did not end; empty where there is none.
    """

    seconds_left: int
    state: str
    plan: Mapping[str, Any]
    done: frozenset[str]
    begun: str


def reading(project: Project, run_id: str) -> Command:
    """Return the command that prints a run's record."""
    return script(_READ, project.run_folder(run_id), effect=Effect.READ)


def read(text: str) -> Record:
    """Given the answer of ``reading``, return the record. Raise MalformedAnswer."""
    lines = text.split("\n")
    try:
        events = [json.loads(each) for each in lines[3:] if each.strip() and _is_json(each)]
        done = frozenset(str(event["step"]) for event in events if event["event"] == "done")
        started = [str(event["step"]) for event in events if event["event"] == "started"]
        return Record(
            seconds_left=int(lines[0]),
            state=lines[1],
            plan=json.loads(lines[2]),
            done=done,
            begun=next((name for name in reversed(started) if name not in done), ""),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise MalformedAnswer("the journal of the run cannot be read", details=text[:300]) from error


def _is_json(text: str) -> bool:
    # The last line may be torn by a full disk or a power cut.
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one compensation.

    :param why: the last words of one that failed; empty where they are not known.
    """

    kind: str
    is_done: bool
    why: str = ""

    @property
    def state(self) -> StepState:
        """The same, of the step."""
        return StepState.COMPENSATED if self.is_done else StepState.COMPENSATION_FAILED


def undone(text: str) -> list[Undone]:
    """Given what ``unwind`` printed, return what became of the compensations that it ran."""
    found = []
    for line in text.splitlines():
        state, kind, why = (line.split(" ", 2) + ["", ""])[:3]
        found.append(Undone(kind, state == "compensated", why.strip()))
    return found


def not_undone(found: Sequence[Undone]) -> str:
    """Return a sentence about compensations that failed, with what is known of the reason and of what helps."""
    failed = [each for each in found if not each.is_done]
    named = "; ".join(f"{each.kind}: {each.why}" if each.why else each.kind for each in failed)
    said = f"not every step could be undone: {named}" if named else "not every step could be undone"
    helps = {remedy(each.why) for each in failed} - {""}
    return "\n".join((said, *sorted(helps)))


def compensations(text: str) -> str:
    """Given a journal's lines, return what became of its compensations in the words of ``unwind``."""
    found = []
    for written in text.splitlines():
        try:
            said = json.loads(written)
        except ValueError:  # a torn last line
            continue
        if isinstance(said, dict) and said.get("event") in ("compensated", "compensation_failed"):
            found.append(f"{said['event']} {str(said.get('step')).partition('-')[2]}")
    return "\n".join(found)
