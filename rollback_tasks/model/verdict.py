"""Can the target run on this schema, and what does it cost to get there?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class VerdictKind(Enum):
    """The words of the plan's one line; public API in JSON."""

    CODE_ONLY = "code-only"
    SCHEMA_AHEAD = "code-only, schema ahead"
    DOWNGRADE = "downgrade"
    DOWNGRADE_LOSSY = "downgrade, loses data"
    BEHIND = "behind"
    DIVERGED = "diverged"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    """Data that a downgrade would take: a table's rows, or a column's non-null values.

    ``count`` is None where the scripts do not say what is lost (raw SQL): the rehearsal decides.
    """

    table: str
    column: str = ""
    count: int | None = None
    revision: str = ""

    @property
    def name(self) -> str:
        """``table`` or ``table.column``, as ``--accept-data-loss`` takes it."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        what = "values" if self.column else "rows"
        count = "an unknown number of" if self.count is None else str(self.count)
        return f"{self.name} ({count} {what})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line a host.

    :param current: sorted heads of the live database.
    :param target: sorted heads that the target release needs.
    :param commands: ``alembic downgrade`` arguments in order; empty where none is needed.
    :param undone: revisions that are undone, newest first.
    :param losses: what goes with them.
    :param explanation: why, for behind, diverged and impossible.
    """

    kind: VerdictKind
    current: tuple[str, ...]
    target: tuple[str, ...]
    commands: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    explanation: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_possible(self) -> bool:
        """True where a rollback may go on (losses still need to be accepted)."""
        return self.kind in (
            VerdictKind.CODE_ONLY,
            VerdictKind.SCHEMA_AHEAD,
            VerdictKind.DOWNGRADE,
            VerdictKind.DOWNGRADE_LOSSY,
        )

    def __str__(self) -> str:
        count = len(self.undone)
        revisions = f"{count} revision{'' if count == 1 else 's'}"
        match self.kind:
            case VerdictKind.CODE_ONLY:
                return "code-only: the schema stays"
            case VerdictKind.SCHEMA_AHEAD:
                return "code-only, the schema stays ahead"
            case VerdictKind.DOWNGRADE:
                return f"downgrade {revisions}, nothing lost"
            case VerdictKind.DOWNGRADE_LOSSY:
                return f"downgrade {revisions}, loses {', '.join(str(loss) for loss in self.losses)}"
            case VerdictKind.BEHIND | VerdictKind.DIVERGED | VerdictKind.IMPOSSIBLE:
                return f"{self.kind.value}: {self.explanation}"
