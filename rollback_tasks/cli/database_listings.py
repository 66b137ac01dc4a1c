"""What db.* says: a table for people, fields for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, error_fields
from rollback_tasks.drivers import consistency
from rollback_tasks.errors import ExitCode
from rollback_tasks.flows.database import Checked, Counted
from rollback_tasks.flows.everywhere import OfHost
from rollback_tasks.flows.migrations import Standing
from rollback_tasks.reporting.tables import Column, table

# How many of a kind were checked, in the words of a person.
_KINDS = {
    "rows": ("table", "tables"),
    "foreign-key": ("foreign key", "foreign keys"),
    "check": ("check constraint", "check constraints"),
    "unique": ("unique index", "unique indexes"),
    "sequence": ("sequence", "sequences"),
    "index": ("index", "indexes"),
    "trigger": ("trigger", "triggers"),
    "index-structure": ("index looked into", "indexes looked into"),
    "table-structure": ("table looked into", "tables looked into"),
}


def looked_at(found: consistency.Consistency) -> str:
    """Return how much was checked, e.g. ``5 tables (34000 rows), 6 foreign keys``."""
    words = []
    for kind, names in _KINDS.items():
        number = found.checked.get(kind, 0)
        if number or (kind in ("rows", "foreign-key") and kind in found.checked):
            tail = f" ({sum(found.rows.values())} rows)" if kind == "rows" else ""
            words.append(f"{number} {names[number != 1]}{tail}")
    return ", ".join(words) or "nothing"


def checks(found: Sequence[OfHost[Checked]]) -> Answer:
    """Return what is wrong with the data of hosts; problems decide the exit code."""
    text = ""
    hosts = []
    for each in found:
        hosts.append({"host": each.host, **_check_fields(each.found), **error_fields(each.error)})
        if each.found is not None:
            text += _check_text(each.host, each.found)
    code = ExitCode.PROBLEMS if any(each.found and each.found.has_problem for each in found) else ExitCode.DONE
    return answer(text, hosts, [each.error for each in found], code=code)


def _check_text(host: str, checked: Checked) -> str:
    found, difference = checked.found, checked.difference
    lines = [f"{host}: checked {looked_at(found)}"]
    rows = [(p.check, p.name, p.says) for p in found.problems]
    lines += table(("problem", "in", "says"), rows).splitlines() if rows else ["no problem"]
    lines += [f"note: {note}" for note in found.notes]
    if difference is not None:
        lines.append(f"compared with what was {checked.against}:")
        told = [*(("worse", text) for text in difference.worse), *(("fewer rows", text) for text in difference.fewer)]
        told += [("changed", text) for text in difference.others]
        lines += [f"  {word}: {text}" for word, text in told] or ["  nothing changed"]
    return "".join(f"{line}\n" for line in lines)


def _check_fields(checked: Checked | None) -> dict[str, Any]:
    if checked is None:
        return {}
    difference = checked.difference
    told = None
    if difference is not None:
        told = {
            "with": checked.against,
            "worse": list(difference.worse),
            "fewer": list(difference.fewer),
            "others": list(difference.others),
        }
    return {**consistency.to_json(checked.found), "difference": told}


def counts(found: Sequence[OfHost[Counted]]) -> Answer:
    """Return the rows of every table of hosts; a table that is not there is a problem."""
    rows: list[tuple[object, ...]] = []
    hosts = []
    for each in found:
        counted = each.found
        if counted is not None:
            rows += [(each.host, name, number) for name, number in counted.rows.items()]
            rows += [(each.host, name, "no such table") for name in counted.missing]
        hosts.append(
            {
                "host": each.host,
                "rows": dict(counted.rows) if counted else None,
                "missing": list(counted.missing) if counted else [],
                **error_fields(each.error),
            }
        )
    is_missing = any(each.found is not None and each.found.missing for each in found)
    code = ExitCode.PROBLEMS if is_missing else ExitCode.DONE
    said = table(("host", "table", Column("rows", is_number=True)), rows)
    return answer(said, hosts, [each.error for each in found], code=code)


def migrations(found: Sequence[OfHost[Standing]]) -> Answer:
    """Return where the schema of every host stands."""
    text = ""
    hosts = []
    for each in found:
        hosts.append({"host": each.host, **_standing_fields(each.found), **error_fields(each.error)})
        if each.found is not None:
            text += "".join(f"{each.host}: {line}\n" for line in _standing_lines(each.host, each.found))
    return answer(text, hosts, [each.error for each in found])


def _standing_lines(host: str, standing: Standing) -> list[str]:
    image = "not read" if standing.image is None else _heads(standing.image)
    lines = [f"database {_heads(standing.database)}, image {image}, checkout {_heads(standing.checkout)}"]
    if standing.problem:
        lines.append(f"the scripts cannot be read: {standing.problem}")
    if standing.pending:
        lines.append(f"pending: {', '.join(standing.pending)}")
    if standing.unknown:
        lines.append(
            f"unknown: {', '.join(standing.unknown)}: other code migrated the database; deploy that code again, or "
            f"`inv rollback.full --host {host}` says what else is possible"
        )
    lines += standing.differences
    back = standing.back
    if back is not None:
        way = f": alembic downgrade {', then '.join(back.commands)}" if back.commands else ""
        lines.append(f"back to {_heads(back.target)}: {back}{way}")
    return lines


def _heads(heads: Sequence[str]) -> str:
    return ", ".join(heads) or "none"


def _standing_fields(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return {}
    back = standing.back
    return {
        "database": list(standing.database),
        "image": None if standing.image is None else list(standing.image),
        "checkout": list(standing.checkout),
        "pending": list(standing.pending),
        "unknown": list(standing.unknown),
        "differences": list(standing.differences),
        "problem": standing.problem or None,
        "back": None
        if back is None
        else {
            "verdict": back.kind.value,
            "to": list(back.target),
            "commands": list(back.commands),
            "losses": [{"name": loss.name, "count": loss.count} for loss in back.losses],
            "explanation": back.explanation,
        },
    }
