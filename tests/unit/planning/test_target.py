"""Which release runs, and which one to go back to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.model.facts import GitFacts, HostFacts
from rollback_tasks.model.release import Release
from rollback_tasks.planning.target import Choice, choose, current_release, is_same
from tests.builders import a_container, a_database, a_project, a_release, commit, image, some_facts

PROJECT = a_project()
R1, R2, R3 = a_release(1), a_release(2), a_release(3, "unmarked")


def chosen(facts: HostFacts, to: str | None = None, resolved: str | None = None) -> Choice:
    return choose(facts, current_release(facts, PROJECT), to, resolved)


def names(facts: HostFacts, to: str | None = None, resolved: str | None = None) -> str:
    choice = chosen(facts, to, resolved)
    assert choice.release is not None, choice.problem
    return choice.release.id


def ledger(*releases: Release, current: int = 3, is_healthy: bool = True) -> HostFacts:
    return some_facts(current, releases=releases, is_healthy=is_healthy)


def test_the_current_release_is_what_the_host_runs_and_not_the_newest() -> None:
    facts = ledger(R1, R2, R3, current=2)
    assert current_release(facts, PROJECT) == replace(R2, schema=("s2",))


def test_the_current_release_has_the_schema_that_the_database_has() -> None:
    facts = replace(ledger(R1, R2, R3), database=a_database(("ahead",)))
    assert current_release(facts, PROJECT) == replace(R3, schema=("ahead",))
    assert current_release(replace(facts, database=None), PROJECT).schema == ()


@pytest.mark.parametrize(
    "facts",
    [
        ledger(R1, R2),
        replace(ledger(R1, R2, R3), git=GitFacts(commit=commit(7), branch=None)),
        replace(ledger(R1, R2, R3), containers=(a_container("app", 7),)),
        replace(ledger(R1, R2, R3), containers=()),
    ],
    ids=["not recorded", "another commit", "another image", "no container"],
)
def test_what_agrees_with_no_recorded_release_is_unrecorded(facts: HostFacts) -> None:
    found = current_release(facts, PROJECT)
    assert (found.id, found.commit) == (f"unrecorded-{facts.git.commit[:7]}", facts.git.commit)
    assert found.recorded_at == ""


def test_of_two_equal_releases_the_later_one_runs() -> None:
    again = replace(R3, id="r3-again")
    assert current_release(ledger(R1, R3, again), PROJECT).id == "r3-again"


def test_tags_of_the_commit_name_a_release_that_was_recorded_without() -> None:
    git = GitFacts(commit=commit(3), branch="main", tags={"v3": commit(3), "stable": commit(3), "v2": commit(2)})
    assert current_release(replace(ledger(R1, R3), git=git), PROJECT).names == ("stable", "v3")
    named = replace(R3, names=("kept",))
    assert current_release(replace(ledger(R1, named), git=git), PROJECT).label == "kept"


BAD2 = a_release(2, "bad")
BACK2 = a_release(2, is_rolled_back_to=True)


@pytest.mark.parametrize(
    ("facts", "target"),
    [
        pytest.param(ledger(R1, R2, R3), "r2", id="the last good one"),
        pytest.param(ledger(R1, BAD2, R3), "r1", id="bad ones are skipped"),
        pytest.param(ledger(R1, a_release(2, "unmarked"), R3), "r1", id="those that nobody judged too"),
        pytest.param(ledger(R1, R2, a_release(3)), "r2", id="the current one may be good itself"),
        pytest.param(ledger(R1, R2, a_release(3, "bad"), current=2), "r1", id="never forward"),
        pytest.param(ledger(R1, R2), "r2", id="an unrecorded one goes to the newest good one"),
        pytest.param(
            ledger(R1, BACK2, a_release(3, "bad"), current=2, is_healthy=False), "r1", id="a second one: further back"
        ),
        pytest.param(
            ledger(R1, replace(BAD2, is_rolled_back_to=True), a_release(3, "bad"), current=2),
            "r1",
            id="also where it is healthy but was marked bad",
        ),
        pytest.param(ledger(R1, replace(R3, id="same", status=R1.status), R3), "r1", id="an equal one is none"),
    ],
)
def test_without_a_name_the_way_goes_back_to(facts: HostFacts, target: str) -> None:
    assert names(facts) == target


def test_a_second_rollback_of_a_healthy_host_needs_nothing() -> None:
    choice = chosen(ledger(R1, BACK2, a_release(3, "bad"), current=2))
    assert choice.release is not None
    assert (choice.release.id, choice.stays_because) == ("r2", "it was rolled back to r2 and is healthy")


@pytest.mark.parametrize("facts", [ledger(R3), ledger(), ledger(BAD2, R3), ledger(R1, R2, R3, current=1)])
def test_where_no_earlier_release_is_good_it_says_what_to_type(facts: HostFacts) -> None:
    choice = chosen(facts)
    assert choice == Choice(
        problem="no earlier release is marked good in the ledger of this host",
        hint="name one with --to (a git tag, commit or image id); "
        "`inv release.list --host prod1` shows what is recorded",
    )


@pytest.mark.parametrize(
    ("to", "resolved", "target"),
    [
        ("r1", None, "r1"),
        ("r1", commit(2), "r1"),
        ("stable", None, "r2"),
        (image(1), None, "r1"),
        (image(1).upper().replace("SHA256", "sha256"), None, "r1"),
        (image(1)[:19], None, "r1"),
        (image(1)[7:19], None, "r1"),
        (commit(1), commit(1), "r1"),
        ("HEAD~2", commit(1), "r1"),
        ("r3", None, "r3"),
    ],
)
def test_a_release_may_be_named_by_id_tag_image_or_whatever_git_takes(
    to: str, resolved: str | None, target: str
) -> None:
    assert names(ledger(R1, replace(R2, names=("stable",)), R3), to, resolved) == target


def test_of_two_releases_of_a_commit_the_last_good_one_is_meant() -> None:
    first, second, third = replace(R1, id="x"), replace(R1, id="y"), a_release(1, "bad", id="z")
    assert names(ledger(first, second, third, R3), "v1", commit(1)) == "y"
    assert names(ledger(a_release(1, "bad", id="x"), third, R3), "v1", commit(1)) == "z"


def test_a_commit_that_was_never_recorded_is_a_target_as_well() -> None:
    git = GitFacts(commit=commit(3), branch="main", tags={"v0": commit(9), "old": commit(9), "v2": commit(2)})
    choice = chosen(replace(ledger(R1, R3), git=git), "v0", commit(9))
    assert choice == Choice(release=Release(id="v0", commit=commit(9), names=("old", "v0")))


@pytest.mark.parametrize(
    ("to", "start"),
    [("stabel", "did you mean 'stable'? "), ("r9", ""), ("v22", "did you mean 'v2'? "), ("%%%", "")],
)
def test_a_name_that_means_nothing_is_a_slip_of_the_pen(to: str, start: str) -> None:
    git = GitFacts(commit=commit(3), branch="main", tags={"v2": commit(2)})
    choice = chosen(replace(ledger(R1, replace(R2, names=("stable",)), R3), git=git), to)
    assert (choice.release, choice.is_unknown) == (None, True)
    assert choice.problem == f"no release, tag, commit or image is called {to!r}"
    assert choice.hint.startswith(start)
    assert choice.hint.endswith("`inv release.list --host prod1` shows what is recorded.")


@pytest.mark.parametrize(
    ("other", "images", "expected"),
    [
        (R3, {"app": image(3)}, True),
        (R3, {"app": image(2)}, False),
        (R3, {}, False),
        (replace(R3, commit=commit(2)), {"app": image(3)}, False),
        (replace(R3, schema=("x",)), {"app": image(3)}, False),
        (replace(R3, id="x", images={}), {"app": image(3)}, True),
    ],
)
def test_two_releases_are_the_same(other: Release, images: dict[str, str], expected: bool) -> None:
    assert is_same(R3, other, images) is expected
