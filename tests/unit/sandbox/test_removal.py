"""A sandbox's folder goes whole, or says still whose it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rollback_tasks.errors import CommandFailed
from rollback_tasks.sandbox.files import MARK
from rollback_tasks.sandbox.sandbox import _REMOVE_FOLDER
from rollback_tasks.shell import Effect, script
from rollback_tasks.transport.local import LocalHost


def remove(folder: Path) -> None:
    LocalHost().run(script(_REMOVE_FOLDER, str(folder), MARK, effect=Effect.DESTROY))


def a_folder(place: Path, *names: str) -> Path:
    folder = place / "it's a [sandbox]"
    folder.mkdir()
    (folder / MARK).touch()
    for name in names:
        (folder / name).mkdir()
        (folder / name / "file").touch()
    return folder


@pytest.mark.parametrize("names", [(), ("engine", ".hidden")])
def test_nothing_is_left(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = a_folder(tmp_path, *names)
    remove(folder)
    assert not folder.exists()


def test_a_removal_that_something_stops_can_be_done_again(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "engine", "zzz")
    words = ["mount", "-t", "tmpfs", "tmpfs", str(folder / "engine")]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(CommandFailed):
            remove(folder)
        assert (folder / MARK).exists()
    finally:
        subprocess.run(["umount", "-l", str(folder / "engine")], check=True)
    remove(folder)
    assert not folder.exists()
