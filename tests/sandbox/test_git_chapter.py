"""The git chapter of the procedures on a real host: nothing of a checkout is lost, and main is never overwritten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.stage import FOLDER, Ended, Laptop, Stage

pytestmark = pytest.mark.timeout(240, func_only=True)


def git(stage: Stage, *words: str) -> str:
    """Run git in the checkout as its owner."""
    return stage.root('cd "$1" && shift && exec runuser -u deploy -- git "$@"', FOLDER, *words).rstrip("\n")


def origin(stage: Stage, ref: str) -> str:
    """What a ref is at the remote."""
    return git(stage, "ls-remote", "origin", ref).partition("\t")[0]


@pytest.fixture
def host(plugin_host: Stage) -> Iterator[Stage]:
    """v6, and an origin that is put back afterwards: what was pushed must not be there for the next test."""
    plugin_host.play("v6")
    plugin_host.root("rm -rf /root/origin.before && cp -a /srv/origin.git /root/origin.before")
    yield plugin_host
    plugin_host.root("rm -rf /srv/origin.git && mv /root/origin.before /srv/origin.git")


def litter(stage: Stage) -> None:
    """Leave uncommitted, staged, untracked and ignored files in the checkout."""
    stage.root(
        """
cd "$1" && echo "*.secret" >>.git/info/exclude
runuser -u deploy -- sh -c '
echo "# changed on the host" >>Dockerfile; echo staged >staged; git add staged
echo mine >untracked; mkdir -p deep/er; echo mine >deep/er/untracked; echo key >ignored.secret'
""",
        FOLDER,
    )


def test_no_file_is_lost_by_a_switch_and_its_undo(host: Stage, operator: Laptop) -> None:
    litter(host)
    before = host.look()
    done = operator.inv("rollback.git", "--host", host.name, "--to", "v4", "--yes")
    assert done.code == 0, done.err
    now = host.look()
    kept = [file for file in before.files if any(name in file for name in ("untracked", "ignored.secret"))]
    assert (len(kept), [file for file in now.files if file in kept]) == (3, kept)
    assert now.head == git(host, "rev-parse", "v4^{commit}")
    assert (now.app, now.rows) == (before.app, before.rows)
    host.root('cd "$1" && runuser -u deploy -- sh -c "echo later >>Dockerfile; echo later >staged"', FOLDER)

    back = operator.inv("rollback.redo", "--host", host.name, "--yes", "--json")
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    now = host.look()
    assert (now.files, now.index, now.status) == (before.files, before.index, before.status)
    assert (now.head, now.branch, now.app) == (before.head, before.branch, before.app)
    saved = f"refs/rollback/{back.document['run_id']}/worktree"
    assert git(host, "show", f"{saved}:staged") == "later"
    assert git(host, "show", f"{saved}:Dockerfile").endswith("later")


def test_a_range_reverted_is_the_tree_before_it_and_a_conflict_changes_nothing(host: Stage, operator: Laptop) -> None:
    litter(host)
    before = host.look()
    conflict = operator.inv("git.revert", "--host", host.name, "--commits", "v1", "--yes")
    assert (conflict.code, "conflicts in " in conflict.err) == (3, True), conflict.err
    assert host.look() == before

    git(host, "checkout", "-q", "--", "Dockerfile")
    before = host.look()
    done = operator.inv("git.revert", "--host", host.name, "--commits", "v4..HEAD", "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert git(host, "rev-parse", "HEAD^{tree}") == git(host, "rev-parse", "v3^{tree}")
    assert git(host, "rev-list", "--count", "v6..main") == "3"
    now = host.look()
    assert (now.branch, now.status, now.app) == (before.branch, before.status, before.app)


def _is_refused(ended: Ended) -> None:
    assert (ended.code, "never overwritten" in ended.err) == (3, True), ended.err


def test_nobody_overwrites_main_by_any_name(host: Stage, operator: Laptop) -> None:
    main = origin(host, "refs/heads/main")
    git(host, "reset", "-q", "--hard", "v4")
    for name in ("main", "refs/heads/main", "v4:main"):
        _is_refused(operator.inv("git.push", "--host", host.name, "--ref", name, "--force", "--yes"))
    git(host, "checkout", "-q", "--detach")
    _is_refused(operator.inv("git.push", "--host", host.name, "--ref", "+HEAD:main", "--yes"))
    plain = operator.inv("git.push", "--host", host.name, "--force", "--yes")
    assert (plain.code, "HEAD is on no branch" in plain.err) == (3, True), plain.err
    assert origin(host, "refs/heads/main") == main


@pytest.mark.long
def test_a_hotfix_branch_is_made_pushed_and_taken_back(host: Stage, operator: Laptop) -> None:
    litter(host)
    before = host.look()
    done = operator.inv("git.hotfix", "--host", host.name, "--from", "v5", "--name", "hotfix/one", "--yes")
    assert done.code == 0, done.err
    assert git(host, "symbolic-ref", "HEAD") == "refs/heads/hotfix/one"
    assert (
        git(host, "rev-parse", "HEAD") == git(host, "rev-parse", "v5^{commit}") == origin(host, "refs/heads/hotfix/one")
    )
    assert host.look().app == before.app
    taken = operator.inv("git.hotfix", "--host", host.name, "--from", "v5", "--name", "hotfix/one", "--yes")
    assert taken.code == 3, taken.err


@pytest.mark.long
def test_what_a_reset_left_is_recovered(host: Stage, operator: Laptop) -> None:
    litter(host)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    lost = git(host, *author, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "only here")
    git(host, "reset", "-q", "--soft", lost)
    done = operator.inv("git.reset", "--host", host.name, "--to", "v6", "--mode", "soft", "--yes")
    assert done.code == 0, done.err
    listed = operator.inv("git.recover", "--host", host.name, "--json")
    assert lost in [entry["commit"] for entry in listed.host["entries"]]
    done = operator.inv("git.recover", "--host", host.name, "--commit", lost, "--branch", "found", "--yes")
    assert (done.code, git(host, "rev-parse", "found")) == (0, lost), done.err


@pytest.mark.long
def test_a_remote_that_refuses_leaves_the_host_as_it_was(host: Stage, operator: Laptop) -> None:
    litter(host)
    host.root(
        "printf '#!/bin/sh\\nexit 1\\n' >/srv/origin.git/hooks/pre-receive; chmod 755 /srv/origin.git/hooks/pre-receive"
    )
    before = host.look()
    failed = operator.inv("git.hotfix", "--host", host.name, "--from", "v5", "--name", "hotfix/two", "--yes", "--json")
    assert (failed.code, failed.document["outcome"]) == (4, "restored"), failed.err
    assert host.look().without_traces() == before.without_traces()


@pytest.mark.long
def test_a_release_is_tagged_and_a_bad_one_stops_a_pipeline(host: Stage, operator: Laptop) -> None:
    commit = git(host, "rev-parse", "HEAD")
    words = ("release.show", "--host", host.name, "--release", commit)
    assert operator.inv(*words).code == 0
    assert operator.inv("release.show", "--host", host.name, "--release", "c" * 40).code == 0
    assert operator.inv("release.show", "--host", host.name, "--release", "nothing").code == 2
    done = operator.inv("release.tag", "--host", host.name, "--name", "good-one", "--push", "--yes")
    assert (done.code, origin(host, "refs/tags/good-one^{}")) == (0, commit), done.err
    marked = operator.inv("release.mark", "--bad", "--host", host.name, "--reason", "it lies")
    assert marked.code == 0, marked.err
    shown = operator.inv(*words)
    assert (shown.code, "it lies" in shown.out) == (9, True), shown.err
