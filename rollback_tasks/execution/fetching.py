"""A backup leaves the host: manifest first, then the dump, hash compared while it arrives."""

from __future__ import annotations

import json

from rollback_tasks.errors import StepFailed
from rollback_tasks.model.plan import Fetch
from rollback_tasks.ports import Host, Laptop
from rollback_tasks.shell import Command, Effect


def fetch(action: Fetch, host: Host, laptop: Laptop) -> None:
    """Copy a backup to the laptop. A dump that is already there whole is not copied again.

    :raises StepFailed: what arrived is not what the manifest says; no file that looks good is left.
    """
    manifest = host.run(_cat(f"{action.path}.manifest.json", action.place, timeout=60)).stdout
    want = str(json.loads(manifest)["sha256"])
    dump = f"{action.local_path}.dump"
    if laptop.digest(dump) != want:
        with laptop.receive(dump) as receiver:
            host.pull(_cat(f"{action.path}.dump", action.place, timeout=24 * 3600), receiver.write)
            if receiver.sha256 != want:
                raise StepFailed(
                    "the backup arrived damaged",
                    details=f"sha256 {receiver.sha256}, the manifest says {want}; the copy was removed",
                    host=host.name,
                )
            receiver.finish()
    laptop.write(f"{action.local_path}.manifest.json", manifest)


def _cat(path: str, place: str, *, timeout: float) -> Command:
    return Command(argv=("cat", "--", path), effect=Effect.READ, timeout=timeout, place=place)
