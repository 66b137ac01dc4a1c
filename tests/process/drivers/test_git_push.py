"""What is pushed where, by what name ever, and that nobody's commits are overwritten unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import git_push, git_refs
from rollback_tasks.drivers.git_push import Remote, is_protected, read_refspec
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.errors import CommandFailed
from tests.process.drivers.test_git import HOST, RUN, Repository, run

WHO = Signature(name="ann", email="ann@desk", at=1795317301)
FEATURE = "refs/heads/feature"

# Every way to write the branch main.
MAINS = [
    "main",
    "refs/heads/main",
    "heads/main",
    "origin/main",
    "refs/remotes/origin/main",
    "remotes/origin/main",
    "HEAD:main",
    "@:main",
    "HEAD:refs/heads/main",
    "feature:heads/main",
    "feature:origin/main",
    "v1:main",
    "a" * 40 + ":refs/heads/main",
    "main:main",
    "Main",
    "HEAD:MAIN",
]


@pytest.mark.parametrize("plus", ["", "+"])
@pytest.mark.parametrize("spec", MAINS)
@pytest.mark.parametrize("branch", ["feature", None])
def test_main_is_protected_by_whatever_name(spec: str, plus: str, branch: str | None) -> None:
    found = read_refspec(plus + spec, branch=branch, remote="origin")
    assert (found.problem, found.is_forced) == ("", plus == "+")
    assert is_protected(found.ref, ("main",))


@pytest.mark.parametrize("spec", ["HEAD", "@", "+HEAD", "+@"])
def test_head_is_the_branch_that_it_is_on(spec: str) -> None:
    assert is_protected(read_refspec(spec, branch="main", remote="origin").ref, ("main",))
    assert read_refspec(spec, branch=None, remote="origin").problem.startswith("HEAD is on no branch")


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "+",
        ":main",
        "+:main",
        ":refs/heads/main",
        "main:",
        "refs/heads/*:refs/heads/*",
        "HEAD:refs/heads/*",
        "HEAD:HEAD",
        "HEAD:@",
        "refs/tags/v1",
        "HEAD:refs/tags/v1",
        "HEAD:refs/for/main",
        "HEAD:refs/heads/refs/heads/main",
        "HEAD:main:main",
        "HEAD:main^",
        "HEAD: main",
        "HEAD:main\nx",
        "^main",
    ],
)
def test_what_is_no_branch_is_refused(spec: str) -> None:
    assert read_refspec(spec, branch="feature", remote="origin").problem


@given(st.text(max_size=30), st.sampled_from([None, "feature", "main"]))
def test_every_text_is_a_branch_or_has_a_problem(text: str, branch: str | None) -> None:
    found = read_refspec(text, branch=branch, remote="origin")
    assert bool(found.problem) != bool(found.ref)
    if found.ref:
        assert found.ref.startswith("refs/heads/")
        assert not found.branch.startswith("refs/")


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("release/1", ("release/*",), True),
        ("release", ("release/*",), False),
        ("main2", ("main",), False),
        ("main", ("refs/heads/main",), True),
        ("main", (), False),
    ],
)
def test_protected_branches_may_be_patterns(name: str, patterns: tuple[str, ...], expected: bool) -> None:
    assert is_protected(f"refs/heads/{name}", patterns) is expected


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two commits on branch feature, the first of them at origin."""
    origin = Repository(tmp_path / "the origin")
    origin("config", "core.bare", "true")
    made = Repository(tmp_path / "my project")
    made("checkout", "-q", "-b", "feature")
    made.commit(a="one\n")
    made("remote", "add", "origin", str(origin.folder))
    made("push", "-q", "origin", "feature")
    made.commit(a="two\n")
    return made


def there(repository: Repository, ref: str = FEATURE) -> str:
    return repository("ls-remote", "origin", ref).partition("\t")[0]


def look(repository: Repository, source: str = "feature", ref: str = FEATURE) -> tuple[int, Remote]:
    done = HOST.run(git_push.look(str(repository.folder), "origin", source, ref))
    return done.exit_code, git_push.read_look(done.text)


def push(repository: Repository, *, expected: str, is_forced: bool = False, ref: str = FEATURE) -> None:
    folder, source = str(repository.folder), repository("rev-parse", "HEAD")
    run(git_push.push(folder, RUN, "origin", source, ref, expected=expected, is_forced=is_forced))
    run(git_push.is_pushed(folder, "origin", source, ref))


def unpush(repository: Repository, *, expected: str, ref: str = FEATURE) -> None:
    run(git_push.unpush(str(repository.folder), RUN, "origin", ref, expected=expected))


def test_a_look_tells_what_a_push_would_meet(repository: Repository) -> None:
    first, second = repository("rev-parse", "HEAD~1"), repository("rev-parse", "HEAD")
    assert look(repository) == (0, Remote(object=second, value=first, is_forward=True, is_here=True))
    assert look(repository, "HEAD", "refs/heads/new") == (0, Remote(object=second, is_forward=True))
    repository("commit", "-q", "--amend", "-m", "other")
    repository("push", "-q", "origin", f"{second}:feature")
    assert look(repository)[1] == Remote(object=repository("rev-parse", "HEAD"), value=second, is_here=True)
    assert look(repository, "nothing")[1].object == ""
    assert look(repository, ref="refs/heads/a..b")[0] == git_refs.UNNAMEABLE


def test_a_branch_is_meant_where_a_tag_has_its_name(repository: Repository) -> None:
    repository("tag", "feature", "HEAD~1")
    assert look(repository)[1].object == repository("rev-parse", "refs/heads/feature")


def test_a_link_at_the_remote_is_told(repository: Repository, tmp_path: Path) -> None:
    repository("push", "-q", "origin", "HEAD:main")
    (tmp_path / "the origin/.git/refs/heads/live").write_text("ref: refs/heads/main\n")
    assert look(repository, ref="refs/heads/live")[1].link == "refs/heads/main"


def test_a_remote_that_does_not_answer_or_takes_no_push_is_told(repository: Repository, tmp_path: Path) -> None:
    hook = tmp_path / "the origin/.git/hooks"
    hook.mkdir(exist_ok=True)
    repository("remote", "set-url", "origin", "https://ann:secret@127.0.0.1:1/x.git")
    done = HOST.run(git_push.look(str(repository.folder), "origin", "feature", FEATURE))
    assert done.exit_code == git_push.UNREACHED
    assert "secret" not in done.error_text
    assert look(repository, ref="refs/heads/x")[0] == git_push.UNREACHED
    repository("remote", "remove", "origin")
    assert look(repository)[0] == git_push.UNREACHED


def test_several_addresses_and_mirrors_are_told(repository: Repository) -> None:
    repository("config", "--add", "remote.origin.pushurl", "/a")
    repository("config", "--add", "remote.origin.pushurl", "/b")
    done = HOST.run(git_push.look(str(repository.folder), "origin", "feature", FEATURE))
    assert git_push.read_look(done.text).is_several
    repository("config", "--unset-all", "remote.origin.pushurl")
    repository("config", "remote.origin.mirror", "true")
    assert git_push.read_look(
        HOST.run(git_push.look(str(repository.folder), "origin", "HEAD~1", FEATURE)).text
    ).is_mirror


def test_a_push_is_taken_back(repository: Repository) -> None:
    first = there(repository)
    for _ in range(2):
        push(repository, expected=first)
    assert there(repository) == repository("rev-parse", "HEAD")
    for _ in range(2):
        unpush(repository, expected=first)
        assert there(repository) == first


def test_a_new_branch_is_taken_away_again(repository: Repository) -> None:
    push(repository, expected="", ref="refs/heads/new")
    assert there(repository, "refs/heads/new")
    unpush(repository, expected="", ref="refs/heads/new")
    assert there(repository, "refs/heads/new") == ""


def test_what_others_pushed_since_stays(repository: Repository) -> None:
    first = there(repository)
    push(repository, expected=first)
    other = repository.commit(a="of somebody else\n")
    repository("push", "-q", "origin", "feature")
    unpush(repository, expected=first)
    assert there(repository) == other


def test_nothing_is_taken_back_where_nothing_was_pushed(repository: Repository) -> None:
    first = there(repository)
    repository("push", "-q", "origin", "feature")
    unpush(repository, expected=first)
    assert there(repository) == repository("rev-parse", "HEAD")


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_branch_that_moved_since_the_plan_is_left_alone(repository: Repository, is_forced: bool) -> None:
    first = there(repository)
    repository("push", "-q", "origin", "feature")
    second = there(repository)
    repository("commit", "-q", "--amend", "-m", "other")
    with pytest.raises(CommandFailed):
        push(repository, expected=first, is_forced=is_forced)
    assert there(repository) == second
    unpush(repository, expected=first)
    assert there(repository) == second


def test_only_a_forced_push_overwrites(repository: Repository) -> None:
    repository("push", "-q", "origin", "feature")
    second = there(repository)
    repository("commit", "-q", "--amend", "-m", "other")
    with pytest.raises(CommandFailed):
        push(repository, expected=second)
    assert there(repository) == second
    push(repository, expected=second, is_forced=True)
    assert there(repository) == repository("rev-parse", "HEAD")
    unpush(repository, expected=second)
    assert there(repository) == second


def test_what_a_forced_push_overwrites_is_kept_also_where_it_never_was_here(
    repository: Repository, tmp_path: Path
) -> None:
    origin = repository("remote", "get-url", "origin")
    alice = Repository(tmp_path / "alice")
    alice("pull", "-q", origin, "feature")
    hers = alice.commit(b="hers\n")
    alice("push", "-q", origin, "HEAD:feature")
    push(repository, expected=hers, is_forced=True)
    assert there(repository) == repository("rev-parse", "HEAD")
    repository("gc", "-q", "--prune=now")
    for _ in range(2):
        unpush(repository, expected=hers)
        assert there(repository) == hers


def test_a_push_that_the_remote_refuses_leaves_nothing_to_take_back(repository: Repository, tmp_path: Path) -> None:
    hook = tmp_path / "the origin/.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no pushes today >&2\nexit 1\n")
    hook.chmod(0o755)
    first = there(repository)
    with pytest.raises(CommandFailed) as caught:
        push(repository, expected=first)
    assert "no pushes today" in caught.value.stderr
    repository("remote", "set-url", "origin", "/nowhere")
    unpush(repository, expected=first)


def test_settings_of_the_repository_push_nothing_else(repository: Repository) -> None:
    repository("branch", "other")
    repository("tag", "-a", "v1", "-m", "x")
    for key, value in {
        "push.followTags": "true",
        "push.default": "matching",
        "remote.origin.push": "+refs/heads/*:refs/heads/*",
        "push.recurseSubmodules": "on-demand",
        "push.gpgSign": "true",
    }.items():
        repository("config", key, value)
    push(repository, expected=there(repository))
    refs = repository("ls-remote", "origin").split()[1::2]
    assert [ref for ref in refs if ref != "HEAD"] == [FEATURE]


@pytest.mark.parametrize("name", ["-rf", "a b", "a..b", "a~1", "", "x.lock", "new\nline", "/", "@{1}", "a\\b"])
def test_a_name_that_git_does_not_allow_is_told(repository: Repository, name: str) -> None:
    for kind in (git_refs.HEADS, git_refs.TAGS):
        assert HOST.run(git_refs.is_nameable(str(repository.folder), kind + name)).exit_code == git_refs.UNNAMEABLE


@pytest.mark.parametrize("name", ["hot/fix", "имя", "quo\"te'", "$(touch+hacked)", "a;b&c|d", "main2"])
def test_a_branch_and_a_tag_of_any_other_name_come_and_go(repository: Repository, name: str) -> None:
    folder, commit = str(repository.folder), repository("rev-parse", "HEAD~1")
    before = repository("for-each-ref")
    run(git_refs.is_nameable(folder, git_refs.HEADS + name))
    for _ in range(2):
        run(git_refs.create_branch(folder, RUN, name, commit))
        run(git_refs.create_tag(folder, RUN, name, commit, f"of {name}\n\n$(x) 'y'", WHO))
    run(git_refs.points_to(folder, git_refs.HEADS + name, commit))
    run(git_refs.points_to(folder, git_refs.TAGS + name, commit))
    assert repository("cat-file", "-t", f"refs/tags/{name}") == "tag"
    assert repository("for-each-ref", "--format=%(contents)", f"refs/tags/{name}") == f"of {name}\n\n$(x) 'y'"
    for _ in range(2):
        run(git_refs.delete_tag(folder, RUN, name))
        run(git_refs.delete_branch(folder, name, commit))
    assert repository("for-each-ref") == before
    assert not list(repository.folder.glob("*hacked*"))


def test_what_is_there_already_is_never_moved(repository: Repository) -> None:
    folder, first, second = str(repository.folder), repository("rev-parse", "HEAD~1"), repository("rev-parse", "HEAD")
    repository("branch", "x", first)
    repository("tag", "x", first)
    with pytest.raises(CommandFailed):
        run(git_refs.create_branch(folder, RUN, "x", second))
    with pytest.raises(CommandFailed):
        run(git_refs.create_tag(folder, RUN, "x", second, "m", WHO))
    run(git_refs.delete_tag(folder, RUN, "x"))
    run(git_refs.delete_branch(folder, "x", second))
    assert repository("rev-parse", "refs/heads/x", "refs/tags/x").split() == [first, first]


def test_a_branch_that_head_is_on_goes_without_the_work_tree(repository: Repository) -> None:
    folder, commit = str(repository.folder), repository("rev-parse", "HEAD")
    run(git_refs.create_branch(folder, RUN, "hotfix", commit))
    repository("checkout", "-q", "hotfix")
    repository.write("a", "changed\n")
    run(git_refs.delete_branch(folder, "hotfix", commit))
    assert repository("rev-parse", "HEAD") == commit
    assert (repository.folder / "a").read_text() == "changed\n"


# What somebody else does at the remote between the look and the push.
@pytest.mark.parametrize("when", ["before it is read", "after it was read"])
@pytest.mark.parametrize("is_same", [True, False], ids=["the same", "an older commit"])
def test_a_new_ref_that_somebody_else_made_meanwhile_stays(
    repository: Repository, tmp_path: Path, when: str, is_same: bool
) -> None:
    new, origin = "refs/heads/new", repository("remote", "get-url", "origin")
    theirs = repository("rev-parse", "HEAD" if is_same else "HEAD~1")
    repository("push", "-q", "origin", "feature")
    act = f"git -C '{origin}' update-ref {new} {theirs}"
    if when == "before it is read":
        receive = tmp_path / "receive"
        receive.write_text(f'#!/bin/sh\n{act}\nexec git-receive-pack "$@"\n')
        receive.chmod(0o755)
        repository("config", "remote.origin.receivepack", str(receive))
    else:
        hook = tmp_path / "the origin/.git/hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_DIR\n{act}\n")
        hook.chmod(0o755)
    if is_same and when == "before it is read":
        push(repository, expected="", ref=new)
    else:
        with pytest.raises(CommandFailed):
            push(repository, expected="", ref=new)
    unpush(repository, expected="", ref=new)
    assert there(repository, new) == theirs
