"""One table from a backup: what forbids it, what it costs, and the order of its steps."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollback_tasks.drivers.table_rows import schema_name
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, Release
from rollback_tasks.planning import restore_sequence
from rollback_tasks.planning.database_parts import emergency
from rollback_tasks.planning.parts import Settings
from rollback_tasks.planning.restoring import of_other
from rollback_tasks.steps.merge_table import MergeTable, StageTable
from rollback_tasks.steps.restore_beside import DropRestored, RestoreBeside, VerifyRestored
from rollback_tasks.steps.save_evidence import SaveEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class TableWish:
    """What is to become of one table.

    :param table: as counts name it: ``schema.table``, without ``public.``.
    :param replaces: rows that differ get the backup's values.
    :param deletes: rows that the backup does not have are deleted.
    :param is_quiet: its own triggers do not fire.
    :param proves: as of ``restore_sequence.emergency``; ``is_foreign_meant`` as of ``restoring.usable``.
    """

    table: str
    replaces: bool = False
    deletes: bool = False
    is_quiet: bool = False
    proves: bool = True
    is_foreign_meant: bool = False


def blockers(facts: HostFacts, backup: Backup, live: Mapping[str, int], wish: TableWish) -> Iterator[Blocker]:
    """Yield a blocker where one of the two databases has no such table."""
    if wish.table not in backup.counts:
        near = difflib.get_close_matches(wish.table, list(backup.counts), n=1)
        yield Blocker(
            f"backup {backup.name} has no table {wish.table}",
            f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(backup.counts)[:12])}.",
        )
    elif wish.table not in live:
        yield Blocker(
            f"the live database has no table {wish.table}: its rows have nowhere to go",
            f"restore the whole database: `inv rollback.restore --host {facts.host} --backup {backup.name}`, "
            "or make the table first (its migration), then plan again.",
        )


def warnings(facts: HostFacts, backup: Backup) -> Iterator[str]:
    """Yield where the rows come from, if that is not this deployment."""
    if foreign := of_other(facts, backup):
        yield f"backup {backup.name} is of {foreign}"


def costs(run_id: str, wish: TableWish) -> tuple[str, ...]:
    """Return what leaves the live table, as the operator has to agree to it."""
    kept = f"kept in schema {schema_name(run_id)}"
    found = []
    if wish.replaces:
        found.append(f"the values of rows of {wish.table} that differ from the backup ({kept})")
    if wish.deletes:
        found.append(f"rows of {wish.table} that the backup does not have ({kept})")
    return tuple(found)


def sequence(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    backup: Backup,
    settings: Settings,
    wish: TableWish,
) -> tuple[Step, ...]:
    """Return the steps; the application serves all the while."""
    source = restore_sequence.of_backup(backup)
    return (
        SaveEvidence(project_=project, run_id=run_id),
        *emergency(project, run_id, facts, current, settings, proves=wish.proves),
        RestoreBeside(project_=project, run_id=run_id, source=source.path, size_bytes=source.size_bytes),
        VerifyRestored(project_=project, run_id=run_id, source=source.path, is_compared=False),
        StageTable(project_=project, run_id=run_id, table=wish.table, source=source.path, size_bytes=source.size_bytes),
        MergeTable(
            project_=project,
            run_id=run_id,
            table=wish.table,
            replaces=wish.replaces,
            deletes=wish.deletes,
            is_quiet=wish.is_quiet,
            size_bytes=source.size_bytes,
        ),
        DropRestored(project_=project, run_id=run_id),
    )
