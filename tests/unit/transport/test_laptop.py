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

from rollback_tasks.errors import CommandFailed, CommandTimedOut, ConnectionLost, StepFailed
from rollback_tasks.ports import Receiver
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


def _fails(receiver: Receiver, error: BaseException) -> None:
    receiver.write(b"half")
    raise error


@pytest.mark.parametrize("error", [StepFailed("damaged"), ValueError("a bug"), CommandFailed(("cat",), 1, "gone")])
def test_a_download_that_failed_leaves_nothing_and_the_old_file(laptop: LocalLaptop, error: Exception) -> None:
    laptop.write("x", b"old")
    with pytest.raises(type(error)), laptop.receive("x") as receiver:
        _fails(receiver, error)
    assert (laptop.read("x"), laptop.names("")) == (b"old", ("x",))


@pytest.mark.parametrize("error", [ConnectionLost("cut"), CommandTimedOut("late"), KeyboardInterrupt()])
def test_a_download_that_was_cut_is_gone_on_with(laptop: LocalLaptop, error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)), laptop.receive("x") as receiver:
        _fails(receiver, error)
    assert (laptop.read("x"), laptop.names("")) == (None, ("x.partial",))
    assert (tmp_path / "root" / "x.partial").stat().st_mode & 0o777 == 0o600
    with laptop.receive("x") as receiver:
        assert (receiver.size_bytes, receiver.sha256) == (4, hashlib.sha256(b"half").hexdigest())
        receiver.write(b" and half")
        receiver.finish()
    assert receiver.sha256 == hashlib.sha256(b"half and half").hexdigest()
    assert (laptop.read("x"), laptop.names("")) == (b"half and half", ("x",))


def test_what_is_not_the_beginning_is_thrown_away(laptop: LocalLaptop) -> None:
    laptop.write("x.partial", b"of another file, and longer")
    with laptop.receive("x") as receiver:
        receiver.restart()
        assert (receiver.size_bytes, receiver.sha256) == (0, hashlib.sha256(b"").hexdigest())
        receiver.write(b"good")
        receiver.finish()
    assert (laptop.read("x"), laptop.names("")) == (b"good", ("x",))


def test_two_do_not_download_the_same_and_neither_is_removed(laptop: LocalLaptop) -> None:
    with laptop.receive("x") as receiver:
        receiver.write(b"one")
        with pytest.raises(StepFailed, match="another process"), laptop.receive("x"):
            pass
        assert laptop.remove("x.partial") is False
        receiver.finish()
    assert laptop.read("x") == b"one"
    assert (laptop.remove("x"), laptop.remove("x"), laptop.names("")) == (True, True, ())


def test_a_file_is_read_piece_by_piece(laptop: LocalLaptop) -> None:
    data = b"0123456789" * 100_000
    laptop.write("folder/x", data)
    pieces = list(laptop.pieces("folder/x"))
    assert (b"".join(pieces), max(map(len, pieces)) <= 1 << 20, laptop.size("folder/x")) == (data, True, len(data))
    assert (laptop.size("folder/y"), laptop.names("nowhere")) == (None, ())
    with pytest.raises(StepFailed, match="cannot read"):
        list(laptop.pieces("folder/y"))


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
