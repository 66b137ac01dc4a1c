"""The state folder: private, and never somebody else's."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.files import HostFile, State, archive

Machine = Callable[[Mapping[str, Completed]], Any]


@pytest.fixture
def state(machine_that_answers: Machine, tmp_path: Path) -> State:
    return State(machine_that_answers({}), str(tmp_path / "sandbox"))


def test_a_folder_with_other_files_is_never_taken(state: State) -> None:
    state.folder.mkdir()
    (state.folder / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError) as caught:
        state.claim()
    assert caught.value.brief == f"{state.folder} has files in it and is no sandbox's folder"
    assert [path.name for path in state.folder.iterdir()] == ["thesis.txt"]


def test_a_folder_is_claimed_once_and_taken_again(state: State) -> None:
    state.claim()
    state.write("hosts.yaml", b"version: 1\n")
    state.claim()
    assert (state.is_there, stat.S_IMODE(state.folder.stat().st_mode)) == (True, 0o700)


def test_files_are_private_and_the_password_stays_and_is_nasty(state: State) -> None:
    state.claim()
    password = state.password()
    assert (state.password(), stat.S_IMODE((state.folder / "password").stat().st_mode)) == (password, 0o600)
    assert [piece in password for piece in (" ", "'", '"', "$(id)", "\n", "\\")] == [True] * 4 + [False] * 2


def test_an_archive_carries_owners_modes_and_odd_names() -> None:
    name = """/srv/it's a "pile" $(id)/.env"""
    made = archive([HostFile(path=name, content=b"A=1\n", owner=1000), HostFile(path="/x", content=b"", mode=0o644)])
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        told = [(entry.name, entry.uid, entry.gid, entry.mode, entry.size) for entry in tar]
    assert told == [(name[1:], 1000, 1000, 0o600, 4), ("x", 0, 0, 0o644, 0)]
