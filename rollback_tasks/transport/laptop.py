"""The operator's own disk: private files that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollback_tasks.errors import CommandTimedOut, ConnectionLost, StepFailed

FILE_MODE = 0o600
FOLDER_MODE = 0o700
PARTIAL = ".partial"
PIECE_BYTES = 1 << 18
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalLaptop:
    """Files below ``root``, as ``ports.Laptop``. Every path is relative to it, or absolute; ``..`` is refused.

    :param root: the folder that relative paths start from.
    """

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root).expanduser()

    def append(self, path: str, line: str) -> None:
        """See ``ports.Laptop``.

        :raises StepFailed: the disk is full or cannot be written.
        :raises ValueError: ``line`` holds a line break, or ``path`` a ``..``.
        """
        if "\n" in line:
            raise ValueError("a line of a journal holds a line break")
        target = self._resolve(path)
        with _as_step_failure(target):
            _make_folder(target.parent)
            is_new = not target.exists()
            handle = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
            try:
                os.fchmod(handle, FILE_MODE)
                _write_all(handle, f"{line}\n".encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            if is_new:
                _flush_folder(target.parent)

    def write(self, path: str, data: bytes) -> None:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target):
            _make_folder(target.parent)
            partial = _Partial(target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial"))
            try:
                _write_all(partial.handle, data)
                partial.publish(target)
            finally:
                partial.close()

    @contextmanager
    def receive(self, path: str) -> Iterator[LocalReceiver]:
        """See ``ports.Laptop``. Raises as ``append``.

        :raises StepFailed: another process is downloading the same.
        """
        target = self._resolve(path)
        with _as_step_failure(target):
            _make_folder(target.parent)
            opened = _Partial.taken(target.with_name(f"{target.name}{PARTIAL}"))
        try:
            with _as_step_failure(target, "read"):
                receiver = LocalReceiver(opened, target)
            yield receiver
        except (ConnectionLost, CommandTimedOut, KeyboardInterrupt):
            opened.is_kept = True  # what came is good: the next download goes on behind it
            raise
        finally:
            opened.close()

    def names(self, folder: str) -> tuple[str, ...]:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(folder)
        with _as_step_failure(target, "read"):
            try:
                return tuple(sorted(entry.name for entry in target.iterdir() if entry.is_file()))
            except (FileNotFoundError, NotADirectoryError):
                return ()

    def size(self, path: str) -> int | None:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target, "read"):
            try:
                return target.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def pieces(self, path: str) -> Iterator[bytes]:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target, "read"), target.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def remove(self, path: str) -> bool:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target, "remove"):
            try:
                handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return True
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                target.unlink(missing_ok=True)
                _flush_folder(target.parent)
            except BlockingIOError:
                return False
            finally:
                os.close(handle)
            return True

    def read(self, path: str) -> bytes | None:
        """See ``ports.Laptop``. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target, "read"):
            try:
                return target.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def digest(self, path: str) -> str | None:
        """Return a file's SHA-256 in hex, read in bounded memory; None where there is none. Raises as ``append``."""
        target = self._resolve(path)
        with _as_step_failure(target, "read"):
            try:
                with target.open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _resolve(self, path: str) -> Path:
        if ".." in Path(path).parts:
            raise ValueError(f"a path leads out of its folder: {path!r}")
        return self._root / path


class _Partial:
    """A file that is not yet whole; removed when it is closed before it was published, unless it ``is_kept``."""

    def __init__(self, path: Path, *, is_new: bool = True) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if is_new else 0)
        self.handle = os.open(path, flags, FILE_MODE)
        self.is_kept = False
        self._published = False

    @classmethod
    def taken(cls, path: Path) -> _Partial:
        """Open a partial file that an earlier process may have left; nobody else has it meanwhile. A link is not
        followed but removed."""
        while True:
            if path.is_symlink():
                path.unlink(missing_ok=True)
            made = cls(path, is_new=False)
            try:
                fcntl.flock(made.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who had it may have given it its name, or removed it, since it was opened.
                if _is_same(path, made.handle):
                    os.fchmod(made.handle, FILE_MODE)
                    return made
            except BlockingIOError as exc:
                made.abandon()
                raise StepFailed(
                    f"another process is writing {path}",
                    details="nothing was changed",
                    hint="wait until it has ended, then try again.",
                ) from exc
            made.abandon()

    def publish(self, target: Path) -> None:
        os.fsync(self.handle)
        os.rename(self.path, target)
        self._published = True
        _flush_folder(target.parent)

    def abandon(self) -> None:
        os.close(self.handle)

    def close(self) -> None:
        if not self._published and not self.is_kept:
            self.path.unlink(missing_ok=True)
        os.close(self.handle)


def _is_same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


class LocalReceiver:
    """One download, as ``ports.Receiver``."""

    def __init__(self, partial: _Partial, target: Path) -> None:
        self._partial = partial
        self._target = target
        self._digest = hashlib.sha256()
        self._size = 0
        while piece := os.read(partial.handle, PIECE_BYTES):
            self._digest.update(piece)
            self._size += len(piece)

    def write(self, piece: bytes) -> None:
        """See ``ports.Receiver``.

        :raises StepFailed: the disk is full or cannot be written.
        """
        with _as_step_failure(self._target):
            _write_all(self._partial.handle, piece)
        self._digest.update(piece)
        self._size += len(piece)

    def restart(self) -> None:
        """See ``ports.Receiver``. Raises as ``write``."""
        with _as_step_failure(self._target):
            os.ftruncate(self._partial.handle, 0)
            os.lseek(self._partial.handle, 0, os.SEEK_SET)
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def sha256(self) -> str:
        """See ``ports.Receiver``."""
        return self._digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """See ``ports.Receiver``."""
        return self._size

    def finish(self) -> None:
        """See ``ports.Receiver``. Raises as ``write``."""
        with _as_step_failure(self._target):
            self._partial.publish(self._target)


@contextmanager
def _as_step_failure(target: Path, verb: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StepFailed(
                f"no space left for {target.name}",
                details=f"{target} was not written; nothing of it is left",
                hint=f"make room: `df -h {shlex.quote(str(target.parent))}`.",
            ) from exc
        raise StepFailed(f"cannot {verb} {target}", details=exc.strerror or str(exc)) from exc


def _make_folder(folder: Path) -> None:
    # makedirs would give only the last folder the mode.
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(FOLDER_MODE, exist_ok=True)
            _flush_folder(parent.parent)


def _flush_folder(folder: Path) -> None:
    """A name is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
