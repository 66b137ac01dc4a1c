"""Single files of a commit in the work tree, and back: with a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollback_tasks.drivers import git_checkout, git_files
from rollback_tasks.errors import CommandFailed
from rollback_tasks.transport.local import LocalHost

HOST = LocalHost()
NAME = "compose 'x'.yml"


def git(folder: Path, *words: str) -> str:
    words = ("-c", "user.name=t", "-c", "user.email=t@t", *words)
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    for text in ("first", "second"):
        (tmp_path / NAME).write_text(f"{text}\n")
        (tmp_path / "code.py").write_text(f"{text}\n")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", text)
    return tmp_path


def state(folder: Path) -> tuple[str, str, str, int]:
    path = folder / NAME
    return git(folder, "status", "--porcelain"), git(folder, "diff"), path.read_text(), path.stat().st_mode


def test_a_file_goes_back_alone_and_comes_back_with_every_change(checkout: Path) -> None:
    folder, first = str(checkout), git(checkout, "rev-parse", "HEAD^")
    (checkout / NAME).write_text("second\nstaged\n")
    git(checkout, "add", NAME)
    (checkout / NAME).write_text("second\nstaged\nand more\n")
    (checkout / NAME).chmod(0o640)
    (checkout / "untracked").write_text("mine")
    before = state(checkout)
    HOST.run(git_checkout.save(folder, "run1", first))
    HOST.run(git_files.switch_files(folder, first, (NAME, "absent.yml")))
    assert (checkout / NAME).read_text() == "first\n"
    assert (checkout / NAME).stat().st_mode == before[3]
    assert (checkout / "code.py").read_text() == "second\n"
    assert git(checkout, "log", "-1", "--format=%s") == "second"
    HOST.run(git_files.are_at(folder, first, (NAME,)))
    (checkout / "code.py").write_text("written meanwhile")
    for _ in range(2):
        HOST.run(git_files.put_files_back(folder, "run1", (NAME, "absent.yml")))
        (checkout / "code.py").write_text("second\n")
        assert state(checkout) == before
    assert (checkout / "untracked").read_text() == "mine"


def test_nothing_is_put_back_where_nothing_was_saved(checkout: Path) -> None:
    before = state(checkout)
    HOST.run(git_files.put_files_back(str(checkout), "run1", (NAME,)))
    assert state(checkout) == before


def test_the_version_before_the_last_change_is_found(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD^")
    (checkout / "code.py").write_text("third\n")
    git(checkout, "commit", "-qam", "third")
    assert HOST.run(git_files.before_last_change(str(checkout), (NAME,))).text.strip() == first
    assert HOST.run(git_files.before_last_change(str(checkout), ("absent.yml",))).text == ""
    assert HOST.run(git_files.differ(str(checkout), first, (NAME,))).exit_code == 1
    assert HOST.run(git_files.differ(str(checkout), "HEAD", (NAME,))).exit_code == 0


@pytest.mark.parametrize(
    "flags", [("--skip-worktree",), ("--assume-unchanged",), ("--skip-worktree", "--assume-unchanged")]
)
@pytest.mark.parametrize("is_changed", [False, True], ids=["as committed", "changed by hand"])
def test_a_file_that_git_was_told_to_overlook_goes_back_and_comes_back_overlooked(
    checkout: Path, flags: tuple[str, ...], is_changed: bool
) -> None:
    folder, first, second = str(checkout), git(checkout, "rev-parse", "HEAD^"), git(checkout, "rev-parse", "HEAD")
    for flag in flags:
        git(checkout, "update-index", flag, NAME)
    if is_changed:
        (checkout / NAME).write_text("by hand\n")
    flagged = git(checkout, "ls-files", "-v", NAME)
    before = state(checkout)
    assert HOST.run(git_files.differ(folder, second, (NAME,))).exit_code == int(is_changed)
    for target, text in ((first, "first\n"), (second, "second\n")):
        run = f"run-{target}"
        HOST.run(git_checkout.save(folder, run, target))
        HOST.run(git_files.switch_files(folder, target, (NAME,)))
        assert (checkout / NAME).read_text() == text
        HOST.run(git_files.are_at(folder, target, (NAME,)))
        for _ in range(2):
            HOST.run(git_files.put_files_back(folder, run, (NAME,)))
            assert (state(checkout), git(checkout, "ls-files", "-v", NAME)) == (before, flagged)


def test_files_are_compared_by_what_is_in_them(checkout: Path) -> None:
    folder, path = str(checkout), checkout / NAME

    def differs(commit: str = "HEAD") -> bool:
        return bool(HOST.run(git_files.differ(folder, commit, (NAME, "absent.yml"))).exit_code)

    assert not differs()
    path.chmod(0o755)
    assert not differs()
    path.unlink()
    assert differs()
    path.symlink_to("code.py")
    assert differs()
    git(checkout, "commit", "-qam", "a link")
    assert (differs(), differs("HEAD^")) == (False, True)
    path.unlink()
    path.write_text("code.py")
    assert differs()
    (checkout / ".gitattributes").write_text("*.yml text eol=crlf\n")
    path.write_bytes(b"second\r\n")
    assert (differs("HEAD^"), differs()) == (False, True)


def test_a_folder_inside_of_its_repository_is_as_good(checkout: Path) -> None:
    (checkout / "deploy").mkdir()
    for text in ("first", "second"):
        (checkout / "deploy" / NAME).write_text(f"deploy {text}\n")
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", text)
    folder, first = str(checkout / "deploy"), git(checkout, "rev-parse", "HEAD^")
    git(checkout / "deploy", "update-index", "--skip-worktree", NAME)
    assert HOST.run(git_files.differ(folder, "HEAD", (NAME,))).exit_code == 0
    HOST.run(git_checkout.save(folder, "run1", first))
    HOST.run(git_files.switch_files(folder, first, (NAME,)))
    HOST.run(git_files.are_at(folder, first, (NAME,)))
    assert ((checkout / "deploy" / NAME).read_text(), (checkout / NAME).read_text()) == ("deploy first\n", "second\n")
    HOST.run(git_files.put_files_back(folder, "run1", (NAME,)))
    assert (checkout / "deploy" / NAME).read_text() == "deploy second\n"
    assert git(checkout / "deploy", "ls-files", "-v", NAME).startswith("S ")
    assert not list((checkout / ".git").glob("rollback-*"))


def test_what_differs_from_a_commit_is_told_by_paths_from_the_folder_on(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD^")

    def differing(folder: Path, commit: str) -> tuple[str, ...]:
        return git_files.read_differing(HOST.run(git_files.differing(str(folder), commit)).text)

    assert differing(checkout, first) == ("code.py", NAME)
    assert differing(checkout, "HEAD") == ()
    (checkout / "untracked").write_text("is in nobody's way")
    (checkout / NAME).write_text("changed\n")
    assert differing(checkout, "HEAD") == (NAME,)
    (checkout / "below").mkdir()
    (checkout / "below" / "a\nb").write_text("x")
    git(checkout, "add", "-A")
    assert differing(checkout / "below", "HEAD") == ("a\nb", f"/{NAME}", "/untracked")
    with pytest.raises(CommandFailed):
        differing(checkout, "c" * 40)
