"""The nearest name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Given a misspelt name, return ``, did you mean "..."?`` or nothing where none is near."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold()[:200], list(by_folded), n=1, cutoff=0.6)
    return f', did you mean "{by_folded[matches[0]]}"?' if matches else ""
