"""What git tells of the past, whatever was written into it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import git_history
from rollback_tasks.drivers.git_history import Commit, Entry, Traits
from rollback_tasks.errors import MalformedAnswer
from tests.process.drivers.test_git import HOST, Repository, run

SUBJECTS = ["plain", "-rf", "$(touch hacked)", "quo\"te and it's", "имя", "a\x1fb\x1ec", "tab\there", "%H%x00%n", "*"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "my project")
    for number, subject in enumerate(SUBJECTS):
        made.write("a", f"{number}\n")
        made("add", "a")
        made("commit", "-q", "-m", f"{subject}\n\nbody", "--date=@1700000000 +0000")
    return made


def commits(repository: Repository, ref: str, count: int) -> tuple[Commit, ...]:
    return git_history.read_log(HOST.run(git_history.log(str(repository.folder), ref, count)).stdout)


def test_a_log_is_read_whatever_the_subjects_are(repository: Repository) -> None:
    for key, value in {"log.showSignature": "true", "log.decorate": "full", "color.ui": "always"}.items():
        repository("config", key, value)
    found = commits(repository, "HEAD", 100)
    assert [commit.subject for commit in found] == SUBJECTS[::-1]
    assert found[0] == Commit(
        commit=repository("rev-parse", "HEAD"),
        parents=(repository("rev-parse", "HEAD^"),),
        at=1700000000,
        author="t",
        names=("HEAD -> refs/heads/main",),
        subject="*",
    )
    assert not found[0].is_merge
    assert [commit.subject for commit in commits(repository, "HEAD~2", 1)] == [SUBJECTS[-3]]


@pytest.mark.parametrize("name", ["nothing", "--all", "-p", "$(touch hacked)", "", "a b", "new\nline"])
def test_a_log_of_nothing_is_told(repository: Repository, name: str) -> None:
    done = HOST.run(git_history.log(str(repository.folder), name, 3))
    assert (done.exit_code, done.text) == (git_history.NONE_SUCH, "")
    assert not (repository.folder / "hacked").exists()


def test_a_reflog_counts_from_now_whatever_dates_are_set_to(repository: Repository) -> None:
    repository("config", "log.date", "relative")
    repository("reset", "-q", "--hard", "HEAD~2")
    found = git_history.read_reflog(HOST.run(git_history.reflog(str(repository.folder), 2)).stdout)
    assert [(entry.number, entry.commit, entry.action) for entry in found] == [
        (0, repository("rev-parse", "HEAD"), "reset: moving to HEAD~2"),
        (1, repository("rev-parse", "HEAD@{1}"), "commit: *"),
    ]
    assert found[0].at > 1700000000
    assert found[0] == Entry(
        number=0, commit=found[0].commit, at=found[0].at, action=found[0].action, subject=SUBJECTS[-3]
    )


def test_lost_is_what_no_branch_tag_or_remote_leads_to(repository: Repository) -> None:
    top, below = repository("rev-parse", "HEAD"), repository("rev-parse", "HEAD~1")
    repository("reset", "-q", "--hard", "HEAD~2")
    assert set(run(git_history.lost(str(repository.folder))).split()) == {top, below}
    repository("branch", "rollback/before-some-run", top)
    repository("tag", "kept", below)
    assert run(git_history.lost(str(repository.folder))).split() == [top]
    repository("checkout", "-q", "--detach", top)
    assert run(git_history.lost(str(repository.folder))) == ""


def test_commits_are_ordered_as_history_has_them(repository: Repository) -> None:
    names = [repository("rev-parse", f"HEAD~{number}") for number in (4, 0, 2)]
    repository("checkout", "-q", "--orphan", "other")
    strange = repository.commit(z="z\n")
    repository("checkout", "-q", "main")
    found = git_history.read_log(run(git_history.ordered(str(repository.folder), [*names, strange])).encode())
    assert [commit.commit for commit in found] == [names[1], names[2], names[0]]


@pytest.mark.parametrize("answer", [b"abc", b"abc\0", b"a\0b\0c\0d\0e\0f\0g\0"])
def test_a_broken_list_is_malformed(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        git_history.read_log(answer)


def traits(repository: Repository, target: str) -> Traits:
    return git_history.read_traits(run(git_history.traits(str(repository.folder), target)))


def test_a_plain_repository_has_nothing_to_mind(repository: Repository) -> None:
    assert traits(repository, "HEAD~1") == Traits()


@pytest.mark.parametrize("operation", ["merge", "cherry-pick", "revert", "rebase", "bisect"])
def test_what_git_has_begun_is_told(repository: Repository, operation: str) -> None:
    repository("checkout", "-q", "-b", "side", "HEAD~1")
    repository.commit(a="other\n")
    repository("checkout", "-q", "main")
    words = {"bisect": ["bisect", "start"], "revert": ["revert", "HEAD~3"]}.get(operation, [operation, "side"])
    with suppress(AssertionError):  # it stops half way, as it should
        repository(*words)
    assert traits(repository, "HEAD").operation == operation


def test_a_submodule_that_would_move_is_told(repository: Repository, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    first, second = inner.commit(x="1\n"), inner.commit(x="2\n")
    for commit in (first, second):
        repository("update-index", "--add", "--cacheinfo", f"160000,{commit},a lib")
        repository("commit", "-q", "-m", "lib")
    assert traits(repository, "HEAD~1") == Traits(has_submodules=True, moved=("a lib",), submodules=("a lib",))
    assert traits(repository, "HEAD").moved == ()
    assert traits(repository, "HEAD~2") == Traits(has_submodules=True, moved=("a lib",))


def test_files_of_lfs_are_told_by_the_attributes_of_either_commit(repository: Repository) -> None:
    repository.write("deep/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.commit()
    assert traits(repository, "HEAD").has_lfs
    assert traits(repository, "HEAD~1").has_lfs
    assert not git_history.read_traits("").has_lfs


@pytest.mark.parametrize(
    ("settings", "is_missing"),
    [
        ({}, True),
        ({"process": "git-lfs filter-process"}, False),
        ({"process": "git-lfs filter-process --skip"}, True),
        ({"smudge": "git-lfs smudge --skip -- %f"}, True),
    ],
    ids=["not set up", "set up", "skips", "smudge skips"],
)
def test_lfs_is_missing_where_it_is_not_set_up(
    repository: Repository, tmp_path: Path, settings: dict[str, str], is_missing: bool
) -> None:
    repository.write(".gitattributes", "*.bin filter=lfs\n")
    repository("add", ".gitattributes")
    repository("commit", "-q", "-m", "lfs")
    for name, value in settings.items():
        repository("config", f"filter.lfs.{name}", value)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git-lfs").write_text("#!/bin/sh\n")
    (tools / "git-lfs").chmod(0o755)
    asked = git_history.traits(str(repository.folder), "HEAD")
    answer = HOST.run(replace(asked, env=(*asked.env, ("PATH", f"{tools}:{os.environ['PATH']}"))))
    assert git_history.read_traits(answer.text).is_lfs_missing is is_missing


def test_published_are_commits_that_the_upstream_has(repository: Repository, tmp_path: Path) -> None:
    bare = Repository(tmp_path / "origin")
    bare("config", "receive.denyCurrentBranch", "ignore")
    repository("remote", "add", "origin", str(bare.folder))
    repository("push", "-q", "-u", "origin", "main")
    repository.commit(b="not published\n")
    found = traits(repository, "HEAD~3")
    assert found.published == 2
