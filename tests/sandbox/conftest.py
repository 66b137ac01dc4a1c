"""The deployment hosts that these tests share: prod1 with the compose plugin, prod2 with docker-compose 1.29.

They stand in a folder of their own outside the checkout; what stands there already is used. They are removed at the
end unless ROLLBACK_SANDBOX_KEEP is set, which makes the next run start in seconds. ROLLBACK_SANDBOX_STATE names
another folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.model.events import Note
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.shell import Command, Effect
from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.local import LocalHost
from tests.sandbox.stage import Laptop, Stage, laptop


class _Notes:
    """An EventSink that remembers."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def emit(self, event: object) -> None:
        assert isinstance(event, Note), f"the sandbox speaks in notes, not in {event!r}"
        self._texts.append(f"{event.host}: {event.text}" if event.host else event.text)


@pytest.fixture(scope="session")
def notes() -> list[str]:
    """What the sandbox has said so far."""
    return []


@pytest.fixture(scope="session")
def sandbox_at(notes: list[str]) -> Callable[[Path], Sandbox]:
    """Make the object for a sandbox in a folder; nothing is brought up yet."""
    cache = str(Path(os.environ["XDG_CACHE_HOME"]) / "rollback" / "sandbox")
    return lambda state: Sandbox(LocalHost(), state=str(state), cache=cache, events=_Notes(notes), clock=SystemClock())


@pytest.fixture(scope="session")
def sandbox_state() -> Path:
    default = f"{tempfile.gettempdir()}/rollback-sandbox-tests-{os.getuid()}"
    return Path(os.environ.get("ROLLBACK_SANDBOX_STATE", default))


@pytest.fixture(scope="session")
def sandbox(sandbox_state: Path, sandbox_at: Callable[[Path], Sandbox]) -> Iterator[Sandbox]:
    made = sandbox_at(sandbox_state)
    try:
        made.up(2)
    except UsageError as problem:
        pytest.fail(f"the sandbox cannot come up: {problem.brief}", pytrace=False)
    yield made
    if not os.environ.get("ROLLBACK_SANDBOX_KEEP"):
        made.down()


@pytest.fixture
def ssh_in(sandbox: Sandbox, sandbox_state: Path) -> Callable[..., Completed]:
    """Run a shell line on a host by plain ssh; any exit code is an answer. ``options`` come before the usual ones,
    and ssh takes the first value that it sees."""

    def run(host: str, line: str, *, user: str = "deploy", options: tuple[str, ...] = ()) -> Completed:
        (address,) = (one.address for one in sandbox.status().hosts if one.name == host)
        return LocalHost().run(
            Command(
                argv=(
                    *("ssh", "-F", "/dev/null", *options, "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"),
                    *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={sandbox_state}/known_hosts"),
                    *("-o", "IdentitiesOnly=yes", "-i", f"{sandbox_state}/id_ed25519"),
                    *(f"{user}@{address}", line),
                ),
                effect=Effect.WRITE,
                timeout=60.0,
                ok_codes=frozenset(range(256)),
            )
        )

    return run


def _stage(sandbox: Sandbox, name: str, folder: Path) -> Stage:
    """A host on which v6 was deployed and marked good by its operator, and nothing else ever happened."""
    (address,) = (one.address for one in sandbox.status().hosts if one.name == name)
    stage = Stage(sandbox=sandbox, name=name, address=address)
    stage.build()
    marked = laptop(folder, sandbox.inventory).inv("release.mark", "--good", "--host", name)
    assert marked.code == 0, marked.err
    stage.save_base()
    return stage


@pytest.fixture(scope="session")
def plugin_host(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """prod1, which has the compose plugin."""
    return _stage(sandbox, "prod1", tmp_path_factory.mktemp("prod1"))


@pytest.fixture(scope="session")
def standalone_host(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """prod2, which has docker-compose 1.29."""
    return _stage(sandbox, "prod2", tmp_path_factory.mktemp("prod2"))


@pytest.fixture(params=["plugin_host", "standalone_host"], ids=["plugin", "standalone"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """A host of either generation of compose."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Stage)
    return found


@pytest.fixture
def operator(sandbox: Sandbox, tmp_path: Path) -> Laptop:
    """A laptop of this test's own."""
    return laptop(tmp_path / "laptop", sandbox.inventory)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(str(value))
