"""What backup.list and backup.pull say: a table for people, fields for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, backup_fields, error_fields
from rollback_tasks.flows.copies import Backups, Pulled
from rollback_tasks.flows.everywhere import OfHost
from rollback_tasks.model.recovery import BaseBackup, said
from rollback_tasks.model.release import Backup
from rollback_tasks.reporting.amounts import size
from rollback_tasks.reporting.tables import Column, table

_NOWHERE = Backups()


def backups(found: Sequence[OfHost[Backups]]) -> Answer:
    """Return the backups of hosts, newest first, and what this machine has of them."""
    rows: list[tuple[object, ...]] = []
    others: list[tuple[object, ...]] = []
    hosts = []
    for each in found:
        known = each.found or _NOWHERE
        here = {copy.name: copy for copy in known.here}
        there = {backup.name for backup in (*known.there, *(backup for backup, _ in known.others))}
        alone = [copy for copy in known.here if copy.name not in there]
        rows += [_row(each.host, backup, _state(here.get(backup.name))) for backup in known.there]
        rows += [_row(each.host, copy, f"{_state(copy)}, not on the host") for copy in alone]
        others += [
            (each.host, backup.name, size(backup.size_bytes), backup.damage or backup.level.value, backup.taken_at, of)
            for backup, of in known.others
        ]
        hosts.append(
            {
                "host": each.host,
                "backups": [
                    {**backup_fields(backup), "copy": _copy_fields(here.get(backup.name))} for backup in known.there
                ],
                "copies_alone": [_copy_fields(copy) for copy in alone],
                "others": [{**backup_fields(backup), "of": of} for backup, of in known.others],
                "base_backups": [_base_fields(base) for base in known.bases],
                **error_fields(each.error),
            }
        )
    columns = (
        "host",
        "backup",
        Column("size", is_number=True),
        "proven",
        "on",
        "taken",
        Column("rows", is_number=True),
        "schema",
        "here",
    )
    bases = [
        (each.host, base.name, size(base.size_bytes), said(base.stopped_at), base.start_wal)
        for each in found
        for base in (each.found or _NOWHERE).bases
    ]
    text = table(columns, rows)
    if others:
        text += "\n" + table(("host", "other backup", Column("size", is_number=True), "proven", "taken", "of"), others)
    if bases:
        apart = ("host", "base backup", Column("size", is_number=True), "reaches from", "first segment")
        text += "\n" + table(apart, bases)
    return answer(text, hosts, [each.error for each in found])


def _base_fields(base: BaseBackup) -> dict[str, Any]:
    return {
        "name": base.name,
        "path": base.path,
        "sha256": base.sha256,
        "bytes": base.size_bytes,
        "reaches_from": base.stopped_at.isoformat(),
        "first_segment": base.start_wal,
        "timeline": base.timeline,
    }


def _row(host: str, backup: Backup, here: str) -> tuple[object, ...]:
    return (
        host,
        backup.name,
        size(backup.size_bytes),
        backup.damage or backup.level.value,
        "" if backup.damage else backup.verified_at,
        backup.taken_at,
        sum(backup.counts.values()),
        ", ".join(backup.schema),
        here,
    )


def _state(copy: Backup | None) -> str:
    return "" if copy is None else copy.damage or "copied"


def _copy_fields(copy: Backup | None) -> dict[str, Any] | None:
    if copy is None:
        return None
    return {"name": copy.name, "path": copy.path, "bytes": copy.size_bytes, "damage": copy.damage or None}


def pulled(found: Sequence[OfHost[Pulled]]) -> Answer:
    """Return what was copied to this machine, or would be."""
    rows: list[tuple[object, ...]] = []
    hosts = []
    for each in found:
        known = each.found or Pulled()
        words = [(backup, "copied") for backup in known.came]
        words += [(backup, "to copy") for backup in known.wanted if backup not in known.came]
        rows += [(each.host, backup.name, size(backup.size_bytes), word) for backup, word in words]
        if each.found is not None and not words:
            rows.append((each.host, "", "", "nothing to copy"))
        hosts.append(
            {
                "host": each.host,
                "copied": [backup_fields(backup) for backup in known.came],
                "to_copy": [backup_fields(backup) for backup in known.wanted if backup not in known.came],
                "bytes_before": known.bytes_before,
                **error_fields(each.error),
            }
        )
    columns = ("host", "backup", Column("size", is_number=True), "is")
    return answer(table(columns, rows), hosts, [each.error for each in found])
