"""Plans of the git tasks: what they do, what forbids them, and that their steps add up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers import git_revert
from rollback_tasks.drivers.git_history import Commit, Traits
from rollback_tasks.drivers.git_push import Refspec, Remote, read_refspec
from rollback_tasks.drivers.git_revert import Rehearsed, Signature
from rollback_tasks.model.facts import GitFacts, HostFacts
from rollback_tasks.model.plan import HostPlan, Keep
from rollback_tasks.planning import git_moves, git_sharing, image_pruning
from rollback_tasks.planning.commits import merge_problems, read_commits
from rollback_tasks.planning.git_moves import Checkout
from rollback_tasks.planning.target import Choice, current_release, is_whole_name, matching
from rollback_tasks.steps.codec import from_json, to_json
from rollback_tasks.steps.push_ref import PushRef
from tests.builders import RUN, a_backup, a_container, a_project, a_release, a_request, commit, image, some_facts
from tests.folds import assert_reads_and_stands_alone, assert_undone_from_any_beginning

WHO = Signature(name="ann", email="ann@desk", at=1795317301)
DIRTY = replace(some_facts(3), git=GitFacts(commit=commit(3), branch="main", dirty=("a", "new")))
DETACHED = replace(some_facts(3), git=GitFacts(commit=commit(3), branch=None))
COMMITS = (
    Commit(commit=commit(3), parents=(commit(2),), subject="third"),
    Commit(commit=commit(2), parents=(commit(1),), subject="second"),
)
MERGE = Commit(commit=commit(3), parents=(commit(2), commit(1)), subject="merge")
PLAIN = Traits()


def checkout(facts: HostFacts = DIRTY) -> Checkout:
    project = a_project()
    return Checkout(request=a_request(), project=project, facts=facts, current=current_release(facts, project))


def reverted(facts: HostFacts = DIRTY, traits: Traits = PLAIN, **changes: object) -> HostPlan:
    rehearsed = Rehearsed(made=(commit(8), commit(9)))
    made = {"mainline": None, "signature": WHO, "rehearsed": rehearsed, "traits": traits, "problems": ()} | changes
    return git_moves.revert(checkout(facts), COMMITS, **made)  # type: ignore[arg-type]


def pushed(spec: str, remote: Remote, *, is_forced: bool = False, protected: tuple[str, ...] = ("main",)) -> HostPlan:
    read = read_refspec(spec, branch="main", remote="origin")
    return git_sharing.push(checkout(), read, remote, PLAIN, protected, is_forced=is_forced or read.is_forced)


AHEAD = Remote(object=commit(3), value=commit(2), is_forward=True)
APART = Remote(object=commit(3), value=commit(7))
NEW = Remote(object=commit(3), is_forward=True)
GOOD = a_release(2)
PLANS = {
    "back": git_moves.back(checkout(), Choice(release=GOOD), PLAIN),
    "hard": git_moves.reset(checkout(), commit(1), "hard", PLAIN),
    "soft": git_moves.reset(checkout(), commit(1), "soft", PLAIN),
    "detached": git_moves.reset(checkout(DETACHED), commit(1), "hard", PLAIN),
    "revert": reverted(),
    "hotfix": git_moves.hotfix(checkout(), GOOD, "hot/fix", NEW, PLAIN, ()),
    "recover": git_sharing.recover(checkout(), commit(1), "found", ""),
    "push": pushed("feature", AHEAD),
    "protected": pushed("main", AHEAD),
    "force": pushed("feature", APART, is_forced=True),
    "tag": git_sharing.tag(checkout(), GOOD, "v2", "Release v2", WHO, ("", ""), NEW, ()),
    "prune": image_pruning.prune(
        checkout(replace(DIRTY, images={**DIRTY.images, "rollback-keep/comicpile-app:777777777777": image(7)})), 10, ()
    ),
}
STEPS = {step.kind: step for made in PLANS.values() for step in made.steps}
SAYS = {
    "back": [
        f"save the checkout with 2 changed files as branch rollback/before-{RUN}",
        f"switch the checkout to commit {commit(2)[:12]}, on no branch",
    ],
    "hard": [
        f"save the checkout with 2 changed files as branch rollback/before-{RUN}",
        f"switch the checkout to commit {commit(1)[:12]} on branch main",
    ],
    "soft": [
        f"save the checkout with 2 changed files as branch rollback/before-{RUN}",
        f"move HEAD alone to commit {commit(1)[:12]} on branch main",
    ],
    "detached": [
        f"save the checkout as branch rollback/before-{RUN}",
        f"switch the checkout to commit {commit(1)[:12]}, on no branch",
    ],
    "revert": [
        f"make the 2 commits that revert {commit(3)[:12]} third, {commit(2)[:12]} second",
        f"save the checkout with 2 changed files as branch rollback/before-{RUN}",
        f"bring the checkout to commit {commit(9)[:12]} on branch main",
    ],
    "hotfix": [
        f"save the checkout with 2 changed files as branch rollback/before-{RUN}",
        f"make branch hot/fix at commit {commit(2)[:12]}",
        f"switch the checkout to commit {commit(2)[:12]} on branch hot/fix",
        "push to hot/fix at origin",
    ],
    "recover": [f"make branch found at commit {commit(1)[:12]}"],
    "push": ["push to feature at origin"],
    "protected": ["push to main at origin"],
    "force": [f"overwrite feature at origin, only while it is {commit(7)[:12]} there"],
    "tag": [f"tag commit {commit(2)[:12]} as v2", "push to tags/v2 at origin"],
    "prune": ["take 1 pin away from images of no recorded release"],
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_says_what_it_does(name: str) -> None:
    assert PLANS[name].blockers == ()
    assert [step.describe() for step in PLANS[name].steps] == SAYS[name]


@pytest.mark.parametrize("name", PLANS)
def test_undoing_any_beginning_of_a_plan_ends_at_its_start(name: str) -> None:
    assert_undone_from_any_beginning(PLANS[name])


@pytest.mark.parametrize("name", PLANS)
def test_conditions_only_read_and_every_way_back_stands_alone(name: str) -> None:
    for step in PLANS[name].steps:
        assert_reads_and_stands_alone(step)


@pytest.mark.parametrize("name", PLANS)
def test_another_laptop_reads_every_step(name: str) -> None:
    for step in PLANS[name].steps:
        assert from_json(to_json(step), ()) == step


@pytest.mark.parametrize("name", ["back", "hard", "soft", "revert", "hotfix"])
def test_the_checkout_is_saved_before_it_moves(name: str) -> None:
    kinds = [step.kind for step in PLANS[name].steps]
    assert kinds.index("save_checkout") < kinds.index("move_checkout")


def test_nothing_to_do_is_said() -> None:
    clean = checkout(some_facts(3))
    assert git_moves.back(clean, Choice(release=a_release(3)), PLAIN).is_noop
    assert git_moves.reset(clean, commit(3), "hard", PLAIN).is_noop
    assert not git_moves.reset(checkout(), commit(3), "hard", PLAIN).is_noop
    assert git_moves.reset(checkout(), commit(3), "soft", PLAIN).is_noop
    assert git_sharing.recover(clean, commit(1), "found", commit(1)).is_noop
    assert pushed("feature", Remote(object=commit(3), value=commit(3))).is_noop
    assert git_sharing.tag(clean, GOOD, "v2", "m", WHO, (commit(5), commit(2)), None, ()).is_noop


@pytest.mark.parametrize(
    ("traits", "brief"),
    [
        (Traits(operation="rebase"), "the checkout holds an unfinished rebase"),
        (Traits(moved=("lib",), has_submodules=True), "submodules have another commit there"),
        (Traits(has_lfs=True, is_lfs_missing=True), "files of this repository are kept by Git LFS"),
    ],
)
def test_what_git_cannot_take_back_forbids_a_move(traits: Traits, brief: str) -> None:
    for made in (
        git_moves.back(checkout(), Choice(release=GOOD), traits),
        git_moves.reset(checkout(), commit(1), "hard", traits),
        reverted(traits=traits),
        git_moves.hotfix(checkout(), GOOD, "x", NEW, traits, ()),
    ):
        assert made.blockers[0].brief.startswith(brief)
        assert made.steps == ()


def test_submodules_and_lfs_that_stay_are_told() -> None:
    made = git_moves.back(checkout(), Choice(release=GOOD), Traits(has_submodules=True, has_lfs=True))
    assert any("submodules" in warning for warning in made.warnings)
    assert any("LFS" in warning for warning in made.warnings)


def test_resetting_what_was_published_is_told() -> None:
    made = git_moves.reset(checkout(), commit(1), "hard", Traits(published=2))
    assert any(warning.startswith("2 commits that branch main leaves were published") for warning in made.warnings)


EVERY_MAIN = ["main", "HEAD", "HEAD:main", "+HEAD:main", "refs/heads/main", "+refs/heads/main", "feature:main", "Main"]


@pytest.mark.parametrize("spec", EVERY_MAIN)
@pytest.mark.parametrize("remote", [AHEAD, APART, NEW])
def test_a_protected_branch_is_never_overwritten(spec: str, remote: Remote) -> None:
    made = pushed(spec, remote, is_forced=True)
    assert "is a protected branch: it is never overwritten" in made.blockers[0].brief
    assert made.steps == ()


def test_a_branch_that_stands_for_a_protected_one_is_protected_too() -> None:
    link = replace(APART, link="refs/heads/main")
    assert "main is a protected branch" in pushed("live", link, is_forced=True).blockers[0].brief
    step = pushed("live", replace(AHEAD, link="refs/heads/main")).steps[0]
    assert isinstance(step, PushRef)
    assert step.is_protected


def test_a_step_that_is_told_to_overwrite_a_protected_branch_does_not() -> None:
    step = PLANS["protected"].steps[0]
    assert isinstance(step, PushRef)
    forced = replace(step, is_forced=True)
    assert forced.forward() == step.forward()
    assert isinstance(forced.compensation(), Keep)


def test_other_branches_need_force_where_commits_would_go() -> None:
    assert "which is no ancestor" in pushed("feature", APART).blockers[0].brief
    assert "add --force" in pushed("feature", APART).blockers[0].hint
    assert "pull --rebase" in pushed("main", APART).blockers[0].hint
    step = pushed("feature", AHEAD, is_forced=True).steps[0]
    assert isinstance(step, PushRef)
    assert not step.overwrites


@pytest.mark.parametrize("remote", [replace(AHEAD, is_several=True), replace(AHEAD, is_mirror=True)])
def test_a_remote_that_sends_more_than_is_shown_is_refused(remote: Remote) -> None:
    assert pushed("feature", remote).blockers


def test_names_that_are_taken_are_refused() -> None:
    assert git_moves.hotfix(checkout(), GOOD, "x", replace(NEW, is_here=True), PLAIN, ()).blockers
    assert git_moves.hotfix(checkout(), GOOD, "x", AHEAD, PLAIN, ()).blockers
    assert git_sharing.recover(checkout(), commit(1), "x", commit(2)).blockers
    assert git_sharing.tag(checkout(), GOOD, "v2", "m", WHO, (commit(5), commit(7)), None, ()).blockers
    assert git_sharing.tag(checkout(), GOOD, "v2", "m", WHO, (commit(5), commit(2)), AHEAD, ()).blockers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", (("a", "a"),)),
        ("a..b", (("a", "b"),)),
        ("HEAD~3..HEAD", (("HEAD~3", "HEAD"),)),
        ("a..", (("a", "HEAD"),)),
        ("a, b..c ,d", (("a", "a"), ("b", "c"), ("d", "d"))),
    ],
)
def test_commits_are_read_as_they_are_meant(text: str, found: tuple[tuple[str, str], ...]) -> None:
    assert read_commits(text) == found


@pytest.mark.parametrize("text", ["", ",", "a,", "..b", "a...b", "..", "a..b..c", "-x", "^a", "a..-x", "a..^b"])
def test_what_names_no_commits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no commit|two dots"):
        read_commits(text)


def test_a_merge_asks_for_the_side_that_stays() -> None:
    subjects = {commit(2): "ours", commit(1): "theirs"}
    (blocker,) = merge_problems((MERGE, *COMMITS), subjects, None)
    assert blocker.brief == f"{commit(3)[:12]} (merge) is a merge"
    assert f"--mainline 1 keeps {commit(2)[:12]} ours; --mainline 2 keeps {commit(1)[:12]} theirs" in blocker.hint
    assert merge_problems((MERGE,), subjects, 3)
    assert merge_problems((MERGE,), subjects, 0)
    assert merge_problems((MERGE,), subjects, 2) == []


@pytest.mark.parametrize(
    ("code", "brief"),
    [
        (git_revert.CONFLICT, "conflicts in a, b"),
        (git_revert.EMPTY, "changes nothing"),
        (git_revert.IN_THE_WAY, "in the way: x"),
        (git_revert.FAILED, "cannot revert"),
    ],
)
def test_how_a_rehearsal_ended_is_told(code: int, brief: str) -> None:
    rehearsed = Rehearsed(stopped_at=commit(2), conflicts=("a", "b"))
    (blocker,) = git_moves.met(rehearsed, code, "x\n", COMMITS, "prod1")
    assert brief in blocker.brief
    assert reverted(problems=(blocker,)).blockers == (blocker,)


def test_what_cannot_be_pushed_has_a_problem() -> None:
    assert read_refspec("HEAD", branch=None, remote="origin") != Refspec()


PINS = {
    f"rollback-keep/comicpile-app:{image(number).removeprefix('sha256:')[:12]}": image(number) for number in range(1, 7)
}
RELEASES = tuple(a_release(number, "bad" if number in (2, 5) else "good") for number in range(1, 7))


def pruned(keep: int, needed: tuple[str, ...] = (), **changes: object) -> set[str]:
    facts = replace(
        some_facts(6, releases=RELEASES),
        images={**{image(number): image(number) for number in range(1, 7)}, **PINS, "other:1": image(1)},
        compose_images={},
        backups=(),
        **changes,  # type: ignore[arg-type]
    )
    made = image_pruning.prune(checkout(facts), keep, needed)
    return {name for step in made.steps for name in step.pins.values()} if made.steps else set()  # type: ignore[attr-defined]


def test_what_runs_and_the_last_good_ones_keep_their_images() -> None:
    assert pruned(0) == {image(1), image(2), image(3), image(5)}
    assert pruned(2) == {image(1), image(2), image(3)}
    assert pruned(10) == set()


def test_what_a_backup_a_container_or_an_undo_needs_stays() -> None:
    assert pruned(0, needed=(image(1),)) == {image(2), image(3), image(5)}
    assert pruned(0, needed=(next(iter(PINS)), image(5))) == {image(2), image(3)}
    containers = (a_container("app", 6), a_container("worker", 3, "exited"))
    assert pruned(0, containers=containers) == {image(1), image(2), image(5)}


def test_a_release_that_a_backup_was_taken_under_keeps_its_image() -> None:
    facts = replace(some_facts(6, releases=RELEASES), backups=(a_backup(commit=commit(2)),))
    kept = {release.id for release in image_pruning.kept(facts, RELEASES[-1], 0)}
    assert kept == {"r6", "r4", "r2"}


def test_a_release_is_found_by_any_of_its_names() -> None:
    facts = some_facts(3)
    again = replace(a_release(2), id="r2b", status=a_release(1, "bad").status)
    facts = replace(facts, ledger=(*facts.ledger, again))
    assert [release.id for release in matching(facts, commit(2), None)] == ["r2", "r2b"]
    assert [release.id for release in matching(facts, "v2", commit(2))] == ["r2", "r2b"]
    assert [release.id for release in matching(facts, image(2)[7:19], None)] == ["r2", "r2b"]
    assert [release.id for release in matching(facts, "r2", None)] == ["r2"]
    assert matching(facts, "nothing", None) == ()


@pytest.mark.parametrize(
    ("name", "is_whole"), [("a" * 40, True), ("sha256:" + "b" * 64, True), ("a" * 12, False), ("main", False)]
)
def test_whole_names_mean_something_to_hosts_that_never_met_them(name: str, is_whole: bool) -> None:
    assert is_whole_name(name) is is_whole
