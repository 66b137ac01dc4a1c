"""Commits taken back by the very git that is installed, without the checkout seeing it before it has to."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_tasks.drivers import git_checkout, git_history, git_revert
from rollback_tasks.drivers.git_revert import Rehearsed, Signature
from rollback_tasks.errors import CommandFailed, MalformedAnswer
from tests.process.drivers.test_git import CHANGES, HOST, ODD_NAMES, RUN, Repository, run

WHO = Signature(name="ann", email="ann@desk", at=1795317301)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Four commits on main; each changes a file of its own, and the last two change `shared` as well."""
    made = Repository(tmp_path / "my project")
    made.commit(a="one\n", shared="1\n")
    made.commit(b="two\n")
    made.commit(a="three\n", shared="3\n")
    made.commit(c="four\n", shared="4\n")
    return made


def rehearse(repository: Repository, *names: str, mainline: int | None = None) -> tuple[int, Rehearsed, str]:
    commits = [repository("rev-parse", name) for name in names]
    head = repository("rev-parse", "HEAD")
    done = HOST.run(git_revert.rehearse(str(repository.folder), head, commits, mainline, WHO))
    return done.exit_code, git_revert.read_rehearsal(done.stdout), done.error_text


def revert(repository: Repository, *names: str, mainline: int | None = None) -> str:
    """Do as a run does: rehearse, make, save, move."""
    folder, head = str(repository.folder), repository("rev-parse", "HEAD")
    commits = [repository("rev-parse", name) for name in names]
    code, rehearsed, said = rehearse(repository, *names, mainline=mainline)
    assert code == 0, said
    after = rehearsed.made[-1]
    run(git_revert.make(folder, RUN, head, commits, mainline, WHO, after))
    run(git_revert.is_made(folder, RUN, after))
    run(git_checkout.save(folder, RUN, after))
    run(git_checkout.move(folder, RUN, "merge", before=head, after=after, onto="main"))
    run(git_checkout.stands_at(folder, after, "main"))
    return after


def everything(repository: Repository) -> dict[str, object]:
    """What a rehearsal must not touch: also git's own files, but for what it keeps of its own."""
    inner = {
        str(path.relative_to(repository.folder)): path.read_bytes()
        for path in (repository.folder / ".git").rglob("*")
        if path.is_file()
    }
    return {**repository.look(), "inner": inner}


def test_a_range_reverted_gives_the_tree_before_it(repository: Repository) -> None:
    before = repository("rev-parse", "HEAD~3^{tree}")
    revert(repository, "HEAD", "HEAD~1", "HEAD~2")
    assert repository("rev-parse", "HEAD^{tree}") == before
    assert repository("status", "--porcelain") == ""
    assert repository("log", "-3", "--format=%an %ae %ct") == "\n".join(["t t@example.com 1795317301"] * 3)
    assert repository("symbolic-ref", "HEAD") == "refs/heads/main"


def test_a_commit_in_the_middle_is_reverted_alone(repository: Repository) -> None:
    revert(repository, "HEAD~2")
    assert not (repository.folder / "b").exists()
    assert (repository.folder / "c").read_text() == "four\n"


@pytest.mark.parametrize("change", CHANGES[:4])
def test_a_conflict_names_its_files_and_touches_nothing(repository: Repository, change: object) -> None:
    assert callable(change)
    change(repository)
    before = everything(repository)
    code, rehearsed, _ = rehearse(repository, "HEAD~1")
    assert (code, rehearsed) == (
        git_revert.CONFLICT,
        Rehearsed(stopped_at=repository("rev-parse", "HEAD~1"), conflicts=("shared",)),
    )
    assert everything(repository) == before


@pytest.mark.parametrize("name", ODD_NAMES[:4])
def test_a_file_in_conflict_is_named_as_it_is(tmp_path: Path, name: str) -> None:
    made = Repository(tmp_path / "odd")
    for text in ("1\n", "2\n", "3\n"):
        made.commit(**{name: text})
    code, rehearsed, _ = rehearse(made, "HEAD~1")
    assert (code, rehearsed.conflicts) == (git_revert.CONFLICT, (name,))
    assert not (made.folder / "hacked").exists()


def test_a_rehearsal_that_works_touches_nothing_either(repository: Repository) -> None:
    repository.write("a", "changed in the work tree\n")
    before = everything(repository)
    code, rehearsed, _ = rehearse(repository, "HEAD~2")
    assert (code, len(rehearsed.made)) == (0, 1)
    assert everything(repository) == before


def test_what_is_taken_back_already_is_no_conflict(repository: Repository) -> None:
    revert(repository, "HEAD")
    code, rehearsed, _ = rehearse(repository, "HEAD~1")
    assert (code, rehearsed.stopped_at) == (git_revert.EMPTY, repository("rev-parse", "HEAD~1"))


def test_a_merge_goes_back_to_the_side_that_was_named(repository: Repository) -> None:
    repository("checkout", "-q", "-b", "side", "HEAD~1")
    repository.commit(d="side\n")
    repository("checkout", "-q", "main")
    before = repository("rev-parse", "HEAD^{tree}")
    repository("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert rehearse(repository, "HEAD")[0] == git_revert.FAILED
    revert(repository, "HEAD", mainline=1)
    assert repository("rev-parse", "HEAD^{tree}") == before


def test_a_mainline_does_no_harm_to_commits_that_are_no_merges(repository: Repository) -> None:
    revert(repository, "HEAD", mainline=1)
    assert not (repository.folder / "c").exists()


def test_the_first_commit_of_all_can_be_reverted(tmp_path: Path) -> None:
    made = Repository(tmp_path / "first")
    made.commit(a="x\n")
    made.commit(b="x\n")
    revert(made, "HEAD~1")
    assert not (made.folder / "a").exists()
    assert (made.folder / "b").exists()


def test_changes_elsewhere_in_the_work_tree_stay(repository: Repository) -> None:
    repository.write("a", "staged\n")
    repository("add", "a")
    repository.write("a", "and again\n")
    repository.write("new", "untracked\n")
    status = repository("status", "--porcelain")
    revert(repository, "HEAD~2")
    assert repository("status", "--porcelain") == status
    assert (repository.folder / "a").read_text() == "and again\n"


@pytest.mark.parametrize("way", ["changed", "untracked", "ignored", "hidden", "assumed"])
def test_changes_in_the_way_of_a_revert_are_told_before_anything_happens(repository: Repository, way: str) -> None:
    repository.commit(b=None)
    if way == "changed":
        repository.commit(b="again\n")
        repository.write("b", "changed\n")
    elif way in ("hidden", "assumed"):
        repository.commit(b="again\n")
        flag = "--skip-worktree" if way == "hidden" else "--assume-unchanged"
        repository("update-index", flag, "b")
        repository.write("b", "changed\n")
    else:
        if way == "ignored":
            repository.write(".git/info/exclude", "b\n")
        repository.write("b", "mine\n")
    before = everything(repository)
    code, rehearsed, said = rehearse(repository, "HEAD")
    assert (code, len(rehearsed.made)) == (git_revert.IN_THE_WAY, 1)
    assert "b" in said
    assert everything(repository) == before


def test_a_submodule_that_would_move_is_refused(repository: Repository, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    first, second = inner.commit(x="1\n"), inner.commit(x="2\n")
    for commit in (first, second):
        repository("update-index", "--add", "--cacheinfo", f"160000,{commit},lib")
        repository("commit", "-q", "-m", "lib")
    code, _, said = rehearse(repository, "HEAD")
    assert code == git_revert.IN_THE_WAY
    assert "submodule" in said


@pytest.mark.parametrize("change", [*CHANGES[:4], *(pytest.param(one, marks=pytest.mark.long) for one in CHANGES[4:])])
def test_putting_back_brings_everything_back(repository: Repository, change: object) -> None:
    assert callable(change)
    repository.commit(gone="one\n")
    repository.commit(gone=None, z="z\n")
    change(repository)
    before = repository.look()
    if rehearse(repository, "HEAD")[0] == git_revert.IN_THE_WAY:
        assert repository.look() == before
        return
    head, branch = repository("rev-parse", "HEAD"), before["head"]
    assert isinstance(branch, str)
    onto = branch.strip().removeprefix("refs/heads/")
    folder = str(repository.folder)
    code, rehearsed, said = rehearse(repository, "HEAD")
    assert code == 0, said
    after = rehearsed.made[-1]
    run(git_revert.make(folder, RUN, head, [head], None, WHO, after))
    run(git_checkout.save(folder, RUN, after))
    run(git_checkout.move(folder, RUN, "merge", before=head, after=after, onto=onto))
    assert repository("rev-parse", "HEAD") == after
    for _ in range(2):
        run(git_checkout.put_back(folder, RUN, head, onto or None, moved_to=after))
        assert repository.look() == before


def test_it_fails_where_the_commits_come_out_otherwise_than_planned(repository: Repository) -> None:
    head = repository("rev-parse", "HEAD")
    before = repository.look()
    with pytest.raises(CommandFailed):
        run(git_revert.make(str(repository.folder), RUN, head, [head], None, WHO, "c" * 40))
    assert repository.look() == before


def test_what_was_made_is_let_go_again_twice(repository: Repository) -> None:
    for _ in range(2):
        run(git_revert.forget(str(repository.folder), RUN))


@pytest.mark.parametrize("name", ["", "<>", "a\nb", 'o\'neil "x"', "$(touch hacked)", "имя", "."])
def test_any_operator_can_make_a_commit(repository: Repository, name: str) -> None:
    repository("config", "--unset", "user.name")
    head = repository("rev-parse", "HEAD")
    who = Signature(name=name, email=f"{name}@desk", at=1795317301)
    done = HOST.run(git_revert.rehearse(str(repository.folder), head, [head], None, who))
    assert done.exit_code == 0, done.error_text
    assert not (repository.folder / "hacked").exists()


def test_a_project_inside_its_repository_is_reverted_as_a_whole(repository: Repository) -> None:
    repository.write("sub/x", "1\n")
    repository.commit(top="1\n")
    head = repository("rev-parse", "HEAD")
    folder = str(repository.folder / "sub")
    rehearsed = git_revert.read_rehearsal(HOST.run(git_revert.rehearse(folder, head, [head], None, WHO)).stdout)
    run(git_revert.make(folder, RUN, head, [head], None, WHO, rehearsed.made[-1]))
    assert repository("ls-tree", "-r", "--name-only", rehearsed.made[-1]).split() == ["a", "b", "c", "shared"]


@pytest.mark.parametrize("answer", [b"made abc", b"conflict abc\0file"])
def test_a_cut_answer_is_malformed(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        git_revert.read_rehearsal(answer)


@pytest.mark.parametrize(
    ("oldest", "newest", "found"),
    [
        ("HEAD~2", "HEAD", ["HEAD", "HEAD~1", "HEAD~2"]),
        ("HEAD~3", "HEAD~2", ["HEAD~2", "HEAD~3"]),
        ("HEAD", "HEAD", ["HEAD"]),
        ("HEAD~3", "HEAD~3", ["HEAD~3"]),
    ],
)
def test_a_range_holds_both_its_ends(repository: Repository, oldest: str, newest: str, found: list[str]) -> None:
    done = HOST.run(git_history.chain(str(repository.folder), oldest, newest))
    assert done.text.split() == [repository("rev-parse", name) for name in found]


def test_a_range_goes_past_what_a_merge_brought(repository: Repository) -> None:
    repository("checkout", "-q", "-b", "side", "HEAD~1")
    side = repository.commit(d="side\n")
    repository("checkout", "-q", "main")
    repository("merge", "-q", "--no-ff", "-m", "merge", "side")
    chain = HOST.run(git_history.chain(str(repository.folder), "HEAD~1", "HEAD")).text.split()
    assert chain == [repository("rev-parse", name) for name in ("HEAD", "HEAD~1")]
    assert HOST.run(git_history.chain(str(repository.folder), side, "HEAD")).exit_code == 5
    assert HOST.run(git_history.chain(str(repository.folder), "HEAD", "HEAD~1")).exit_code == 5


@pytest.mark.parametrize("name", ["nothing", "-n1", "--all", "$(touch hacked)", "a b", "HEAD:a", "", "new\nline"])
def test_a_name_that_means_no_commit_is_told(repository: Repository, name: str) -> None:
    assert HOST.run(git_history.chain(str(repository.folder), name, "HEAD")).exit_code == git_history.NONE_SUCH
    assert HOST.run(git_history.chain(str(repository.folder), "HEAD", name)).exit_code == git_history.NONE_SUCH
    assert not (repository.folder / "hacked").exists()
