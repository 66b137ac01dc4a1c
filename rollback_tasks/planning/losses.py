"""What a downgrade takes, named as the live database names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rollback_tasks.drivers.alembic import Script
from rollback_tasks.drivers.alembic_operations import Operation, OperationKind
from rollback_tasks.model.verdict import Loss

_UNKNOWN = "unknown@"
Count = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Costs:
    """What undoing some revisions takes, before anything is counted."""

    losses: tuple[Loss, ...]
    warnings: tuple[str, ...]


def costs_of(undone: Iterable[Script]) -> Costs:
    """Read the downgrades of ``undone``, newest first, and return what they take.

    Renames are followed: a column that a newer downgrade first renames back is counted under the name that it
    has now. A table or column that the downgrades themselves create holds nothing of today.
    """
    walk = _Walk()
    for script in undone:
        walk.script(script)
    whole = {loss.table for loss in walk.losses if not loss.column}
    kept = {loss.name: loss for loss in reversed(walk.losses) if not loss.column or loss.table not in whole}
    losses = tuple(loss for loss in dict.fromkeys(walk.losses) if kept.get(loss.name) == loss)
    return Costs(losses, tuple(dict.fromkeys(walk.warnings)))


def count_targets(losses: Iterable[Loss]) -> list[Count]:
    """Return the (table, column) whose live rows, or non-null values, must be counted; column "" means rows."""
    return [(loss.table, loss.column) for loss in losses if _is_countable(loss)]


def with_counts(losses: Iterable[Loss], counts: Mapping[Count, int]) -> tuple[Loss, ...]:
    """Return ``losses`` with their counts, without those that turned out to be empty.

    A loss that ``counts`` does not name stays, as an unknown number.
    """
    counted = (
        replace(loss, count=counts.get((loss.table, loss.column))) if _is_countable(loss) else loss for loss in losses
    )
    return tuple(loss for loss in counted if loss.count != 0)


def unaccepted(losses: Iterable[Loss], accepted: frozenset[str]) -> tuple[Loss, ...]:
    """Return the losses that ``accepted`` (names as in ``Loss.name``) does not name."""
    return tuple(loss for loss in losses if loss.name not in accepted)


def _is_countable(loss: Loss) -> bool:
    return not loss.table.startswith(_UNKNOWN) and not loss.column.startswith(_UNKNOWN)


@dataclass(slots=True)
class _Thing:
    """A table, while the downgrades go on. ``live`` is its name today; None where they created it."""

    live: str | None
    columns: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Walk:
    tables: dict[str, _Thing] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def script(self, script: Script) -> None:
        revision = script.revision
        reading = script.downgrade
        for operation in reading.operations:
            self._operation(operation, revision)
        self.warnings.extend(f"revision {revision}: {note}" for note in reading.notes)
        if script.is_double:
            self.losses.append(Loss(f"{_UNKNOWN}{revision}", revision=revision))
        if reading.may_raise:
            self.warnings.append(f"revision {revision}: downgrade() raises under some condition")
        if reading.has_autocommit:
            self.warnings.append(
                f"revision {revision}: downgrade() commits on its way, so that a failure leaves a part of it done"
            )

    def _operation(self, operation: Operation, revision: str) -> None:
        unknown = f"{_UNKNOWN}{revision}"
        thing = self._thing(operation.table, unknown)
        match operation.kind:
            case OperationKind.DROP_TABLE:
                if thing.live is not None:
                    self.losses.append(Loss(thing.live, revision=revision))
            case OperationKind.DELETE_ROWS:
                if thing.live is not None:
                    self.losses.append(Loss(thing.live, revision=revision))
                    self.warnings.append(
                        f"revision {revision}: downgrade() deletes rows of {thing.live}, perhaps not all"
                    )
            case OperationKind.DROP_COLUMN:
                column = self._column(thing, operation.column, unknown)
                if thing.live is not None and column is not None:
                    self.losses.append(Loss(thing.live, column, revision=revision))
            case OperationKind.CREATE_TABLE:
                if operation.table and not operation.conditional:
                    self.tables[operation.table] = _Thing(None)
            case OperationKind.ADD_COLUMN:
                if operation.column and not operation.conditional:
                    thing.columns[operation.column] = None
            case OperationKind.RENAME_TABLE:
                self._rename_table(operation, unknown)
            case OperationKind.RENAME_COLUMN:
                self._rename_column(operation, thing, unknown)
            case OperationKind.UNKNOWN:
                self.losses.append(Loss(unknown, revision=revision))
            case OperationKind.CHANGE_TYPE:
                name = self._label(thing, operation, unknown)
                self.warnings.append(f"revision {revision}: downgrade() changes the type of {name}")
            case OperationKind.SET_NOT_NULL:
                name = self._label(thing, operation, unknown)
                self.warnings.append(f"revision {revision}: downgrade() fails where {name} has empty values")
            case OperationKind.CHANGE_DATA:
                self.warnings.append(
                    f"revision {revision}: downgrade() changes rows of {thing.live or operation.table}"
                )
            case OperationKind.ADD_DATA | OperationKind.OTHER:
                return

    def _thing(self, table: str | None, unknown: str) -> _Thing:
        if not table:
            return _Thing(unknown)
        return self.tables.setdefault(table, _Thing(table))

    def _column(self, thing: _Thing, column: str | None, unknown: str) -> str | None:
        return thing.columns.get(column, column) if column else unknown

    def _label(self, thing: _Thing, operation: Operation, unknown: str) -> str:
        return f"{thing.live or operation.table}.{self._column(thing, operation.column, unknown) or operation.column}"

    def _rename_table(self, operation: Operation, unknown: str) -> None:
        if operation.table and operation.new_name and not operation.conditional:
            self.tables[operation.new_name] = self._thing(operation.table, unknown)
            self.tables[operation.table] = _Thing(unknown)
            return
        # From here on nobody can say which live table these names mean.
        for name in (operation.table, operation.new_name):
            if name:
                self.tables[name] = _Thing(unknown)
        if not (operation.table and operation.new_name):
            self.losses.append(Loss(unknown, revision=unknown.removeprefix(_UNKNOWN)))

    def _rename_column(self, operation: Operation, thing: _Thing, unknown: str) -> None:
        old, new = operation.column, operation.new_name
        if old and new and operation.table and not operation.conditional:
            thing.columns[new] = thing.columns.get(old, old)
            thing.columns[old] = unknown
            return
        for name in (old, new):
            if name:
                thing.columns[name] = unknown
        if not operation.table:
            self.losses.append(Loss(unknown, revision=unknown.removeprefix(_UNKNOWN)))
