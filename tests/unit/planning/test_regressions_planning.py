"""What once was planned wrongly."""

from __future__ import annotations

from dataclasses import replace

from rollback_tasks.drivers.compose import Service
from rollback_tasks.drivers.images import pin_name
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.planning import guards, target
from rollback_tasks.planning.planner import TargetFacts, plan_host
from rollback_tasks.planning.target import Choice
from tests.builders import (
    a_container,
    a_project,
    a_release,
    a_request,
    a_verdict,
    code_only,
    commit,
    details,
    image,
    some_facts,
    some_settings,
)


def blockers(project: Project, facts: HostFacts, release: Release, told: TargetFacts) -> tuple[Blocker, ...]:
    current = target.current_release(facts, project)
    return plan_host(a_request(), project, some_settings(), facts, current, Choice(release=release), told).blockers


def test_a_release_that_a_rollback_built_is_known_again_by_the_name_it_was_built_under() -> None:
    project = a_project()
    built = replace(a_release(2, "good"), images={}, is_rolled_back_to=True)
    facts = some_facts(2, releases=(a_release(1), built))
    facts = replace(facts, images={**facts.images, pin_name("comicpile", "app", commit(2)): image(2)})
    current = target.current_release(facts, project)
    assert (current.id, current.images) == ("r2", {"app": image(2)})
    assert target.choose(facts, current, None, None).stays_because == "it was rolled back to r2 and is healthy"


def test_a_moving_name_that_means_what_runs_is_not_taken_for_the_image_of_an_unrecorded_release() -> None:
    project = a_project()
    services = {"app": Service(image="comic-pile"), "db": Service(image="comic-pile-db")}
    told = details(code_only(), services=services, current_services=services)
    release = replace(a_release(2), images={}, recorded_at="", id="v2", names=("v2",))
    by_commit = pin_name("comicpile", "app", commit(2))
    assert blockers(project, some_facts(3), release, told) == (
        Blocker(
            "nothing says which image of service app release v2 had: it was never recorded, "
            "and comic-pile now means the image that runs",
            f"tag the right one on prod1 (`docker tag IMAGE {by_commit}`), then plan again.",
        ),
    )
    # A name of its own, or the tag that the hint asks for, says it.
    named = {**services, "app": Service(image="comic-pile:v2")}
    facts = some_facts(3)
    facts = replace(facts, images={**facts.images, "comic-pile:v2": image(2)})
    assert blockers(project, facts, release, details(code_only(), services=named, current_services=services)) == ()
    facts = some_facts(3)
    facts = replace(facts, images={**facts.images, by_commit: image(2)})
    assert blockers(project, facts, release, told) == ()


def test_two_services_that_start_by_one_name_cannot_get_two_images() -> None:
    project = a_project(app_services=("app", "worker"))
    built = {"context": "/srv/comicpile"}
    services = {name: Service(image="comic-pile", build=built) for name in ("app", "worker")}
    told = details(code_only(), services=services, current_services=services)
    facts = some_facts(3, containers=(a_container("app", 3), a_container("worker", 3), a_container("db", 9)))
    release = replace(a_release(2), images={"app": image(2), "worker": image(1)})
    assert blockers(project, facts, release, told) == (
        Blocker(
            "services app and worker both start comic-pile, but the release had two images of that name",
            "name another release with --to, or record this one again where both run the same image.",
        ),
    )
    assert blockers(project, facts, replace(release, images={"app": image(2), "worker": image(2)}), told) == ()


def test_an_enabled_subscription_forbids_a_downgrade_and_nothing_else() -> None:
    facts = some_facts(3)
    assert facts.database is not None
    facts = replace(facts, database=replace(facts.database, subscriptions=("from_crm",)))
    assert list(guards.blockers(facts, a_project(), a_verdict(), ())) == [
        Blocker(
            "subscriptions write to the database: from_crm",
            "disable them (ALTER SUBSCRIPTION ... DISABLE), then plan again.",
        )
    ]
    assert list(guards.blockers(facts, a_project(), code_only(), ())) == []


def test_backups_that_a_build_could_copy_into_an_image_are_told_of() -> None:
    services = {"app": Service(image="comic-pile", build={"context": "/srv/comicpile"})}
    below = {"app": Service(image="comic-pile", build={"context": "/srv/comicpile/src"})}
    told = (
        "a build in /srv/comicpile can copy the backups in .rollback into an image (`COPY . .`): "
        "add a line .rollback to its .dockerignore"
    )
    facts = some_facts(3, is_in_builds=True)
    assert list(guards.warnings(facts, a_project(), code_only(), (services, services))) == [told]
    assert list(guards.warnings(facts, a_project(), code_only(), (below, below))) == []
    assert list(guards.warnings(some_facts(3), a_project(), code_only(), (services, services))) == []
