"""The sandbox's own files on this machine, and those that go into a host."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rollback_tasks.errors import UsageError
from rollback_tasks.ports import Host
from rollback_tasks.shell import Effect, script

MARK = ".rollback-sandbox"

# ssh-keygen makes the private part 0600 from its first byte. $1 path of the key
_MAKE_KEY = """rm -f -- "$1" && ssh-keygen -q -t ed25519 -N '' -C sandbox -f "$1" </dev/null"""


class State:
    """The folder that everything of one sandbox lives in.

    :param folder: absolute path; made, or taken where a sandbox made it.
    """

    def __init__(self, local: Host, folder: str) -> None:
        self._local = local
        self.folder = Path(folder)

    @property
    def inventory(self) -> Path:
        """The sandbox's hosts.yaml."""
        return self.folder / "hosts.yaml"

    @property
    def known_hosts(self) -> Path:
        """The keys of its hosts, and only those."""
        return self.folder / "known_hosts"

    @property
    def identity(self) -> Path:
        """The private key that its hosts let in."""
        return self.folder / "id_ed25519"

    @property
    def is_there(self) -> bool:
        """True where a sandbox made this folder."""
        return (self.folder / MARK).exists()

    def claim(self) -> None:
        """Make the folder, or take it where it is a sandbox's.

        :raises UsageError: it is somebody else's, with files in it, which ``down`` would remove.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.is_there:
            if any(self.folder.iterdir()):
                raise UsageError(
                    f"{self.folder} has files in it and is no sandbox's folder",
                    hint="Name another folder with XDG_STATE_HOME and then type: inv sandbox.up",
                )
            self.write(MARK, b"")

    def password(self) -> str:
        """Return the password of the database of every host: unpleasant for shells on purpose."""
        path = self.folder / "password"
        if not path.exists():
            self.write("password", f"""it's {secrets.token_hex(8)} "so" $(id)""".encode())
        return path.read_text()

    def make_key(self, name: str) -> bytes:
        """Make the key pair ``name`` where it is missing; return its public part."""
        path = self.folder / name
        if not path.with_name(path.name + ".pub").exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._local.run(script(_MAKE_KEY, str(path), effect=Effect.WRITE))
        return path.with_name(path.name + ".pub").read_bytes()

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Make a 0600 file appear whole."""
        target = self.folder / name
        partial = target.with_name(target.name + ".partial")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        partial.replace(target)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A file that goes into a host. ``owner`` is 0 for root and 1000 for deploy."""

    path: str
    content: bytes
    owner: int = 0
    mode: int = 0o600


def archive(files: Iterable[HostFile]) -> bytes:
    """Return a tar archive of ``files``, to be unpacked at ``/``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(file.content), file.mode
            entry.uid = entry.gid = file.owner
            tar.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
