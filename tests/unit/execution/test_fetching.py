"""A backup on its way to the laptop: cut, gone on with, damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rollback_tasks.errors import ConnectionLost, StepFailed
from rollback_tasks.execution.fetching import fetch, move
from rollback_tasks.model.plan import Fetch, Forget, Send
from rollback_tasks.ports import Completed
from rollback_tasks.shell import Command
from rollback_tasks.transport.laptop import LocalLaptop
from rollback_tasks.transport.local import LocalHost

DATA = bytes(range(256)) * 4000
ROLES = b"CREATE ROLE owner;\n"


class CutHost(LocalHost):
    """A host on this machine whose downloads break after some bytes, and that counts what it sends."""

    def __init__(self, breaks_after: int | None = None) -> None:
        super().__init__()
        self.breaks_after = breaks_after
        self.sent = 0

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        def counted(piece: bytes) -> None:
            self.sent += len(piece)
            if self.breaks_after is not None and self.sent >= self.breaks_after:
                sink(piece[: len(piece) - (self.sent - self.breaks_after)])
                raise ConnectionLost("the connection is lost", host=self.name)
            sink(piece)

        return super().pull(command, counted)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The backup `b` on the host; its path without ending."""
    place = tmp_path / "there" / "b"
    place.parent.mkdir()
    said = {"sha256": hashlib.sha256(DATA).hexdigest(), "globals": {"sha256": hashlib.sha256(ROLES).hexdigest()}}
    place.with_suffix(".dump").write_bytes(DATA)
    place.with_suffix(".globals.sql").write_bytes(ROLES)
    place.with_suffix(".manifest.json").write_text(json.dumps(said))
    return place


@pytest.fixture
def laptop(tmp_path: Path) -> LocalLaptop:
    return LocalLaptop(tmp_path / "laptop")


WHOLE = ("b.dump", "b.globals.sql", "b.manifest.json")


def test_a_cut_download_goes_on_at_the_byte_where_it_stopped(there: Path, laptop: LocalLaptop) -> None:
    action = Fetch(str(there), "here/b")
    with pytest.raises(ConnectionLost):
        fetch(action, CutHost(breaks_after=600_001), laptop)
    assert (laptop.names("here"), laptop.size("here/b.dump.partial")) == (("b.dump.partial",), 600_001)
    host = CutHost()
    fetch(action, host, laptop)
    assert host.sent == len(DATA) - 600_001 + len(ROLES)
    assert laptop.names("here") == WHOLE
    assert laptop.read("here/b.dump") == DATA
    again = CutHost()
    fetch(action, again, laptop)
    assert again.sent == 0


@pytest.mark.parametrize(
    "left", [b"of another file", DATA[:1000] + b"x", DATA + b"more", DATA], ids=["other", "spoilt", "longer", "whole"]
)
def test_what_a_cut_download_left_is_checked_before_it_is_gone_on_with(
    there: Path, laptop: LocalLaptop, left: bytes
) -> None:
    laptop.write("here/b.dump.partial", left)
    host = CutHost()
    fetch(Fetch(str(there), "here/b"), host, laptop)
    assert (laptop.names("here"), laptop.read("here/b.dump")) == (WHOLE, DATA)
    assert host.sent == len(ROLES) + (0 if left == DATA else len(DATA))


def test_a_dump_that_is_damaged_on_the_host_leaves_no_copy(there: Path, laptop: LocalLaptop) -> None:
    there.with_suffix(".dump").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(StepFailed, match="arrived damaged"):
        fetch(Fetch(str(there), "here/b"), LocalHost(), laptop)
    assert laptop.names("here") == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_manifest_is_said_and_nothing_is_copied(there: Path, laptop: LocalLaptop, text: str) -> None:
    there.with_suffix(".manifest.json").write_text(text)
    with pytest.raises(StepFailed, match="manifest"):
        fetch(Fetch(str(there), "here/b"), LocalHost(), laptop)
    assert laptop.names("here") == ()


def test_a_file_goes_to_the_host_private_and_as_it_is(tmp_path: Path, laptop: LocalLaptop) -> None:
    laptop.write("here/b.dump", DATA)
    target = tmp_path / "a folder" / "b.dump.partial"
    for _ in range(2):
        move(Send(str(target), "here/b.dump"), LocalHost(), laptop)
        assert (target.read_bytes(), target.stat().st_mode & 0o777) == (DATA, 0o600)
    move(Forget(("here/b.dump", "here/never")), LocalHost(), laptop)
    assert laptop.names("here") == ()
