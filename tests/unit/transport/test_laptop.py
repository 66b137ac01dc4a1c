"""Files on the operator's disk: private, whole or absent."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import StepFailed
from rollback_tasks.transport.laptop import LocalLaptop


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[LocalLaptop]:
    before = os.umask(0o000)  # the worst that a user can set
    yield LocalLaptop(tmp_path / "root")
    os.umask(before)


def modes(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): stat.filemode(path.stat().st_mode) for path in sorted(root.rglob("*"))}


def test_what_is_written_is_private_at_every_level(laptop: LocalLaptop, tmp_path: Path) -> None:
    laptop.write("runs/1/report.json", b"{}")
    laptop.append("runs/1/journal.jsonl", "one")
    with laptop.receive("backups/prod1/x.dump") as receiver:
        receiver.write(b"PGDMP")
        receiver.finish()
    assert modes(tmp_path) == {
        "root": "drwx------",
        "root/backups": "drwx------",
        "root/backups/prod1": "drwx------",
        "root/backups/prod1/x.dump": "-rw-------",
        "root/runs": "drwx------",
        "root/runs/1": "drwx------",
        "root/runs/1/journal.jsonl": "-rw-------",
        "root/runs/1/report.json": "-rw-------",
    }


def test_lines_are_appended_and_read_back(laptop: LocalLaptop) -> None:
    for line in ("one", "zwei ß", ""):
        laptop.append("journal", line)
    assert laptop.read("journal") == "one\nzwei ß\n\n".encode()


def test_a_loose_journal_is_made_private(laptop: LocalLaptop, tmp_path: Path) -> None:
    laptop.append("journal", "one")
    (tmp_path / "root" / "journal").chmod(0o644)
    laptop.append("journal", "two")
    assert (tmp_path / "root" / "journal").stat().st_mode & 0o777 == 0o600


def test_a_line_with_a_break_is_refused(laptop: LocalLaptop) -> None:
    with pytest.raises(ValueError, match="line break"):
        laptop.append("journal", "one\ntwo")


def test_a_file_is_replaced_as_a_whole(laptop: LocalLaptop, tmp_path: Path) -> None:
    laptop.write("report", b"old")
    laptop.write("report", b"new")
    assert laptop.read("report") == b"new"
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["report"]


def test_a_missing_file_is_none(laptop: LocalLaptop) -> None:
    assert laptop.read("nowhere/at/all") is None


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/../outside"])
def test_a_path_cannot_climb(laptop: LocalLaptop, path: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: laptop.write(path, b""),
        lambda: laptop.append(path, ""),
        lambda: laptop.read(path),
    ]
    for act in acts:
        with pytest.raises(ValueError, match="leads out of its folder"):
            act()


def test_below_a_file_there_is_nothing_and_nothing_can_be_made(laptop: LocalLaptop) -> None:
    laptop.write("file", b"x")
    assert (laptop.read("file/below"), laptop.digest("file/below")) == (None, None)
    with pytest.raises(StepFailed, match="cannot write"), laptop.receive("file/below"):
        pass


def test_a_folder_is_no_file_and_that_is_said(laptop: LocalLaptop) -> None:
    laptop.write("folder/x", b"x")
    with pytest.raises(StepFailed, match="cannot read"):
        laptop.digest("folder")


def test_a_download_has_size_and_digest(laptop: LocalLaptop) -> None:
    with laptop.receive("x") as receiver:
        for piece in (b"one", b"", b"two"):
            receiver.write(piece)
        assert laptop.read("x") is None
        assert laptop.read("x.partial") == b"onetwo"
        receiver.finish()
    assert (receiver.size_bytes, receiver.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())
    assert (laptop.read("x"), laptop.read("x.partial")) == (b"onetwo", None)


def test_an_unfinished_download_leaves_nothing_and_the_old_file(laptop: LocalLaptop) -> None:
    laptop.write("x", b"old")
    with pytest.raises(KeyboardInterrupt):
        with laptop.receive("x") as receiver:
            _interrupted(receiver)
    assert (laptop.read("x"), laptop.read("x.partial")) == (b"old", None)


def _interrupted(receiver: object) -> None:
    receiver.write(b"half")  # type: ignore[attr-defined]
    raise KeyboardInterrupt


def test_the_rest_of_a_dead_download_is_removed_not_followed(laptop: LocalLaptop, tmp_path: Path) -> None:
    laptop.write("keep", b"keep")
    (tmp_path / "root" / "x.partial").symlink_to(tmp_path / "root" / "keep")
    with laptop.receive("x") as receiver:
        receiver.write(b"new")
        receiver.finish()
    assert (laptop.read("keep"), laptop.read("x")) == (b"keep", b"new")


def test_a_journal_that_is_a_link_is_not_followed(laptop: LocalLaptop, tmp_path: Path) -> None:
    laptop.write("keep", b"keep")
    (tmp_path / "root" / "journal").symlink_to(tmp_path / "root" / "keep")
    with pytest.raises(StepFailed, match="cannot write"):
        laptop.append("journal", "line")
    assert laptop.read("keep") == b"keep"


def test_a_full_disk_is_a_clear_failure_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files fails like a full disk, and needs no disk of its own.
    program = (
        "import resource, signal, sys\n"
        "from rollback_tasks.errors import StepFailed\n"
        "from rollback_tasks.transport.laptop import LocalLaptop\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "laptop = LocalLaptop(sys.argv[1])\n"
        "for act in (lambda r: r.write(b'x' * 2000), lambda r: laptop.write('y', b'x' * 2000)):\n"
        "    try:\n"
        "        with laptop.receive('x') as receiver:\n"
        "            act(receiver)\n"
        "    except StepFailed as exc:\n"
        "        print(exc.brief, '|', exc.hint)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "root")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=30)
    hint = f"make room: `df -h {tmp_path / 'root'}`."
    assert done.stdout.splitlines() == [f"no space left for x | {hint}", f"no space left for y | {hint}"], done.stderr
    assert list((tmp_path / "root").iterdir()) == []
