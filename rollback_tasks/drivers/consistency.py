"""Is the data whole? What a database is asked, its answers as values, and what became worse between two of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.drivers import consistency_sql as ask_for
from rollback_tasks.drivers.databases import scratch_name
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.drivers.statements import SETTINGS, as_script, errors_of, snapshot
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Statement
from rollback_tasks.shell import Command, Effect, script

_END = Statement("select json_build_array('end', '')")
# What belongs to the rows, and is the same in a copy that was restored from a dump.
_DATA = (
    *ask_for.NO_INDEX_SCANS,
    ask_for.ROWS,
    ask_for.FOREIGN_KEYS,
    ask_for.CHECKS,
    ask_for.UNIQUE,
    ask_for.SEQUENCES,
    *ask_for.INDEXES,
    *ask_for.CONSTRAINTS,
    *ask_for.TRIGGERS,
)
_LIVE = (*_DATA, *ask_for.CHECKSUMS, *ask_for.COLLATIONS, *ask_for.AMCHECK)

DATA = snapshot(*_DATA, _END)
WHOLE = snapshot(*_LIVE, _END)
FOREIGN_KEYS = snapshot(*ask_for.NO_INDEX_SCANS, ask_for.FOREIGN_KEYS, _END)


def structure(*, is_installed: bool) -> tuple[Statement, ...]:
    """Return the statements that look into every index and table with amcheck.

    :param is_installed: else it is made for the time, in a transaction that is rolled back.
    """
    borrow = () if is_installed else ask_for.BORROW
    return (*SETTINGS, Statement("begin"), *borrow, *ask_for.STRUCTURE, _END, Statement("rollback"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong.

    :param check: the kind, e.g. ``foreign-key``.
    :param name: what it was found in, e.g. ``events.events_user_id_fkey``.
    :param count: rows or keys that are wrong; 1 where nothing can be counted.
    """

    check: str
    name: str
    count: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """What a database holds.

    :param rows: exact rows by table.
    :param checked: kind of check to how many were made.
    :param notes: what is as it should not be and yet no problem.
    :param amcheck: ``installed``, ``available`` or empty.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    checked: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    amcheck: str = ""


def check(project: Project, *, database: str | None = None) -> Command:
    """Return the command that counts and checks the rows of a database; None = the live one."""
    return sql(project, as_script(DATA), effect=Effect.READ, database=database, timeout=1800)


def read(text: str, errors: str = "") -> Consistency:
    """Given what the statements answered, return it as values.

    :param errors: what the server refused, in the order of the checks that have no answer.
    :raises MalformedAnswer: it is in another form, or was cut short.
    """
    refused = [line for line in errors_of(errors).splitlines() if line.startswith(("ERROR:", "FATAL:"))]
    try:
        pairs = list(_paired([json.loads(line) for line in text.splitlines() if line.strip()]))
        return _collected(pairs, [line.partition(":")[2].strip() for line in refused])
    except (ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
        raise MalformedAnswer(
            "the database checked itself in an unknown form", details=(errors or text)[-500:].strip()
        ) from error


def _paired(lines: Sequence[Any]) -> Iterator[tuple[str, str, Mapping[str, Any] | None]]:
    """Yield the kind and name of each check and its answer, None where there is none."""
    if not lines or lines[-1] != ["end", ""] or not all(isinstance(line, list | dict) for line in lines):
        raise ValueError("cut short")
    for here, following in zip(lines, [*lines[1:], None], strict=True):
        if isinstance(here, list):
            kind, name = here
            if kind != "end":
                yield kind, name, following if isinstance(following, dict) else None


def _collected(pairs: Sequence[tuple[str, str, Mapping[str, Any] | None]], refused: Sequence[str]) -> Consistency:
    rows: dict[str, int] = {}
    checked: dict[str, int] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    amcheck = ""
    reasons = iter(refused)
    for kind, name, answer in pairs:
        if answer is None:
            why = next(reasons, "no answer")
            problems.append(Problem(check=kind, name=name, count=1, says=f"could not be checked: {why}"))
            continue
        checked[kind] = checked.get(kind, 0) + int(answer.get("checked", 1))
        notes += answer.get("notes", ())
        if answer.get("unchecked"):
            notes.append(f"{answer['unchecked']} exclusion constraints were not checked")
        if kind == "amcheck":
            amcheck = "installed" if answer["installed"] else "available" if answer["available"] else ""
        for found in answer.get("found", ()):
            count, says = int(found.get("count", 1)), found["says"]
            problems.append(Problem(check=kind, name=found["name"], count=count, says=says))
        count = int(answer.get("count", 0))
        if kind == "rows":
            rows[name] = count
        elif count:
            problems.append(Problem(check=kind, name=name, count=count, says=_sentence(kind, count, answer)))
    # What the server refused beyond that were statements that find out what there is to check.
    problems += [Problem(check="server", name="", count=1, says=f"could not be checked: {why}") for why in reasons]
    return Consistency(rows=rows, checked=checked, problems=tuple(problems), notes=tuple(notes), amcheck=amcheck)


def _sentence(kind: str, count: int, answer: Mapping[str, Any]) -> str:
    rows = "1 row" if count == 1 else f"{count} rows"
    loose = "" if answer.get("validated", True) else " (the constraint is NOT VALID)"
    match kind:
        case "foreign-key":
            verb = "points" if count == 1 else "point"
            return f"{rows} {verb} at nothing in {answer['parent']}, e.g. {answer['sample']}{loose}"
        case "check":
            return f"{rows} {'breaks' if count == 1 else 'break'} it{loose}"
        case "unique":
            keys = "1 key stands" if count == 1 else f"{count} keys stand"
            return f"{keys} more than once in {answer['table']}: the index is corrupt"
        case "sequence":
            return (
                f"will hand out numbers that {answer['column']} has: at {answer['last']}, used up to {answer['used']}"
            )
        case _:
            return str(answer.get("says") or f"{count} found")


def merged(one: Consistency, other: Consistency) -> Consistency:
    """Return both as one."""
    return Consistency(
        rows={**one.rows, **other.rows},
        checked={**one.checked, **other.checked},
        problems=(*one.problems, *other.problems),
        notes=(*one.notes, *other.notes),
        amcheck=one.amcheck,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What became of the data between two looks.

    :param worse: problems that are new, or have become more; tables that are gone or empty.
    :param fewer: tables that have lost some of their rows, which a live application may do rightly.
    :param others: what grew, appeared or was mended.
    """

    worse: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def compare(old: Consistency, new: Consistency, *, then: str = "before", are_rows_alone: bool = False) -> Difference:
    """Return what changed, as sentences.

    :param then: words for the old look, e.g. ``in the backup``.
    :param are_rows_alone: nothing but rows is known of the old one, so no problem is called new.
    """
    worse: list[str] = []
    fewer: list[str] = []
    others: list[str] = []
    for name, count in sorted(old.rows.items()):
        now = new.rows.get(name)
        if now is None:
            (worse if count else others).append(f"table {name} is gone; it had {count} rows {then}")
        elif now < count:
            sentence = f"{name} has {now} rows, {count - now} fewer than {then}"
            (fewer if now else worse).append(sentence)
        elif now > count:
            others.append(f"{name} has {now} rows, {now - count} more than {then}")
    others += [f"table {name} is new, with {new.rows[name]} rows" for name in sorted(set(new.rows) - set(old.rows))]
    if are_rows_alone:
        return Difference(worse=tuple(worse), fewer=tuple(fewer), others=tuple(others))
    known = {(problem.check, problem.name): problem.count for problem in old.problems}
    for problem in new.problems:
        had = known.pop((problem.check, problem.name), 0)
        if problem.count > had:
            more = f"; {had} {then}" if had else ""
            worse.append(f"{problem.check} {problem.name}: {problem.says}{more}")
    looked_at = {*new.checked, *(problem.check for problem in new.problems)}
    others += [f"{kind} {name}: mended" for kind, name in sorted(known) if kind in looked_at]
    return Difference(worse=tuple(worse), fewer=tuple(fewer), others=tuple(others))


def to_json(found: Consistency) -> dict[str, Any]:
    """Return what was found as it stands in documents and files."""
    return {
        "rows": dict(found.rows),
        "checked": dict(found.checked),
        "problems": [{"check": p.check, "name": p.name, "count": p.count, "text": p.says} for p in found.problems],
        "notes": list(found.notes),
    }


def from_json(said: Mapping[str, Any]) -> Consistency:
    """Given what ``to_json`` made, return it. Raise MalformedAnswer."""
    try:
        return Consistency(
            rows={str(name): int(count) for name, count in said["rows"].items()},
            checked={str(kind): int(count) for kind, count in said["checked"].items()},
            problems=tuple(
                Problem(check=p["check"], name=p["name"], count=int(p["count"]), says=p["text"])
                for p in said["problems"]
            ),
            notes=tuple(said["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswer("a saved check is in an unknown form", details=str(said)[:200]) from error


def keep_before(project: Project, run_id: str, *, database: str | None = None) -> Command:
    """Return the command that writes the answer for the run's scratch database, which is the data as it was backed up,
    into the run's folder: checking there takes nothing from the live one.

    :param database: to ask instead of the scratch one.
    """
    inner = check(project, database=database or scratch_name(project.database, run_id))
    body = 'file=$1; shift; umask 077; "$@" >"$file.partial" && mv "$file.partial" "$file"'
    return script(body, _file(project, run_id), *inner.argv, effect=Effect.WRITE, timeout=1800, place=inner.place)


def before(project: Project, run_id: str) -> Command:
    """Return the command that prints what ``keep_before`` wrote; nothing where it did not."""
    at = project.database_site.place
    return script('[ ! -e "$1" ] || cat "$1"', _file(project, run_id), effect=Effect.READ, place=at)


def _file(project: Project, run_id: str) -> str:
    return f"{project.database_site.run_folder(run_id)}/consistency-before"
