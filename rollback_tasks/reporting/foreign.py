"""Text that hosts, git and databases wrote: made harmless before anybody sees it.

A terminal obeys control characters, so a tag or a table's name could move the cursor, hide lines or write
what the operator then reads as ours. Nothing that does not print as itself reaches an output.
"""

from __future__ import annotations


def visible(text: str) -> str:
    """Given any text, return it on one line with what does not print replaced by ``\\x1b`` or ``\\u202e``.

    That holds for control characters, line ends, changes of writing direction, unassigned characters and
    halves of surrogate pairs. A tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def visible_lines(text: str) -> list[str]:
    """Given text of several lines, return each as ``visible``; empty ones at its end are left out."""
    return [visible(line) for line in text.replace("\r\n", "\n").rstrip().split("\n")]


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character == "\t":
        return " "
    return character.encode("ascii", "backslashreplace").decode("ascii") if ord(character) > 0x7F else _hex(character)


def _hex(character: str) -> str:
    return f"\\x{ord(character):02x}"
