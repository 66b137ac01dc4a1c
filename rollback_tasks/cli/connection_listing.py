"""What db.connections says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, error_fields
from rollback_tasks.errors import ExitCode
from rollback_tasks.flows.connections import Diagnosed
from rollback_tasks.flows.everywhere import OfHost
from rollback_tasks.reporting.tables import Column, table


def connections(found: Sequence[OfHost[Diagnosed]]) -> Answer:
    """Return the sessions of every host's server; trouble decides the exit code."""
    text = ""
    hosts = []
    for each in found:
        if each.found is not None:
            text += "".join(f"{line}\n" for line in _lines(each.host, each.found))
        hosts.append({"host": each.host, **_fields(each.found), **error_fields(each.error)})
    in_trouble = any(each.found is not None and each.found.troubles for each in found)
    code = ExitCode.PROBLEMS if in_trouble else ExitCode.DONE
    return answer(text, hosts, [each.error for each in found], code=code)


def _lines(host: str, seen: Diagnosed) -> list[str]:
    now = seen.now
    lines = [f"{host}: {line}" for line in seen.ended]
    if now is None:
        names = ("sessions", "service", "address", "user", "database", "state")
        return [*lines, f"{host}: every slot is taken", *_table(names, seen.holders), *_troubles(seen)]
    slots = now.slots
    lines.append(
        f"{host}: {slots.used} of {slots.limit} slots used, {slots.free} free for the application "
        f"({slots.reserved} reserved); {slots.active} active, {slots.idle} idle, {slots.idle_in_transaction} idle in "
        f"transaction, {slots.waiting} waiting for a lock"
    )
    lines += _table(("sessions", "user", "application", "address", "database", "state", "seconds"), now.users)
    if now.roots:
        roots = [asdict(root) for root in now.roots]
        lines += ["", "others wait for:", *_table(("waiting", "pid", "user", "application", "state", "query"), roots)]
    if now.long:
        lines += [
            "",
            "long transactions:",
            *_table(("seconds", "pid", "user", "application", "state", "query"), now.long),
        ]
    if now.prepared:
        lines += ["", "prepared transactions:", *_table(("seconds", "name", "owner", "database"), now.prepared)]
    lines.append("timeouts: " + ", ".join(f"{name} {value}" for name, value in now.timeouts.items()))
    return [*lines, *_troubles(seen)]


def _troubles(seen: Diagnosed) -> list[str]:
    return [f"PROBLEM {line}" for line in seen.troubles]


def _table(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = [Column(name, is_number=name in ("sessions", "seconds", "waiting", "pid")) for name in names]
    return table(columns, [[_flat(row.get(name)) for name in names] for row in rows]).splitlines()


def _flat(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


def _fields(seen: Diagnosed | None) -> dict[str, Any]:
    if seen is None:
        return {}
    now = seen.now
    return {
        "slots": {**asdict(now.slots), "free": now.slots.free} if now else None,
        "users": [dict(row) for row in (now.users if now else seen.holders)],
        "roots": [asdict(root) for root in now.roots] if now else [],
        "long": [dict(row) for row in now.long] if now else [],
        "prepared": [dict(row) for row in now.prepared] if now else [],
        "timeouts": dict(now.timeouts) if now else {},
        "troubles": list(seen.troubles),
        "ended": list(seen.ended),
    }
