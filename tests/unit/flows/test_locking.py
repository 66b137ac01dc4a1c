"""Locks are given back over whatever connection a host has by then."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from rollback_tasks.errors import ConnectionLost, RollbackError, Unreachable
from rollback_tasks.flows import locking
from rollback_tasks.flows.locking import Locks
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed, Host
from rollback_tasks.shell import Command
from rollback_tasks.transport.local import LocalHost
from tests.builders import a_project, a_request
from tests.fakes import FakeClock, KeptEvents


class Breaking(LocalHost):
    """A host whose connection can end."""

    is_gone = False

    def run(self, command: Command) -> Completed:
        if self.is_gone:
            raise ConnectionLost("the connection is gone", host=self.name)
        return super().run(command)


@dataclass
class Place:
    """What locking asks of a session."""

    host: Host
    project: Project
    config: Any


@dataclass
class Around:
    """What locking asks of a world."""

    clock: FakeClock = field(default_factory=FakeClock)
    sink: KeptEvents = field(default_factory=KeptEvents)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    config = type("Config", (), {"name": "prod1"})
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return Place(Breaking(name="prod1"), a_project(folder=str(tmp_path)), config)


@pytest.fixture
def locks(place: Place, around: Around) -> Locks:
    taken = Locks(cast(World, around))
    taken.take(cast(Session, place), a_request())
    assert (Path(place.project.folder) / ".rollback" / "lock").is_dir()
    return taken


@pytest.fixture
def around() -> Around:
    return Around()


def lose(place: Place) -> None:
    cast(Breaking, place.host).is_gone = True


def is_free(place: Place) -> bool:
    return not (Path(place.project.folder) / ".rollback" / "lock").exists()


def test_a_lock_is_given_back_over_the_connection_that_was_made_meanwhile(place: Place, locks: Locks) -> None:
    lose(place)
    place.host = Breaking(name="prod1")
    locks.give_back()
    assert is_free(place)


def test_a_connection_that_is_lost_at_the_very_end_is_made_once_more(
    place: Place, locks: Locks, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "connected", lambda *_: Breaking(name="prod1"))
    lose(place)
    locks.give_back()
    assert (is_free(place), around.sink.events) == (True, [])


def test_a_lock_that_stays_is_named_with_what_frees_it(
    place: Place, locks: Locks, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_way(*_: object) -> Host:
        raise Unreachable("no route", host="prod1")

    monkeypatch.setattr(locking, "connected", no_way)
    lose(place)
    locks.give_back()
    assert (is_free(place), "inv lock.release --host prod1" in around.sink.events[0].text) == (False, True)


def test_the_locks_of_hosts_that_a_person_has_to_settle_stay(place: Place, locks: Locks) -> None:
    locks.give_back(but={"prod1"})
    assert not is_free(place)


def test_a_bug_is_not_taken_for_a_lock_that_stays(place: Place, locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not issubclass(ZeroDivisionError, RollbackError)
    monkeypatch.setattr(locking, "_release", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        locks.give_back()
