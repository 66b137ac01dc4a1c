"""Which images come back where only images do, and what speaks against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.compose import Service
from rollback_tasks.errors import UsageError
from rollback_tasks.execution.gather_start import Start
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import VerdictKind
from rollback_tasks.planning.images_only import is_there, judge
from rollback_tasks.planning.named_image import named_images
from rollback_tasks.planning.pictures import recorded_pictures
from rollback_tasks.planning.target import choose, current_release
from tests.builders import (
    a_container,
    a_project,
    a_release,
    a_verdict,
    code_only,
    commit,
    image,
    some_facts,
    some_services,
)

PROJECT = a_project()
TWO = a_project(app_services=("app", "worker"))
WORKER = {**some_services(), "worker": Service(image="comic-pile", build={"context": "."})}
OTHER = {**some_services(), "worker": Service(image="pile-worker")}


def reached(target: Release, services: dict[str, Service], facts: HostFacts | None = None) -> dict[str, str] | str:
    facts = facts or some_facts(3)
    project = TWO if "worker" in services else PROJECT
    current = current_release(facts, project)
    images, problems = recorded_pictures(project, facts, current, target, services)
    if problems:
        return problems[0].brief
    return {service: images.wanted(service) for service in images.pins}


def test_a_recorded_image_comes_back_by_its_id() -> None:
    assert reached(a_release(2), some_services()) == {"app": image(2)}


def test_services_of_one_name_get_one_image_also_where_one_of_them_is_younger() -> None:
    assert reached(a_release(2), WORKER) == {"app": image(2), "worker": image(2)}


def test_a_service_that_the_release_did_not_have_keeps_its_image() -> None:
    facts = replace(some_facts(3), containers=(*some_facts(3).containers, a_container("worker", 1)))
    assert reached(a_release(2), OTHER, facts) == {"app": image(2), "worker": image(1)}


@pytest.mark.parametrize(
    ("target", "services", "facts", "brief"),
    [
        (
            a_release(2),
            some_services(),
            replace(some_facts(3), images={image(3): image(3)}),
            f"image {image(2)[:19]} of service app is not on the host: it was pruned",
        ),
        (
            Release(id="v9", commit=commit(9), names=("v9",)),
            some_services(),
            None,
            "nothing says which image of service app release v9 had: it was never recorded",
        ),
        (
            a_release(2),
            some_services(app="comic-pile@sha256:aa"),
            None,
            "the compose file fixes the image of service app by digest: only another file changes it",
        ),
        (a_release(2), {"db": Service(image="x")}, None, "the compose file has no service app"),
    ],
    ids=["pruned", "never recorded", "fixed by digest", "no such service"],
)
def test_an_image_that_cannot_come_back_is_refused(
    target: Release, services: dict[str, Service], facts: HostFacts | None, brief: str
) -> None:
    assert reached(target, services, facts) == brief


def named(*texts: str, services: dict[str, Service] | None = None) -> dict[str, str] | Blocker:
    services = services or some_services()
    project = TWO if "worker" in services else PROJECT
    return named_images(texts, project, some_facts(3), services)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (image(2), {"app": image(2)}),
        (image(2).removeprefix("sha256:"), {"app": image(2)}),
        (image(2)[:19], {"app": image(2)}),
        ("2dddddd", {"app": image(2)}),
        ("comic-pile-db:latest", {"app": image(9)}),
        (f"app={image(1)}", {"app": image(1)}),
    ],
)
def test_an_image_is_named_by_id_by_its_beginning_or_by_name(text: str, found: dict[str, str]) -> None:
    assert named(text) == found


@pytest.mark.parametrize("text", ["sha256:" + "e" * 64, "eeeeee", "2dd", "comic-pile:gone", "$(id)", ""])
def test_an_image_that_is_not_there_is_refused_with_what_to_do(text: str) -> None:
    found = named(text)
    assert isinstance(found, Blocker)
    assert "is no image of this host: it was pruned, or never was here" in found.brief
    assert "docker image ls --all --no-trunc" in found.hint


def test_one_image_serves_all_services_of_one_name() -> None:
    assert named(image(2), services=WORKER) == {"app": image(2), "worker": image(2)}


def test_of_several_images_the_ledger_says_whose_it_is() -> None:
    assert named(image(2), services=OTHER) == {"app": image(2)}
    with pytest.raises(UsageError, match="nothing says which service"):
        named(image(9), services=OTHER)
    with pytest.raises(UsageError, match="none of the application"):
        named(f"db={image(9)}")


def judged(plan: HostPlan, start: Start, facts: HostFacts | None = None, *, accepts_drift: bool = False) -> HostPlan:
    return judge(
        plan,
        facts or some_facts(3),
        PROJECT,
        start,
        some_services(),
        label="r2",
        problem="",
        accepts_drift=accepts_drift,
    )


PLAN = HostPlan(host="prod1", current=a_release(3), verdict=code_only())
AHEAD = replace(PLAN, verdict=a_verdict(kind=VerdictKind.SCHEMA_AHEAD))


def test_files_that_only_the_deployer_named_are_told_with_what_to_write() -> None:
    start = Start(drifted={"app": "its configuration"}, made_from={"app": "docker-compose.yml, prod.yml"})
    (blocker,) = judged(PLAN, start).blockers
    assert blocker.brief.endswith("they were made from docker-compose.yml, prod.yml, and hosts.yaml names other files")
    assert blocker.hint.startswith("name all of those files in compose_files of hosts.yaml")


def test_older_code_is_not_offered_where_it_upgrades_at_start_and_the_schema_is_ahead() -> None:
    (blocker,) = judged(AHEAD, Start(upgrades="the command of service prestart")).blockers
    assert blocker.brief == (
        "the schema is ahead (s3, r2 is at s2), and the command of service prestart upgrades it at start: "
        "older code cannot even start there"
    )
    assert "rollback.full --host prod1 --to r2" in blocker.hint
    assert judged(AHEAD, Start()).blockers == ()
    assert judged(PLAN, Start(upgrades="the command of service prestart")).blockers == ()


@pytest.mark.parametrize("kind", [VerdictKind.BEHIND, VerdictKind.DIVERGED, VerdictKind.IMPOSSIBLE])
def test_images_that_the_schema_does_not_fit_are_refused(kind: VerdictKind) -> None:
    (blocker,) = judged(replace(PLAN, verdict=a_verdict(kind=kind, explanation="why")), Start()).blockers
    assert blocker.brief == f"{kind.value}: why"


def test_what_stood_only_in_the_deployers_shell_is_refused_until_it_is_accepted() -> None:
    start = Start(drifted={"app": "variables DATABASE_URL"}, unset=("DB_HOST",))
    sentence = (
        "the containers of app were not made from the compose file as it is now: variables DATABASE_URL differ; "
        "DB_HOST is set nowhere now"
    )
    (blocker,) = judged(PLAN, start).blockers
    assert blocker.brief == sentence
    accepted = judged(PLAN, start, accepts_drift=True)
    assert (accepted.blockers, accepted.warnings) == ((), (sentence,))


def test_a_database_that_is_down_is_no_blocker() -> None:
    facts = replace(some_facts(3), database=None, database_problem="it does not run", is_healthy=False)
    made = judged(replace(PLAN, verdict=None), Start(last_words={"app": "boom"}), facts)
    assert made.blockers == ()
    assert made.warnings[0].startswith("the database cannot be reached (it does not run)")
    assert "app said last: boom" in made.warnings


def test_images_that_run_well_are_nothing_to_do() -> None:
    facts = some_facts(3)
    current = current_release(facts, PROJECT)
    same, _ = recorded_pictures(PROJECT, facts, current, a_release(3), some_services())
    other, _ = recorded_pictures(PROJECT, facts, current, a_release(2), some_services())
    assert is_there(PROJECT, facts, current, same)
    assert not is_there(PROJECT, facts, current, other)
    assert not is_there(PROJECT, replace(facts, is_healthy=False), current, same)


def test_a_mixed_release_is_never_meant_by_a_commit_or_an_image() -> None:
    good, bad = a_release(2), a_release(3, "bad")
    blend = a_release(3, "unmarked", id="mix", images={"app": image(2)}, names=("r3 with the images of r2",))
    blend = replace(blend, mixed="images of r2", is_rolled_back_to=True)
    facts = some_facts(3, releases=(good, bad, blend), containers=(a_container("app", 2), a_container("db", 9)))
    current = current_release(facts, PROJECT)
    assert (current.id, current.label) == ("mix", "r3 with the images of r2")
    assert choose(facts, current, image(2), None).release == good
    assert choose(facts, current, "tag", commit(3)).release == bad
    assert choose(facts, current, None, None).stays_because
