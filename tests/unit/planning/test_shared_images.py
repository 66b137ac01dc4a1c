"""Several services that start one name get one image, whether it is recorded, found or built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.release import Release
from rollback_tasks.planning import parts
from rollback_tasks.planning.file_pictures import file_pictures
from rollback_tasks.planning.parts import Images
from rollback_tasks.planning.pictures import pictures_of
from rollback_tasks.planning.target import current_release
from rollback_tasks.shell import Command
from tests.builders import a_container, a_project, a_release, commit, details, image, some_facts, some_services

PROJECT = a_project(app_services=("prestart", "app"))
BUILT = {"context": "/srv/comicpile", "dockerfile": "Dockerfile"}
UNKNOWN = Release(id="v9", commit=commit(9), names=("v9",))


def services(*, builds_itself: bool) -> dict[str, Service]:
    return {**some_services(), "prestart": Service(image="comic-pile", build=BUILT if builds_itself else {})}


def facts() -> HostFacts:
    made = some_facts(3)
    there = (*made.containers, a_container("prestart", 3, "exited", image_ref="comic-pile"))
    return replace(made, containers=there)


def of_release(target: Release, *, builds_itself: bool) -> Images:
    then = services(builds_itself=builds_itself)
    current = current_release(facts(), PROJECT)
    told = details(services=then, current_services=then)
    images, problems = pictures_of(PROJECT, facts(), current, target, told)
    assert problems == ()
    return images


@pytest.mark.parametrize("builds_itself", [False, True])
def test_a_service_that_the_record_lacks_gets_the_image_of_its_name(builds_itself: bool) -> None:
    images = of_release(a_release(2), builds_itself=builds_itself)
    assert {name: images.wanted(name) for name in images.pins} == {"prestart": image(2), "app": image(2)}


@pytest.mark.parametrize("builds_itself", [False, True])
def test_an_image_that_was_never_recorded_is_built_once_for_both(builds_itself: bool) -> None:
    images = of_release(UNKNOWN, builds_itself=builds_itself)
    owner, other = ("prestart", "app") if builds_itself else ("app", "prestart")
    pins = {name: f"rollback-keep/comicpile-{name}:commit-{commit(9)[:12]}" for name in (owner, other)}
    assert (images.builds, images.aliases) == ({pins[owner]: BUILT}, {pins[other]: pins[owner]})
    assert images.wanted(other) == images.wanted(owner) == pins[owner]
    step = parts.prepare_images(PROJECT, "run", commit(9), images)
    tags = [a.argv[-2:] for a in step.forward() if isinstance(a, Command) and pins[other] in a.argv]
    assert tags == [(pins[owner], pins[other])]


@pytest.mark.parametrize("builds_itself", [False, True])
@pytest.mark.parametrize("is_built", [False, True])
def test_another_compose_file_gives_both_what_it_gives_one(builds_itself: bool, is_built: bool) -> None:
    now = services(builds_itself=builds_itself)
    other = {**BUILT, "target": "slim"} if is_built else BUILT
    then = {name: replace(one, build=other if one.build == BUILT else one.build) for name, one in now.items()}
    images, problems = file_pictures(PROJECT, facts(), now, then)
    assert problems == ()
    assert images.wanted("prestart") == images.wanted("app")
    assert (len(images.builds), len(images.aliases)) == ((1, 1) if is_built else (0, 0))
    if not is_built:
        assert images.wanted("app") == image(3)
