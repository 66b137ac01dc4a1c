"""Files that are in no commit: a rollback says so, or does not begin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.git_history import Traits
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.planning.planner import plan_host
from rollback_tasks.planning.target import Choice, current_release
from tests.builders import a_project, a_release, a_request, code_only, commit, details, image, some_facts, some_settings

PROJECT = a_project()
BUILT = replace(a_release(2), images={})
FACTS = replace(some_facts(3), images={image(3): image(3), image(9): image(9)})


def plan(traits: Traits, *, is_built: bool = False) -> HostPlan:
    facts = FACTS if is_built else some_facts(3)
    target = BUILT if is_built else a_release(2)
    told = replace(details(code_only()), traits=traits)
    current = current_release(facts, PROJECT)
    return plan_host(a_request(), PROJECT, some_settings(), facts, current, Choice(release=target), told)


@pytest.mark.parametrize(
    ("traits", "brief"),
    [
        (Traits(has_submodules=True, moved=("lib",)), "submodules have another commit there"),
        (
            Traits(has_lfs=True, is_lfs_missing=True),
            "files of this repository are kept by Git LFS, and the host",
        ),
    ],
)
def test_a_switch_that_would_leave_wrong_files_is_refused(traits: Traits, brief: str) -> None:
    made = plan(traits)
    assert (made.steps, [blocker.brief.startswith(brief) for blocker in made.blockers]) == ((), [True])


def test_what_stays_right_is_told() -> None:
    made = plan(Traits(has_submodules=True, submodules=("lib",), has_lfs=True))
    assert made.blockers == ()
    assert made.warnings[-2:] == (
        "the repository has submodules; they stay as they are",
        "files are kept by Git LFS: those that the host never had are fetched from its server",
    )


def test_an_image_is_not_built_without_its_submodules() -> None:
    made = plan(Traits(has_submodules=True, submodules=("lib",)), is_built=True)
    pin = f"rollback-keep/comicpile-app:commit-{commit(2)[:12]}"
    assert [blocker.brief for blocker in made.blockers] == [
        f"{pin} would be built without what lies in submodules: lib"
    ]
    assert plan(Traits(has_submodules=True), is_built=True).blockers == ()
