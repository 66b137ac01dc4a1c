"""The ports of the project as tests hold them: a clock that only sleeping moves, sinks that keep what they are told,
a Docker engine made of one JSON file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command
from rollback_tasks.transport.local import LocalHost

BIN = Path(__file__).parent / "data/bin"


class FakeClock:
    """Time that passes only while somebody sleeps, or a test says so."""

    def __init__(self, now: float = 1795317301.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time - 1_000_000

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


class KeptEvents:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)


class MemoryLaptop:
    """The operator's disk in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def append(self, path: str, line: str) -> None:
        assert "\n" not in line
        self.files[path] = self.files.get(path, b"") + f"{line}\n".encode()

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    @contextlib.contextmanager
    def receive(self, path: str) -> Iterator[MemoryReceiver]:
        yield MemoryReceiver(self, path)

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def digest(self, path: str) -> str | None:
        data = self.files.get(path)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def names(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder))

    def size(self, path: str) -> int | None:
        data = self.files.get(path)
        return None if data is None else len(data)

    def pieces(self, path: str) -> Iterator[bytes]:
        yield self.files[path]

    def remove(self, path: str) -> bool:
        self.files.pop(path, None)
        return True

    def journal(self, path: str) -> list[dict[str, Any]]:
        """The lines of a mirrored journal."""
        return [json.loads(line) for line in self.files.get(path, b"").decode().splitlines()]


class MemoryReceiver:
    """One download into memory."""

    def __init__(self, laptop: MemoryLaptop, path: str) -> None:
        self._laptop = laptop
        self._path = path
        self._data = b""

    def write(self, piece: bytes) -> None:
        self._data += piece

    def restart(self) -> None:
        self._data = b""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    def finish(self) -> None:
        self._laptop.files[self._path] = self._data


class FakeDocker:
    """A Docker engine for the real scripts: ``run`` runs a command here, with the fake ``docker`` in front."""

    def __init__(self, folder: Path, **state: Any) -> None:
        self.file = folder / "docker.json"
        self.environment: dict[str, str] = {}
        self.file.write_text(json.dumps({"containers": [], "images": {}, "references": {}, **state}))
        self.host = LocalHost()

    @property
    def state(self) -> dict[str, Any]:
        """Containers, images and calls as they are now."""
        said: dict[str, Any] = json.loads(self.file.read_text())
        return said

    def change(self, **state: Any) -> None:
        """Put parts of the state in."""
        self.file.write_text(json.dumps({**self.state, **state}))

    def run(self, command: Command) -> Completed:
        """Run as ``ports.Host.run``."""
        return self.host.run(self.wrapped(command))

    def wrapped(self, command: Command) -> Command:
        """Return the command with the fake engine first on its path."""
        words = ("env", f"FAKE_DOCKER={self.file}", *(f"{name}={value}" for name, value in self.environment.items()))
        inside = ("sh", "-c", 'PATH="$0:$PATH"; export PATH; exec "$@"', str(BIN), *command.argv)
        return Command(
            argv=(*words, *inside),
            effect=command.effect,
            cwd=command.cwd,
            env=command.env,
            secret_env=command.secret_env,
            stdin=command.stdin,
            secret_stdin=command.secret_stdin,
            timeout=command.timeout,
            ok_codes=command.ok_codes,
        )

    def container(self, identity: str) -> dict[str, Any] | None:
        """One container as it is now."""
        return next((c for c in self.state["containers"] if c["id"] == identity), None)


class ScriptedAnswers:
    """A host whose health URL gives one answer after another; the last one lasts."""

    def __init__(self, clock: FakeClock, *answers: HttpAnswer, seconds: float = 0.0) -> None:
        self.name = "prod1"
        self.clock = clock
        self.answers = list(answers)
        self.seconds = seconds
        self.watched: list[Completed] = []
        self.watches = 0

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        self.clock.time += self.seconds
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def run(self, command: Command) -> Completed:
        self.watches += 1
        if self.watched:
            return self.watched.pop(0) if len(self.watched) > 1 else self.watched[0]
        return Completed(0)
