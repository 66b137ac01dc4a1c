"""Where this user's own files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_folder(environ: Mapping[str, str]) -> Path:
    """Given the environment, return the folder for journals, reports and error logs; it may not exist yet.

    Source of the rule: the XDG base directory specification; a relative path there is to be ignored.
    """
    return _base(environ, "XDG_STATE_HOME", Path(".local") / "state") / "rollback"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Given the environment, return the folder for what can be made again; it may not exist yet. Same source."""
    return _base(environ, "XDG_CACHE_HOME", Path(".cache")) / "rollback"


def _base(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    named = environ.get(variable, "")
    return Path(named) if named.startswith("/") else Path(environ.get("HOME") or Path.home()) / default
