"""A checkout, read, saved, switched and put back, by the very git that is installed."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers import git, git_checkout
from rollback_tasks.errors import CommandFailed, MalformedAnswer
from rollback_tasks.model.facts import GitFacts
from rollback_tasks.shell import Command
from rollback_tasks.transport.local import LocalHost

RUN = "20261122T031501Z-4f2a"
HOST = LocalHost()
ODD_NAMES = ["with space", "li\nne", 'quo"te', "it's", "имя", "$(touch hacked)", "-rf", "a\tb", "back\\slash", "*"]


class Repository:
    """A checkout with two commits: the target is the first, HEAD the second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self("init", "-q", "-b", "main")
        self("config", "user.name", "t")
        self("config", "user.email", "t@example.com")

    def __call__(self, *words: str, text: str | None = None) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder, capture_output=True, text=True, input=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def write(self, name: str, text: str = "x\n", mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def commit(self, **files: str | None) -> str:
        for name, text in files.items():
            if text is None:
                (self.folder / name).unlink()
            else:
                self.write(name, text)
        self("add", "-A", ".")
        self("commit", "-q", "--allow-empty", "-m", "c")
        return self("rev-parse", "HEAD")

    def look(self) -> dict[str, object]:
        """Everything that putting back has to bring back: HEAD, index with its flags, every file."""
        files: dict[str, object] = {}
        for place, folders, names in os.walk(self.folder):
            if ".git" in folders and Path(place) == self.folder:
                folders.remove(".git")
            for name in [*names, *[f for f in folders if (Path(place) / f).is_symlink()]]:
                path = Path(place) / name
                key = str(path.relative_to(self.folder))
                is_executable = bool(path.lstat().st_mode & 0o100)
                files[key] = os.readlink(path) if path.is_symlink() else (path.read_bytes(), is_executable)
        return {
            "head": subprocess.run(
                ["git", "symbolic-ref", "-q", "HEAD"], cwd=self.folder, capture_output=True, text=True
            ).stdout,
            "commit": self("rev-parse", "HEAD"),
            "index": self("ls-files", "-s", "-t", "-z"),
            "status": self("status", "--porcelain=v2", "-z"),
            "files": files,
        }


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "my project")
    made.commit(a="one\n", b="one\n", gone="one\n")
    return made


def run(command: Command) -> str:
    return HOST.run(command).text


def state(folder: Path) -> GitFacts:
    return git.read_state(HOST.run(git.state(str(folder))).stdout)


def test_a_clean_checkout_tells_commit_branch_and_tags(repository: Repository) -> None:
    first = repository("rev-parse", "HEAD")
    repository("tag", "v1")
    second = repository.commit(a="two\n")
    repository("tag", "-a", "v2", "-m", "annotated")
    repository("tag", "-a", "team/имя", "-m", "annotated", first)
    assert state(repository.folder) == GitFacts(
        commit=second, branch="main", tags={"v1": first, "v2": second, "team/имя": first}
    )


def test_a_tag_keeps_its_name_where_a_branch_has_the_same(repository: Repository) -> None:
    repository("branch", "v1")
    repository("tag", "v1")
    assert state(repository.folder).tags == {"v1": repository("rev-parse", "HEAD")}


def test_a_detached_checkout_has_no_branch_and_may_have_no_tags(repository: Repository) -> None:
    repository("checkout", "-q", "--detach")
    assert state(repository.folder) == GitFacts(commit=repository("rev-parse", "HEAD"), branch=None)


def test_a_repository_without_a_commit_is_a_failure_with_its_own_code(tmp_path: Path) -> None:
    empty = Repository(tmp_path / "empty")
    with pytest.raises(CommandFailed) as caught:
        run(git.state(str(empty.folder)))
    assert caught.value.exit_code_seen == 4


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_file_name_is_read_as_it_is(repository: Repository, name: str) -> None:
    repository.write(name)
    assert state(repository.folder).dirty == (name,)


def test_a_rename_is_one_change_under_its_new_name(repository: Repository) -> None:
    repository("mv", "a", "new\nname")
    repository.write("z")
    assert state(repository.folder).dirty == ("new\nname", "z")


def test_the_settings_of_a_user_change_nothing_of_what_is_read(repository: Repository) -> None:
    for key, value in {
        "status.showUntrackedFiles": "no",
        "status.short": "true",
        "status.branch": "true",
        "color.ui": "always",
        "core.quotePath": "true",
    }.items():
        repository("config", key, value)
    repository.write("новый")
    assert state(repository.folder).dirty == ("новый",)


def test_the_tools_own_folder_is_no_change(repository: Repository) -> None:
    repository.write(".rollback/runs/x/journal.jsonl")
    repository.write("sub/.rollback/lock/owner.json")
    assert state(repository.folder).dirty == ("sub/",)
    assert state(repository.folder / "sub").dirty == (".rollback/",)


def test_a_subfolder_of_a_repository_tells_the_changes_of_all_of_it(repository: Repository) -> None:
    repository.write("sub/file")
    repository.commit()
    repository.write("sub/file", "changed")
    repository.write("a", "changed")
    assert state(repository.folder / "sub").dirty == ("a", "sub/file")


@pytest.mark.parametrize("answer", [b"", b"\n", b"fatal: not a repository\n", b"abc\nrefs/heads/main\n\n"])
def test_an_answer_without_a_commit_is_malformed(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        git.read_state(answer)


@given(st.binary(max_size=200))
def test_no_answer_is_read_into_anything_but_facts_or_a_named_error(rest: bytes) -> None:
    try:
        git.read_state(b"a" * 40 + b"\n" + rest)
        git.read_state(rest)
    except MalformedAnswer:
        return


@pytest.mark.parametrize("name", ["v1", "main", "HEAD", "HEAD~0", "short", "commit"])
def test_a_name_means_the_commit_that_git_takes_it_for(repository: Repository, name: str) -> None:
    repository("tag", "-a", "v1", "-m", "annotated")
    head = repository("rev-parse", "HEAD")
    spoken = {"short": head[:8], "commit": head}.get(name, name)
    assert run(git.resolve(str(repository.folder), spoken)) == f"{head}\n"


@pytest.mark.parametrize("name", ["nothing", "", "--all", "-n1", "$(touch hacked)", "a b", "c" * 40, "HEAD:a"])
def test_a_name_that_means_no_commit_ends_with_code_1(repository: Repository, name: str) -> None:
    done = HOST.run(git.resolve(str(repository.folder), name))
    assert (done.exit_code, done.text) == (1, "")
    assert not (repository.folder / "hacked").exists()


@pytest.mark.parametrize("inside", [".", "sub"])
def test_files_of_a_commit_are_named_from_the_projects_folder(repository: Repository, inside: str) -> None:
    prefix = "" if inside == "." else "sub/"
    repository.write(f"{prefix}compose.yml", "of the commit\r\n")
    repository.write(f"{prefix}alembic/versions/1.py", "x = 1\n")
    commit = repository.commit()
    repository.write(f"{prefix}compose.yml", "changed since")
    folder = str(repository.folder / inside)
    assert HOST.run(git.show(folder, commit, "compose.yml")).stdout == b"of the commit\r\n"
    tar = HOST.run(git.archive(folder, commit, "alembic/versions")).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        assert [member.name for member in opened if member.isfile()] == ["alembic/versions/1.py"]
    assert HOST.run(git.show(folder, commit, "missing")).exit_code == 1
    assert HOST.run(git.archive(folder, commit, "missing")).exit_code == 1


def _nothing(repository: Repository) -> None:
    pass


def _modified(repository: Repository) -> None:
    repository.write("a", "changed\n")


def _staged(repository: Repository) -> None:
    repository.write("a", "staged\n")
    repository("add", "a")


def _staged_and_changed_again(repository: Repository) -> None:
    _staged(repository)
    repository.write("a", "and again\n")


def _deleted(repository: Repository) -> None:
    (repository.folder / "a").unlink()


def _deletion_staged(repository: Repository) -> None:
    repository("rm", "-q", "a")


def _removed_from_the_index_only(repository: Repository) -> None:
    repository("rm", "-q", "--cached", "a")


def _untracked(repository: Repository) -> None:
    repository.write("new", "new\n")
    repository.write("deep/er/new", "new\n", 0o755)


def _untracked_where_the_target_has_a_file(repository: Repository) -> None:
    repository.write("gone", "mine, not the target's\n")


def _ignored_where_the_target_has_a_file(repository: Repository) -> None:
    repository.write(".gitignore", "gone\nonly-mine\n")
    repository.write("gone", "a secret of this host\n")
    repository.write("only-mine", "stays\n")


def _folder_where_the_target_has_a_file(repository: Repository) -> None:
    repository.write(".gitignore", "gone\n")
    repository.write("gone/deep/file", "in the way\n")


def _file_where_the_target_has_a_folder(repository: Repository) -> None:
    repository.write(".gitignore", "folder\n")
    repository.write("folder", "in the way\n")


def _link_where_the_target_has_a_folder(repository: Repository) -> None:
    repository.write("elsewhere/inner", "not to be touched\n")
    (repository.folder / "folder").symlink_to("elsewhere")


def _modes_and_links(repository: Repository) -> None:
    (repository.folder / "a").chmod(0o755)
    (repository.folder / "b").unlink()
    (repository.folder / "b").symlink_to("имя\nwith line")
    (repository.folder / "dangling").symlink_to("nowhere")


def _intent_to_add(repository: Repository) -> None:
    repository.write("later", "later\n")
    repository("add", "-N", "later")


def _hidden_changes(repository: Repository) -> None:
    repository("update-index", "--skip-worktree", "a")
    repository("update-index", "--assume-unchanged", "b")
    repository.write("a", "this host's own settings\n")
    repository.write("b", "this host's own too\n")


def _odd_names(repository: Repository) -> None:
    for name in ODD_NAMES:
        repository.write(name, name)
        repository.write(f"staged {name}", name)
        repository("--literal-pathspecs", "add", "--", f"staged {name}")


def _a_repository_inside(repository: Repository) -> None:
    Repository(repository.folder / "nested").commit(inner="x\n")
    Repository(repository.folder / "empty nested")


def _no_index(repository: Repository) -> None:
    (repository.folder / ".git/index").unlink()


def _detached(repository: Repository) -> None:
    repository("checkout", "-q", "--detach")
    _modified(repository)


def _branch_with_an_odd_name(repository: Repository) -> None:
    repository("checkout", "-q", "-b", "fix/имя-'$(x)'")
    _staged_and_changed_again(repository)


CHANGES: list[Callable[[Repository], None]] = [
    _nothing,
    _modified,
    _staged,
    _staged_and_changed_again,
    _deleted,
    _deletion_staged,
    _removed_from_the_index_only,
    _untracked,
    _untracked_where_the_target_has_a_file,
    _ignored_where_the_target_has_a_file,
    _folder_where_the_target_has_a_file,
    _file_where_the_target_has_a_folder,
    _link_where_the_target_has_a_folder,
    _modes_and_links,
    _intent_to_add,
    _hidden_changes,
    _odd_names,
    _a_repository_inside,
    _no_index,
    _detached,
    _branch_with_an_odd_name,
]


def modes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mode & 0o777 for p in folder.rglob("*") if ".git" not in p.parts}


def test_modes_come_back_whatever_umask_the_one_who_puts_back_has(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "it's")
    target = repository.commit(kept="old", secret="of the target's")
    repository.commit(kept="new", secret=None, **dict.fromkeys(ODD_NAMES, "x"))
    repository.write("sub/gone", "1")
    repository.commit()
    (repository.folder / "kept").chmod(0o640)
    repository.write("secret", "of the operator's", mode=0o600)
    before = modes(repository.folder)
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    back = git_checkout.put_back(str(repository.folder), RUN, repository("rev-parse", "main"), "main")
    other = ("sh", "-c", 'umask 007; exec "$@"', "sh", *back.argv)
    run(replace(back, argv=other))
    assert modes(repository.folder) == before


@pytest.fixture
def two_releases(repository: Repository) -> tuple[Repository, str]:
    """HEAD lacks a file and a folder that the target has, and has one that the target lacks."""
    repository.write("folder/x", "one\n")
    target = repository.commit()
    (repository.folder / "folder/x").unlink()
    (repository.folder / "folder").rmdir()
    repository.commit(a="two\n", gone=None, newer="two\n")
    return repository, target


@pytest.mark.parametrize(
    ("place", "change"),
    [pytest.param("checkout", change, id=change.__name__.strip("_")) for change in CHANGES]
    + [
        pytest.param(place, change, id=f"{place}, {change.__name__.strip('_')}")
        for place in ("linked worktree", "subfolder")
        for change in (_staged_and_changed_again, _ignored_where_the_target_has_a_file, _intent_to_add, _odd_names)
    ],
)
def test_a_checkout_is_saved_switched_and_put_back(
    two_releases: tuple[Repository, str], change: Callable[[Repository], None], place: str
) -> None:
    repository, target = two_releases
    folder = repository.folder
    if place == "subfolder":
        repository.write("project/file", "x\n")
        repository.commit()
        folder = repository.folder / "project"
    if place == "linked worktree":
        beside = repository.folder.parent / "beside"
        repository("worktree", "add", "-q", "-b", "side", str(beside))
        linked = object.__new__(Repository)
        linked.folder = beside
        repository, folder = linked, beside
    change(repository)
    before = repository.look() if change is not _no_index else None
    commit = repository("rev-parse", "HEAD")
    branch = state(folder).branch

    run(git_checkout.save(str(folder), RUN, target))
    run(git_checkout.is_saved(str(folder), RUN))
    if before is not None:
        assert repository.look() == before
    run(git_checkout.switch(str(repository.folder if place == "subfolder" else folder), target))
    run(git_checkout.is_at(str(repository.folder), target))
    assert (repository.folder / "gone").read_text() == "one\n"
    assert (repository.folder / "folder/x").read_text() == "one\n"
    for _ in range(2):
        run(git_checkout.put_back(str(repository.folder), RUN, commit, branch))
        if before is not None:
            assert repository.look() == before
    assert repository("rev-parse", f"rollback/before-{RUN}") == commit


def test_what_a_switch_does_not_touch_is_never_written_anew(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    growing = repository.write("pgdata/base/1", "before\n")
    commit = repository("rev-parse", "HEAD")
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    growing.write_text("written while the rollback ran\n")
    run(git_checkout.put_back(str(repository.folder), RUN, commit, "main"))
    assert growing.read_text() == "written while the rollback ran\n"


def test_putting_back_before_anything_was_saved_changes_nothing(two_releases: tuple[Repository, str]) -> None:
    repository, _ = two_releases
    _staged_and_changed_again(repository)
    before = repository.look()
    run(git_checkout.put_back(str(repository.folder), RUN, repository("rev-parse", "HEAD"), "main"))
    assert repository.look() == before
    with pytest.raises(CommandFailed):
        run(git_checkout.is_saved(str(repository.folder), RUN))


def test_putting_back_before_the_switch_keeps_every_change(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    _staged_and_changed_again(repository)
    _untracked(repository)
    before = repository.look()
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.put_back(str(repository.folder), RUN, repository("rev-parse", "HEAD"), "main"))
    assert repository.look() == before


def test_a_second_save_of_a_run_keeps_the_first(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    _modified(repository)
    before = repository.look()
    commit = repository("rev-parse", "HEAD")
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.put_back(str(repository.folder), RUN, commit, "main"))
    assert repository.look() == before


def test_what_a_person_did_since_is_saved_before_the_checkout_goes_back(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    before, commit, folder = repository.look(), repository("rev-parse", "HEAD"), str(repository.folder)
    assert run(git_checkout.save_again(folder, "later", RUN)) == ""  # the run had not saved anything yet
    run(git_checkout.save(folder, RUN, target))
    run(git_checkout.switch(folder, target))
    path = repository("ls-files").splitlines()[0]
    repository.write(path, "by hand\n")
    for _ in range(2):
        run(git_checkout.save_again(folder, "later", RUN))
    run(git_checkout.put_back(folder, RUN, commit, "main"))
    assert repository.look() == before
    assert repository("show", f"{git_checkout.saved_tree('later')}:{path}") == "by hand"


def test_edits_between_two_tries_of_going_back_are_kept(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    folder, commit = str(repository.folder), repository("rev-parse", "HEAD")
    tracked = repository("ls-files").splitlines()[0]
    repository.write(tracked, "changed before the run\n")
    run(git_checkout.save(folder, RUN, target))
    run(git_checkout.switch(folder, target))
    back = git_checkout.put_back(folder, RUN, commit, "main")
    assert "edits" not in run(back)
    assert "edits" not in run(back), "nobody edited anything"
    repository.write(tracked, "edited by a person\n")
    assert f"refs/rollback/{RUN}/edited" in run(back)
    assert repository("show", f"refs/rollback/{RUN}/edited:{tracked}") == "edited by a person"
    assert (repository.folder / tracked).read_text() == "changed before the run\n"


def test_a_lock_that_a_killed_git_left_does_not_stop_the_way_back(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    before = repository.look()
    commit = repository("rev-parse", "HEAD")
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    repository.write(".git/index.lock", "")
    run(git_checkout.put_back(str(repository.folder), RUN, commit, "main"))
    assert repository.look() == before


def test_a_branch_that_moved_meanwhile_is_not_moved_back(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    commit = repository("rev-parse", "HEAD")
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    repository("update-ref", "refs/heads/main", target)
    run(git_checkout.put_back(str(repository.folder), RUN, commit, "main"))
    assert state(repository.folder) == GitFacts(commit=commit, branch=None)
    assert repository("rev-parse", "main") == target


def test_no_hook_of_the_checkout_runs(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    commit = repository("rev-parse", "HEAD")
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit"):
        repository.write(f".git/hooks/{hook}", f"#!/bin/sh\ntouch {repository.folder.parent}/ran-{hook}\n", 0o755)
    _ignored_where_the_target_has_a_file(repository)
    run(git_checkout.save(str(repository.folder), RUN, target))
    run(git_checkout.switch(str(repository.folder), target))
    run(git_checkout.put_back(str(repository.folder), RUN, commit, "main"))
    run(git.add_tree(str(repository.folder), target, str(repository.folder.parent / "tree")))
    assert list(repository.folder.parent.glob("ran-*")) == []


def test_an_unfinished_merge_is_not_saved_and_says_so(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    blob = repository("hash-object", "-w", "a")
    repository("update-index", "--index-info", text=f"100644 {blob} 1\ta\n100644 {blob} 2\ta\n100644 {blob} 3\ta\n")
    with pytest.raises(CommandFailed, match="sh ended with exit code 1") as caught:
        run(git_checkout.save(str(repository.folder), RUN, target))
    assert "the index holds unmerged paths" in caught.value.stderr
    assert state(repository.folder).unmerged == ("a",)


def test_a_changed_file_or_another_commit_is_not_the_target(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    folder = str(repository.folder)
    run(git_checkout.is_at(folder, repository("rev-parse", "HEAD")))
    repository.write("untracked")
    run(git_checkout.is_at(folder, repository("rev-parse", "HEAD")))
    with pytest.raises(CommandFailed):
        run(git_checkout.is_at(folder, target))
    _modified(repository)
    with pytest.raises(CommandFailed):
        run(git_checkout.is_at(folder, repository("rev-parse", "HEAD")))


def _can_lie_together(files: dict[str, str]) -> bool:
    return not any(other.startswith(f"{name}/") for name in files for other in files)


NAMES = ["a", "b", "d/x", "d/y", "d", "e/f/g", "имя", "q'\n"]
FILES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "1", "2"]), max_size=5).filter(_can_lie_together)


def _lay(repository: Repository, files: dict[str, str]) -> None:
    """Make the work tree exactly ``files``."""
    subprocess.run(["sh", "-c", "find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +"], cwd=repository.folder)
    for name, text in files.items():
        repository.write(name, text)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=FILES, head=FILES, staged=FILES, tree=FILES)
def test_any_checkout_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    target: dict[str, str],
    head: dict[str, str],
    staged: dict[str, str],
    tree: dict[str, str],
) -> None:
    repository = Repository(tmp_path_factory.mktemp("any") / "r")
    commits = []
    for files in (target, head):
        _lay(repository, files)
        commits.append(repository.commit())
    _lay(repository, staged)
    repository("add", "-A", ".")
    _lay(repository, tree)
    before = repository.look()
    folder = str(repository.folder)
    run(git_checkout.save(folder, RUN, commits[0]))
    assert repository.look() == before
    run(git_checkout.switch(folder, commits[0]))
    run(git_checkout.is_at(folder, commits[0]))
    run(git_checkout.put_back(folder, RUN, commits[1], "main"))
    assert repository.look() == before


def test_a_tree_is_made_beside_and_removed_and_both_may_be_repeated(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    folder, place = str(repository.folder), repository.folder / ".rollback/runs/x/tree"
    for _ in range(2):
        run(git.add_tree(folder, target, str(place)))
        assert (place / "gone").read_text() == "one\n"
    head = repository("rev-parse", "HEAD")
    run(git.add_tree(folder, head, str(place)))
    assert not (place / "gone").exists()
    for _ in range(2):
        run(git.remove_tree(folder, str(place)))
        assert not place.exists()
    assert repository("worktree", "list").count("\n") == 0


def test_a_tree_is_what_the_projects_folder_inside_of_a_repository_was(repository: Repository) -> None:
    repository.write("sub/имя/compose.yml", "then\n")
    then = repository.commit()
    repository.write("sub/имя/compose.yml", "now\n")
    repository.commit()
    folder = repository.folder / "sub/имя"
    place = folder / ".rollback/runs/x/tree"
    for _ in range(2):
        run(git.add_tree(str(folder), then, str(place)))
        assert (place / "compose.yml").read_text() == "then\n"
    run(git.remove_tree(str(folder), str(place)))
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("left", ["a locked tree", "a folder that is no tree", "a tree whose folder is gone"])
def test_what_a_killed_making_of_a_tree_left_is_removed(two_releases: tuple[Repository, str], left: str) -> None:
    repository, target = two_releases
    folder, place = str(repository.folder), repository.folder.parent / "tree"
    if left == "a folder that is no tree":
        Path(f"{place}.whole/deep").mkdir(parents=True)
    else:
        run(git.add_tree(folder, target, str(place)))
        repository("worktree", "lock", "--reason", "initializing", f"{place}.whole")
    if left == "a tree whose folder is gone":
        subprocess.run(["rm", "-rf", f"{place}.whole"], check=True)
    run(git.remove_tree(folder, str(place)))
    assert not place.exists()
    run(git.add_tree(folder, target, str(place)))
    run(git.remove_tree(folder, str(place)))
    assert repository("worktree", "list").count("\n") == 0


def test_a_tree_of_somebody_else_whose_disk_is_away_stays_known(two_releases: tuple[Repository, str]) -> None:
    repository, target = two_releases
    away = repository.folder.parent / "away"
    repository("worktree", "add", "-q", "--detach", str(away))
    away.rename(repository.folder.parent / "unmounted")
    run(git.add_tree(str(repository.folder), target, str(repository.folder.parent / "tree")))
    run(git.remove_tree(str(repository.folder), str(repository.folder.parent / "tree")))
    assert str(away) in repository("worktree", "list")


def test_a_pattern_is_kept_out_of_gits_sight_once(repository: Repository) -> None:
    for _ in range(2):
        run(git.exclude(str(repository.folder), ".rollback/"))
    repository.write(".rollback/x")
    assert repository("status", "--porcelain") == ""
    assert (repository.folder / ".git/info/exclude").read_text().count(".rollback/") == 1
