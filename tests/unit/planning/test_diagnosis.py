"""What a scenario finds, and which way back it takes therefore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, Diagnosis, HostPlan
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning import diagnosis
from rollback_tasks.planning.diagnosis import CodeWay, FailureWay
from rollback_tasks.planning.target import current_release
from tests.builders import a_container, a_project, a_release, a_verdict, code_only, some_facts

PROJECT = a_project()
BROKEN = replace(
    some_facts(3),
    is_healthy=False,
    health_detail="HTTP 500",
    containers=(a_container("app", 3, "restarting", restarts=4), a_container("db", 9)),
)
NO_WAY = Verdict(kind=VerdictKind.IMPOSSIBLE, current=("s3",), target=("s2",), explanation="downgrade() of s3 raises")


def full(verdict: Verdict | None, **changes: object) -> HostPlan:
    made = HostPlan(host="prod1", current=current_release(BROKEN, PROJECT), target=a_release(2), verdict=verdict)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_bad_migration_goes_with_the_code_that_brought_it() -> None:
    assert diagnosis.of_migration(BROKEN, PROJECT, full(a_verdict())).diagnosis == Diagnosis(
        found=(
            "the application is not healthy: HTTP 500",
            "comicpile-app-1 is restarting, started again 4 times",
            "the database is at s3, r2 is at s2: s3 came since",
        ),
        therefore="rollback.full to r2: the schema first, with the image that is deployed, then code, images and "
        "compose file",
    )


def test_where_no_migration_is_to_blame_that_is_said() -> None:
    made = diagnosis.of_migration(BROKEN, PROJECT, full(code_only())).diagnosis
    assert made is not None
    assert made.found[-1].endswith("as r2: no migration is to blame")
    assert made.therefore == "rollback.full to r2: code, images and compose file go back, the schema stays"


def test_a_way_that_is_blocked_or_not_needed_is_said_so() -> None:
    blocked = diagnosis.of_migration(BROKEN, PROJECT, full(NO_WAY, blockers=(Blocker("impossible", "restore x"),)))
    assert blocked.blockers == (Blocker("impossible", "restore x"),)
    assert blocked.diagnosis is not None
    assert blocked.diagnosis.therefore == "rollback.full to r2, which is blocked"
    assert blocked.diagnosis.found[-1] == "the database is at s3, r2 is at s2: downgrade() of s3 raises"
    idle = diagnosis.of_migration(some_facts(3), PROJECT, full(None, noop_reason="r2 runs and is healthy"))
    assert idle.diagnosis == Diagnosis(
        found=("the application is healthy: HTTP 200",), therefore="nothing is to be done: r2 runs and is healthy"
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (replace(BROKEN, containers=()), "app has no container"),
        (
            replace(BROKEN, containers=(a_container("app", 3, "exited", exit_code=3),)),
            "comicpile-app-1 has ended with exit code 3",
        ),
        (replace(BROKEN, compose_problem="services.app: odd"), "compose refuses its file: services.app: odd"),
        (replace(BROKEN, database=None, database_problem="gone"), "the database cannot be reached: gone"),
    ],
)
def test_what_is_seen_of_the_application_is_told(facts: HostFacts, says: str) -> None:
    assert says in list(diagnosis.symptoms(facts, PROJECT))


@pytest.mark.parametrize(
    ("plan", "is_shared", "way"),
    [
        (full(code_only()), False, CodeWay.FULL),
        (full(code_only()), True, CodeWay.IMAGES),
        (full(code_only(), blockers=(Blocker("no room"),)), False, CodeWay.IMAGES),
        (full(a_verdict()), False, CodeWay.IMAGES),
        (full(NO_WAY, blockers=(Blocker("x"),)), False, CodeWay.IMAGES),
        (full(None, blockers=(Blocker("the database cannot be reached"),)), False, CodeWay.IMAGES),
        (full(None, target=None, blockers=(Blocker("no earlier release"),)), False, CodeWay.FULL),
        (full(None, noop_reason="it runs"), False, CodeWay.FULL),
    ],
    ids=["same schema", "shared", "no room", "a downgrade", "impossible", "no database", "no release", "there already"],
)
def test_code_goes_back_without_touching_the_database(plan: HostPlan, is_shared: bool, way: CodeWay) -> None:
    assert diagnosis.way_of_code(plan, is_shared=is_shared)[0] is way


SAME_IMAGES = full(code_only(), target=a_release(2, images=dict(current_release(BROKEN, PROJECT).images)))
FILE = ("docker-compose.yml",)


def way_of_failure(
    plan: HostPlan,
    differing: Sequence[str],
    *,
    facts: HostFacts = BROKEN,
    is_same: bool = False,
    is_shared: bool = False,
) -> tuple[FailureWay, str]:
    current = current_release(facts, PROJECT)
    return diagnosis.way_of_failure(facts, PROJECT, current, plan, differing, is_same=is_same, is_shared=is_shared)


@pytest.mark.parametrize(
    ("plan", "differing", "way", "why"),
    [
        (SAME_IMAGES, FILE, FailureWay.COMPOSE, "docker-compose.yml is all that differs from r2"),
        (
            replace(SAME_IMAGES, verdict=None),
            FILE,
            FailureWay.COMPOSE,
            "docker-compose.yml is all that differs from r2",
        ),
        (SAME_IMAGES, (*FILE, "app/main.py"), FailureWay.FULL, "files differ"),
        (SAME_IMAGES, (), FailureWay.FULL, "containers differ"),
        (replace(SAME_IMAGES, verdict=a_verdict()), FILE, FailureWay.FULL, "files, the schema differ"),
        (full(code_only()), FILE, FailureWay.FULL, "files, images differ"),
        (full(code_only(), target=a_release(2, images={})), FILE, FailureWay.FULL, "files, images differ"),
        (full(None, target=None), FILE, FailureWay.FULL, ""),
    ],
)
def test_a_failed_deployment_goes_by_the_smallest_way_that_brings_all_back(
    plan: HostPlan, differing: tuple[str, ...], way: FailureWay, why: str
) -> None:
    assert way_of_failure(plan, differing) == (way, why)


def test_hosts_that_share_a_database_go_the_same_way() -> None:
    assert way_of_failure(SAME_IMAGES, FILE, is_shared=True)[0] is FailureWay.FULL


def test_a_release_that_was_marked_good_is_not_left_for_an_older_one() -> None:
    assert way_of_failure(full(None), FILE, is_same=True)[0] is FailureWay.COMPOSE
    assert way_of_failure(full(None), ("app/main.py",), is_same=True)[0] is FailureWay.CONFIG
    assert way_of_failure(full(None), (), facts=some_facts(3), is_same=True)[0] is FailureWay.NONE
