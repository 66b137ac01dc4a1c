"""The ledger of releases: append-only JSON lines in ``.rollback/releases.jsonl``.

Events: ``recorded`` (a release as it ran), ``marked`` (good or bad, with a reason), ``rolled_back`` (the host
left one release for another), ``voided`` (the lines of a run that was put back do not count).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.shell import Command, Effect, script

_APPEND = """\
umask 007
mkdir -p "$1" && file=$1/releases.jsonl
shift
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then printf '\\n' >>"$file" || exit 1; fi
for line in "$@"; do printf '%s\\n' "$line" >>"$file" || exit 1; done
sync "$file" 2>/dev/null || sync
"""


def append(state_folder: str, lines: Sequence[str]) -> Command:
    """Return the command that adds lines, on disk before it ends. A line that a full disk cut is closed first."""
    return script(_APPEND, state_folder, *lines, effect=Effect.WRITE)


# Where the run wrote nothing there is nothing to take back, and the file may well be one that cannot be written.
_VOID = (
    """\
file=$1/releases.jsonl
[ -e "$file" ] || exit 0
grep -qF -- "\\"run_id\\": \\"$2\\"" "$file"
case $? in 0) ;; 1) exit 0 ;; *) exit 1 ;; esac
set -- "$1" "$3"
"""
    + _APPEND
)


def void(state_folder: str, run_id: str) -> Command:
    """Return the command that takes back what a run wrote. Safe where it wrote nothing, and twice."""
    return script(_VOID, state_folder, run_id, voided(run_id), effect=Effect.WRITE)


def read(state_folder: str) -> Command:
    """Return the command that prints the ledger; nothing where there is none."""
    return script('[ ! -e "$1" ] || cat "$1"', f"{state_folder}/releases.jsonl", effect=Effect.READ)


def recorded(release: Release, *, at: str, run_id: str = "") -> str:
    """Return the line that a release was seen running."""
    return _line(
        event="recorded",
        id=release.id,
        at=at,
        commit=release.commit,
        images=dict(release.images),
        schema=list(release.schema),
        names=list(release.names),
        run_id=run_id,
        **({"mixed": release.mixed} if release.mixed else {}),
    )


def marked(release_id: str, status: ReleaseStatus, *, at: str, by: str, reason: str, run_id: str = "") -> str:
    """Return the line that somebody judged a release."""
    return _line(event="marked", id=release_id, status=status.value, at=at, by=by, reason=reason, run_id=run_id)


def rolled_back(left_id: str, reached_id: str, *, at: str, by: str, reason: str, run_id: str) -> str:
    """Return the line that the host went from one release back to another."""
    return _line(event="rolled_back", left=left_id, id=reached_id, at=at, by=by, reason=reason, run_id=run_id)


def voided(run_id: str) -> str:
    """Return the line that takes back what a run wrote."""
    return _line(event="voided", run_id=run_id)


def _line(**fields: Any) -> str:
    return json.dumps({"version": 1, **fields}, ensure_ascii=True, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the lines say. ``damaged`` counts lines that are no JSON objects of ours (a torn last line)."""

    releases: tuple[Release, ...] = ()
    damaged: int = 0


def parse(text: str) -> Ledger:
    """Given the ledger's text, return its releases in the order in which each was last deployed."""
    events: list[Mapping[str, Any]] = []
    damaged = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
        else:
            damaged += 1
    void = {str(event.get("run_id")) for event in events if event["event"] == "voided"}
    found: dict[str, Release] = {}
    for event in events:
        if event.get("run_id") and str(event["run_id"]) in void:
            continue
        _apply(found, event)
    return Ledger(tuple(found.values()), damaged)


def _apply(found: dict[str, Release], event: Mapping[str, Any]) -> None:
    """Fold one event into the releases found so far."""
    key = str(event.get("id", ""))
    match event["event"]:
        case "recorded" if key:
            before = found.pop(key, None)
            images = event.get("images")
            found[key] = Release(
                id=key,
                commit=str(event.get("commit", "")),
                images={str(k): str(v) for k, v in images.items()} if isinstance(images, dict) else {},
                schema=_words(event.get("schema")),
                names=_words(event.get("names")),
                recorded_at=str(event.get("at", "")),
                status=before.status if before else ReleaseStatus.UNMARKED,
                reason=before.reason if before else "",
                mixed=str(event.get("mixed", "")),
            )
        case "marked" if key in found:
            status = {each.value: each for each in ReleaseStatus}.get(str(event.get("status")))
            if status is not None:
                found[key] = replace(found[key], status=status, reason=str(event.get("reason", "")))
        case "rolled_back" if key in found:
            found[key] = replace(found[key], is_rolled_back_to=True)
        case _:
            pass  # a later version's events are not ours to judge


def _words(said: object) -> tuple[str, ...]:
    return tuple(str(word) for word in said) if isinstance(said, list) else ()
