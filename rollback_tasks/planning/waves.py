"""In which order the hosts of a fleet go."""

from __future__ import annotations

from collections.abc import Sequence


def waves(names: Sequence[str], *, canary: int, batch: str) -> tuple[tuple[str, ...], ...]:
    """Return the hosts in waves; a wave starts when the one before it has ended well enough.

    :param canary: hosts of the first wave; 0 for none.
    :param batch: hosts of each further wave: ``3``, ``25%`` of the fleet, or a list like ``1,30%,100%`` whose last
        entry repeats. A share is rounded down, and never less than one host.

    >>> waves(("a", "b", "c", "d"), canary=1, batch="2")
    (('a',), ('b', 'c'), ('d',))
    """
    left = list(names)
    found: list[tuple[str, ...]] = []
    sizes = [_size(entry, len(names)) for entry in batch.split(",")]
    if canary and len(left) > canary:
        found.append(tuple(left[:canary]))
        left = left[canary:]
    position = 0
    while left:
        size = sizes[min(position, len(sizes) - 1)]
        found.append(tuple(left[:size]))
        left = left[size:]
        position += 1
    return tuple(found)


def _size(entry: str, count: int) -> int:
    text = entry.strip()
    if text.endswith("%"):
        return max(1, count * int(text[:-1]) // 100)
    return max(1, int(text))
