"""A backup leaves the host, comes back to it, or is let go on the laptop."""

from __future__ import annotations

import json

from rollback_tasks.errors import MalformedAnswer, StepFailed
from rollback_tasks.model.plan import Fetch, Forget, Send
from rollback_tasks.ports import Host, Laptop
from rollback_tasks.shell import Command, Effect, script

_DAY = 24 * 3600
_BEGINNING = 'head -c "$2" <"$1" | sha256sum | cut -d" " -f1'
REST = 'exec tail -c "+$2" <"$1"'
_TAKE = 'umask 077; mkdir -p -- "${1%/*}" && cat >"$1"'


def move(action: Fetch | Send | Forget, host: Host, laptop: Laptop) -> None:
    """Do what an action between host and laptop says. Raises as ``fetch``."""
    match action:
        case Fetch():
            fetch(action, host, laptop)
        case Send():
            _send(action, host, laptop)
        case Forget():
            for path in action.local_paths:
                laptop.remove(path)


def fetch(action: Fetch, host: Host, laptop: Laptop) -> None:
    """Copy a backup to the laptop, its manifest last. A dump that is already there whole is not copied again, and one
    that was cut goes on where it stopped, once the host has said that it begins with these bytes.

    :raises StepFailed: what arrived is not what the manifest says; no file that looks good is left.
    """
    manifest = host.run(_cat(f"{action.path}.manifest.json", action.place)).stdout
    try:
        said = json.loads(manifest)
        want, globals_ = str(said["sha256"]), said.get("globals")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer("the backup's manifest cannot be read", host=host.name) from error
    _fetch_file(action, ".dump", want, host, laptop)
    if isinstance(globals_, dict):
        _fetch_file(action, ".globals.sql", str(globals_.get("sha256")), host, laptop)
    laptop.write(f"{action.local_path}.manifest.json", manifest)


def _fetch_file(action: Fetch, end: str, want: str, host: Host, laptop: Laptop) -> None:
    path, local = f"{action.path}{end}", f"{action.local_path}{end}"
    if laptop.digest(local) == want:
        return
    with laptop.receive(local) as receiver:
        if receiver.size_bytes and receiver.sha256 != want:
            number = str(receiver.size_bytes)
            asked = script(_BEGINNING, path, number, effect=Effect.READ, timeout=_DAY, place=action.place)
            if host.run(asked).text.strip() != receiver.sha256:
                receiver.restart()
        if receiver.sha256 != want:
            behind = str(receiver.size_bytes + 1)
            rest = script(REST, path, behind, effect=Effect.READ, timeout=_DAY, place=action.place)
            host.pull(rest, receiver.write)
        if receiver.sha256 != want:
            raise StepFailed(
                "the backup arrived damaged",
                details=f"sha256 {receiver.sha256}, the manifest says {want}; the copy was removed",
                hint=f"`inv backup.verify --host {host.name}` tells whether it is damaged on the host.",
                host=host.name,
            )
        receiver.finish()


def _send(action: Send, host: Host, laptop: Laptop) -> None:
    """Copy a file of the laptop to the host, private from its first byte; nobody may take it for whole yet."""
    take = script(_TAKE, action.path, effect=Effect.WRITE, timeout=_DAY, place=action.place)
    host.push(take, laptop.pieces(action.local_path))


def _cat(path: str, place: str) -> Command:
    return Command(argv=("cat", "--", path), effect=Effect.READ, timeout=60, place=place)
