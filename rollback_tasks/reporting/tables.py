"""Tables of the tasks that list something: aligned plain text that ``cut``, ``awk`` and eyes can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.reporting.foreign import visible
from rollback_tasks.reporting.lines import Clean, cells

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column; numbers stand at its right edge."""

    name: str
    is_number: bool = False


def table(columns: Sequence[Column | str], rows: Sequence[Sequence[object]], *, clean: Clean = str) -> str:
    """Given columns and rows, return the table with its header; each line ends with a newline.

    :param rows: a cell may be any value; None and the empty text show as ``-``.
    :param clean: what hides secrets.
    :raises ValueError: a row has more or fewer cells than there are columns.
    """
    heads = [Column(column) if isinstance(column, str) else column for column in columns]
    grid = [[head.name.upper() for head in heads]]
    for row in rows:
        grid.append([_cell(value, clean) for _, value in zip(heads, row, strict=True)])
    widths = [max(cells(row[index]) for row in grid) for index in range(len(heads))]
    text = ""
    for row in grid:
        padded = [_padded(cell, width, head.is_number) for cell, width, head in zip(row, widths, heads, strict=True)]
        text += _GAP.join(padded).rstrip() + "\n"
    return text


def _cell(value: object, clean: Clean) -> str:
    return visible(clean("" if value is None else str(value))) or "-"


def _padded(cell: str, width: int, is_number: bool) -> str:
    space = " " * (width - cells(cell))
    return space + cell if is_number else cell + space
