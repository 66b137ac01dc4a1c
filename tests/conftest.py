"""What holds for every test: no network in unit tests, nothing of the developer's own settings, fixed surroundings."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")

HERE = Path(__file__).parent

# The levels, fastest first: a folder or file of tests/, and the marker that its tests get.
LEVELS = (
    ("unit", None),
    ("", None),
    ("process", None),
    ("postgres", "postgres"),
    ("ssh", "ssh"),
    ("sandbox", "sandbox"),
)

# Settings of the developer that would change what the tests see.
_FOREIGN = ("INVOKE_", "FABRIC_", "ROLLBACK_", "PG", "ALEMBIC_", "COMPOSE_", "GIT_")
_FOREIGN_NAMES = ("SSH_AUTH_SOCK", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CDPATH", "XDG_STATE_HOME")
_STEADY = {"TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": "100", "LINES": "40", "TERM": "dumb"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-changes", action="store_true", help="write golden files anew instead of comparing")


def _level(item: pytest.Item) -> int:
    folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
    names = [name for name, _ in LEVELS]
    return names.index(folder) if folder in names else names.index("")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = LEVELS[_level(item)][1]
        if marker:
            item.add_marker(marker)
    items.sort(key=_level)


def pytest_configure(config: pytest.Config) -> None:
    """Lay the surroundings before any test module is imported."""
    # Images and packages that were fetched once are worth keeping; they change no result.
    os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    for name in list(os.environ):
        if (name.startswith(_FOREIGN) and not name.startswith("ROLLBACK_SANDBOX_")) or name in _FOREIGN_NAMES:
            del os.environ[name]
    os.environ.update(_STEADY)
    time.tzset()


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home folder: no ~/.ssh/config, no ~/.invoke.yaml, no ~/.gitconfig, no state of real runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests reach nobody, not even this machine: only unix sockets stay open."""
    if LEVELS[_level(request.node)][1] is not None:
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            pytest.fail(f"a unit test connects to {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
