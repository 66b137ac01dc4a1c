"""What ``--host`` says to the hosts that it means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from rollback_tasks.config.nearest import did_you_mean
from rollback_tasks.config.rules import shown
from rollback_tasks.config.schema import HostConfig, Inventory
from rollback_tasks.errors import UsageError

_LISTED = 20


def select(inventory: Inventory, patterns: Sequence[str]) -> tuple[HostConfig, ...]:
    """Given the values of ``--host``, return the hosts that they name.

    Each value is a host, a group, a glob over host names (``prod*``), or a comma list of these.

    :returns: each host once, in the order of the inventory.
    :raises UsageError: nothing is named, or a name is unknown; it lists what exists.
    """
    words = [word.strip() for pattern in patterns for word in pattern.split(",")]
    if not words:
        raise UsageError("no host is named", details=_existing(inventory), hint=_hint(inventory))
    chosen: set[str] = set()
    problems = []
    for word in words:
        found = _matches(inventory, word)
        chosen.update(found)
        if not found:
            problems.append(_problem(inventory, word))
    if problems:
        raise UsageError("; ".join(problems), details=_existing(inventory), hint=_hint(inventory))
    return tuple(host for name, host in inventory.hosts.items() if name in chosen)


def _matches(inventory: Inventory, word: str) -> Iterable[str]:
    if word in inventory.hosts:
        return (word,)
    if word in inventory.groups:
        return inventory.groups[word]
    return tuple(name for name in inventory.hosts if _is_glob(word) and fnmatchcase(name, word))


def _is_glob(word: str) -> bool:
    return any(character in word for character in "*?[")


def _problem(inventory: Inventory, word: str) -> str:
    if not word:
        return "--host holds an empty name"
    if _is_glob(word):
        return f"no host matches {shown(word)}"
    return f"no host or group is called {shown(word)}{did_you_mean(word, (*inventory.hosts, *inventory.groups))}"


def _existing(inventory: Inventory) -> str:
    lines = [f"hosts: {_list(inventory.hosts)}"]
    if inventory.groups:
        lines.append(f"groups: {_list(inventory.groups)}")
    return "\n".join(lines)


def _list(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _LISTED
    return ", ".join(every[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _hint(inventory: Inventory) -> str:
    example = next(iter(inventory.groups), None) or next(iter(inventory.hosts), "NAME")
    return f"name a host, a group, a glob or a comma list: --host {example}"
