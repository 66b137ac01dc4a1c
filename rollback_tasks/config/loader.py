"""Find and read hosts.yaml: the room's only input and output."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rollback_tasks.config.rules import Spot
from rollback_tasks.config.schema import Inventory
from rollback_tasks.config.validate import validate
from rollback_tasks.errors import ConfigError

FILE_NAME = "hosts.yaml"
VARIABLE = "ROLLBACK_HOSTS_FILE"

# A file that is larger is no inventory; reading it whole would only cost memory.
_LARGEST_BYTES = 4 * 1024 * 1024


def find(
    hosts_file: str | None,
    *,
    tasks_folder: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Return the inventory's path: the flag, ``$ROLLBACK_HOSTS_FILE``, upwards from here, beside tasks.py.

    :param hosts_file: what ``--hosts-file`` says; None or empty where it was not given.
    :param tasks_folder: the folder of tasks.py.
    :param folder: where to start upwards; None = the current folder.
    :param environment: None = this process's own.
    :raises ConfigError: a named file is missing, or none was found anywhere.
    """
    start = (folder or Path.cwd()).absolute()
    variables = os.environ if environment is None else environment
    for source, named in (("--hosts-file", hosts_file), (f"${VARIABLE}", variables.get(VARIABLE))):
        if named:
            path = start / os.path.expanduser(named)
            if not path.exists() or path.is_dir():
                raise ConfigError(str(path), [f"no such file, named by {source}"], hint=_HINT)
            return path
    for candidate in (*(above / FILE_NAME for above in (start, *start.parents)), tasks_folder / FILE_NAME):
        if candidate.is_file():
            return candidate
    places = f"not in {start} or above it, not in {tasks_folder}, and ${VARIABLE} is not set"
    raise ConfigError(FILE_NAME, [f"not found: {places}"], hint=_HINT)


_HINT = "name your inventory: --hosts-file PATH; the commented hosts.yaml beside tasks.py is the example to copy"


def load(path: Path, *, home: Path | None = None) -> Inventory:
    """Given the path of a hosts.yaml, return the inventory.

    :param home: what ``~`` in it stands for; None = this user's home folder.
    :raises ConfigError: it cannot be read, is no YAML, or has problems: then all of them.
    """
    from rollback_tasks.config.document import Unreadable, parse

    whole = path.absolute()
    try:
        with whole.open("rb") as file:
            text = file.read(_LARGEST_BYTES + 1)
    except OSError as exc:
        raise ConfigError(str(path), [f"cannot be read: {exc.strerror}"], hint=_HINT) from exc
    if len(text) > _LARGEST_BYTES:
        raise ConfigError(str(path), ["is larger than 4 MiB"], hint=_HINT)
    spot = Spot(path="", problems=[], folder=str(whole.parent), home=str(home or os.path.expanduser("~")))
    try:
        data = parse(text, spot=spot)
    except Unreadable as exc:
        raise ConfigError(str(path), [str(exc)]) from exc
    return validate(data, path=str(path), folder=spot.folder, home=spot.home, problems=spot.problems)
