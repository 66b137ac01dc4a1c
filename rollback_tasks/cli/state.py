"""Where this user's own files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_folder(environ: Mapping[str, str]) -> Path:
    """Given the environment, return the folder for journals, reports and error logs; it may not exist yet.

    Source of the rule: the XDG base directory specification; a relative path there is to be ignored.
    """
    named = environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "rollback"
