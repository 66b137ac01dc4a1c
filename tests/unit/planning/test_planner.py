"""Facts in, plan out: every blocker, every order, and the laws that hold for any plan."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import ledger
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import GitFacts, HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan, HostState
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from rollback_tasks.planning.planner import TargetFacts, plan_host, release_id
from rollback_tasks.planning.target import choose, current_release
from rollback_tasks.shell import Effect
from tests.builders import (
    NOW,
    RUN,
    a_container,
    a_database,
    a_project,
    a_release,
    a_request,
    a_verdict,
    code_only,
    commit,
    details,
    image,
    some_facts,
    some_services,
    some_settings,
)
from tests.simulated import effects

PROJECT = a_project()


def plan(
    facts: HostFacts,
    given_details: TargetFacts,
    *,
    to: str | None = None,
    resolved: str | None = None,
    request: RollbackRequest | None = None,
) -> HostPlan:
    current = current_release(facts, PROJECT)
    choice = choose(facts, current, to, resolved)
    return plan_host(request or a_request(), PROJECT, some_settings(), facts, current, choice, given_details)


def kinds(made: HostPlan) -> list[str]:
    return [step.kind for step in made.steps]


WHILE_SERVING = "save_evidence prepare_images backup_database pull_backup save_checkout prove_backup".split()
DOWN = "checkout_release switch_images start_services await_healthy verify_release record_release".split()
CODE_ONLY = [*WHILE_SERVING, "drop_scratch", "stop_services", *DOWN]
WITH_SCHEMA = [*WHILE_SERVING, *"rehearse_downgrade drop_scratch stop_services copy_database downgrade_schema".split()]
WITH_SCHEMA += DOWN


@pytest.mark.parametrize(
    ("verdict", "order"),
    [
        (code_only(), CODE_ONLY),
        (a_verdict(kind=VerdictKind.SCHEMA_AHEAD), CODE_ONLY),
        (a_verdict(), WITH_SCHEMA),
    ],
    ids=["code only", "schema ahead", "downgrade"],
)
def test_the_order_of_a_full_rollback(verdict: Verdict, order: list[str]) -> None:
    made = plan(some_facts(3), details(verdict))
    assert (made.blockers, kinds(made)) == ((), order)
    assert made.target == a_release(2)
    assert made.database == "comicpile"


def test_a_plan_knows_where_it_starts_and_ends() -> None:
    made = plan(some_facts(3), details(a_verdict()))
    assert made.start == HostState(
        checkout=commit(3), images={"app": image(3)}, running={"app": image(3)}, schema=("s3",)
    )
    assert made.end is not None
    assert made.end.without_kept() == HostState(
        checkout=commit(2), images={"app": image(2)}, running={"app": image(2)}, schema=("s2",)
    )
    assert made.end.kept == {
        f"backup comicpile-{RUN}",
        f"branch rollback/before-{RUN}",
        f"database comicpile__before_{RUN}",
    }


@pytest.mark.parametrize(
    ("facts", "running"),
    [
        (some_facts(3), image(3)),
        (replace(some_facts(3), containers=(a_container("app", 3, "restarting"),)), image(3)),
        (replace(some_facts(3), containers=(a_container("app", 3, "exited"),)), None),
    ],
)
def test_a_start_has_what_runs_or_tries_to(facts: HostFacts, running: str | None) -> None:
    made = plan(facts, details(code_only()))
    assert made.start is not None
    assert made.start.running == {"app": running}


# Laws of ARCHITECTURE.md that the planner keeps.

VERDICTS = st.sampled_from([code_only(), a_verdict(), a_verdict(kind=VerdictKind.SCHEMA_AHEAD)])
FACTS = st.builds(
    lambda dirty, branch, state, is_recorded, is_healthy: replace(
        some_facts(3),
        git=GitFacts(commit=commit(3), branch=branch, dirty=dirty),
        containers=(a_container("app", 3, state), a_container("db", 9)),
        ledger=some_facts(3).ledger[: None if is_recorded else -1],
        is_healthy=is_healthy,
    ),
    st.sampled_from([(), ("a",)]),
    st.sampled_from(["main", None]),
    st.sampled_from(["running", "exited", "restarting"]),
    st.booleans(),
    st.booleans(),
)


@given(facts=FACTS, verdict=VERDICTS)
def test_law_2_a_proven_backup_off_the_host_precedes_the_first_loss(facts: HostFacts, verdict: Verdict) -> None:
    made = plan(facts, details(verdict))
    order = kinds(made)
    destroying = [kind for kind, effect in effects(made) if effect is Effect.DESTROY]
    for first in ("backup_database", "pull_backup", "prove_backup"):
        assert all(order.index(first) < order.index(kind) for kind in destroying)
        assert order.index(first) < order.index("stop_services")


@given(facts=FACTS)
def test_law_3_the_schema_goes_back_before_the_code_with_the_deployed_image(facts: HostFacts) -> None:
    made = plan(facts, details(a_verdict()))
    order = kinds(made)
    for later in ("checkout_release", "switch_images", "start_services"):
        assert order.index("downgrade_schema") < order.index(later)
    for earlier in ("rehearse_downgrade", "stop_services", "copy_database"):
        assert order.index(earlier) < order.index("downgrade_schema")
    steps = {step.kind: step for step in made.steps}
    words = [word for a in steps["downgrade_schema"].forward() for word in getattr(a, "argv", ())]
    assert image(3) in words
    assert image(2) not in words


@given(facts=FACTS, verdict=VERDICTS)
def test_law_4_nothing_is_dropped_but_what_the_run_itself_made(facts: HostFacts, verdict: Verdict) -> None:
    for step in plan(facts, details(verdict)).steps:
        for action in step.forward():
            for word in getattr(action, "argv", ()):
                if "drop database" in word:
                    assert 'drop database if exists :"n' in word
                    assert f"__scratch_{RUN}" in " ".join(action.argv)  # type: ignore[union-attr]


@given(facts=FACTS, verdict=VERDICTS)
def test_law_5_what_is_left_is_pinned_and_marked_bad(facts: HostFacts, verdict: Verdict) -> None:
    made = plan(facts, details(verdict))
    steps = {step.kind: step for step in made.steps}
    assert "rollback-keep/comicpile-app:" + image(3)[7:19] in steps["prepare_images"].forward()[0].argv  # type: ignore[union-attr]
    lines = steps["record_release"].lines  # type: ignore[attr-defined]
    record = {r.id: r for r in ledger.parse("\n".join(lines)).releases}
    left = made.current.id if made.current.recorded_at else release_id(commit(3), NOW)
    if not made.current.recorded_at:
        assert record[left].status is ReleaseStatus.BAD
    assert [json.loads(line)["id"] for line in lines if '"marked"' in line] == [left]
    assert "docker rmi" not in repr(made.steps[:-1])
    assert all(json.loads(line)["run_id"] == RUN for line in lines)


@given(facts=FACTS, verdict=VERDICTS)
def test_law_7_the_targets_image_is_there_before_anything_stops(facts: HostFacts, verdict: Verdict) -> None:
    for changed in (facts, replace(facts, ledger=())):
        made = plan(changed, details(verdict), to="x", resolved=commit(2))
        assert made.blockers == ()
        assert kinds(made).index("prepare_images") < kinds(made).index("stop_services")


def after(made: HostPlan, facts: HostFacts) -> HostFacts:
    """Return what a host is after a plan, by what its steps project and its ledger lines say."""
    assert made.end is not None
    lines = next(step for step in made.steps if step.kind == "record_release").lines  # type: ignore[attr-defined]
    old = [ledger.recorded(r, at=r.recorded_at) for r in facts.ledger]
    old += [ledger.marked(r.id, r.status, at="", by="", reason="") for r in facts.ledger]
    return replace(
        facts,
        git=GitFacts(commit=made.end.checkout, branch=None),
        containers=(replace(a_container("app", 2), image=made.end.running["app"] or ""), a_container("db", 9)),
        database=a_database(made.end.schema),
        ledger=ledger.parse("\n".join([*old, *lines])).releases,
        is_healthy=True,
    )


@given(facts=FACTS, verdict=VERDICTS)
def test_law_8_planning_again_after_success_gives_a_noop(facts: HostFacts, verdict: Verdict) -> None:
    first = plan(facts, details(verdict))
    then = after(first, facts)
    heads = then.database.schema if then.database else ()
    stays = Verdict(kind=VerdictKind.CODE_ONLY, current=heads, target=heads)
    again = plan(then, details(stays))
    assert (again.is_noop, again.steps) == (True, ())
    assert again.noop_reason == "it was rolled back to r2 and is healthy"
    named = plan(then, details(stays), to="r2")
    assert named.noop_reason == "r2 runs and is healthy"


@given(facts=FACTS)
def test_a_second_rollback_goes_further_back(facts: HostFacts) -> None:
    then = replace(after(plan(facts, details(a_verdict())), facts), is_healthy=False)
    again = plan(then, details(a_verdict(2, 1)))
    assert again.target is not None
    assert (again.current.id, again.target.id) == ("r2", "r1")
    further = replace(after(again, then), is_healthy=False)
    assert (
        plan(further, details(None)).blockers[0].brief == "no earlier release is marked good in the ledger of this host"
    )


@given(facts=FACTS, verdict=VERDICTS)
def test_the_same_facts_give_the_same_plan(facts: HostFacts, verdict: Verdict) -> None:
    assert plan(facts, details(verdict)) == plan(facts, details(verdict))


# What needs nothing.


@pytest.mark.parametrize(
    ("facts", "verdict", "is_noop"),
    [
        (some_facts(3), code_only(), True),
        (replace(some_facts(3), is_healthy=False), code_only(), False),
        (some_facts(3), a_verdict(3, 3, commands=("s3",)), False),
        (replace(some_facts(3), containers=(a_container("app", 2),)), code_only(), False),
        (replace(some_facts(3), git=GitFacts(commit=commit(2), branch=None)), code_only(), False),
        (replace(some_facts(3), database=a_database(("s9",))), code_only(), False),
    ],
    ids=["all agrees", "not healthy", "schema to go back", "another image", "another commit", "another schema"],
)
def test_the_release_that_was_named_may_run_already(facts: HostFacts, verdict: Verdict, is_noop: bool) -> None:
    assert plan(facts, details(verdict), to="r3").is_noop is is_noop


# What is refused.


def briefs(made: HostPlan) -> list[str]:
    assert made.steps == ()
    assert made.end is None
    return [blocker.brief for blocker in made.blockers]


def test_without_a_target_there_is_no_plan() -> None:
    made = plan(some_facts(3, releases=()), details())
    assert briefs(made) == ["no earlier release is marked good in the ledger of this host"]
    assert made.target is None


def test_scripts_that_cannot_be_read_are_refused_and_the_reason_named() -> None:
    made = plan(some_facts(3), details(None, verdict_problem="alembic.ini cannot be read"))
    assert made.blockers == (Blocker("alembic.ini cannot be read", "see `inv db.migrations --host prod1`"),)
    assert briefs(plan(some_facts(3), details(None))) == ["the migration scripts cannot be read"]


def test_a_database_that_does_not_answer_is_said_once() -> None:
    facts = replace(some_facts(3), database=None, database_problem="refused")
    assert briefs(plan(facts, details(None))) == ["the database cannot be reached: refused"]


def test_a_downgrade_without_a_container_to_run_it_is_refused() -> None:
    made = plan(some_facts(3), details(a_verdict(), deployed=None))
    assert briefs(made) == [
        "the deployed image is not there: the application has no container to downgrade the schema with"
    ]
    assert plan(some_facts(3), details(code_only(), deployed=None)).blockers == ()


LOSSY = a_verdict(kind=VerdictKind.DOWNGRADE_LOSSY, losses=(Loss("tasks", "", 3, "s3"),))


def test_a_loss_is_refused_until_exactly_that_is_accepted() -> None:
    assert briefs(plan(some_facts(3), details(LOSSY))) == ["the downgrade loses tasks (3 rows)"]
    other = a_request(accepted_losses=frozenset({"users"}))
    assert briefs(plan(some_facts(3), details(LOSSY), request=other)) == ["the downgrade loses tasks (3 rows)"]
    exact = a_request(accepted_losses=frozenset({"tasks"}))
    made = plan(some_facts(3), details(LOSSY), request=exact)
    assert (made.blockers, kinds(made)) == ((), WITH_SCHEMA)


def test_all_blockers_are_told_at_once() -> None:
    facts = replace(some_facts(3), backup_free_bytes=0)
    made = plan(
        facts, details(LOSSY, deployed=None, services={"app": Service(image="gone:1")}), to="x", resolved=commit(9)
    )
    assert [brief.split(":")[0].split(" (")[0] for brief in briefs(made)] == [
        "no room for the backup",
        "the downgrade loses tasks",
        "image gone",
        "the deployed image is not there",
    ]


def services(app: Service) -> dict[str, Service]:
    return {**some_services(), "app": app}


@pytest.mark.parametrize(
    ("changes", "blocker"),
    [
        (
            {"services": {}, "services_problem": "the commit has no file docker-compose.yml"},
            Blocker("the target's compose file: the commit has no file docker-compose.yml"),
        ),
        ({"services": {"db": Service(image="x")}}, Blocker("the target's compose file has no service app")),
        (
            {"services": services(Service(image="team/app:9"))},
            Blocker(
                "image team/app:9 of service app is not on the host",
                "fetch it first: `docker pull team/app:9` on prod1",
            ),
        ),
        (
            {"services": services(Service(image="team/app@sha256:aa", build={"context": "/srv/comicpile"}))},
            Blocker(
                "image team/app@sha256:aa of service app is not on the host",
                "fetch it first: `docker pull team/app@sha256:aa` on prod1",
            ),
        ),
        (
            {"services": services(Service(image="x", build={"context": "/srv/elsewhere"}))},
            Blocker(
                f"the image of service app cannot be built from commit {commit(9)[:12]}: "
                "its build reads /srv/elsewhere, which is no part of the checkout",
                f"build it on prod1 as rollback-keep/comicpile-app:commit-{commit(9)[:12]}, then plan again.",
            ),
        ),
    ],
    ids=["no compose file", "no service", "no image", "no such digest", "a build from elsewhere"],
)
def test_a_target_that_cannot_be_started_is_refused(changes: dict[str, object], blocker: Blocker) -> None:
    made = plan(some_facts(3), details(code_only(), **changes), to="v9", resolved=commit(9))
    assert made.blockers == (blocker,)


# Where the target's image comes from.


def prepared(facts: HostFacts, target: Release | None, app: Service) -> dict[str, object]:
    if target is not None:
        facts = replace(facts, ledger=(target, facts.ledger[-1]))
    made = plan(facts, details(code_only(), services=services(app)), to="t", resolved=commit(2))
    assert made.blockers == ()
    step = next(step for step in made.steps if step.kind == "prepare_images")
    return {"reached": step.reached, "builds": step.builds, "left": step.left}  # type: ignore[attr-defined]


BUILT = {"context": "/srv/comicpile", "dockerfile": "Dockerfile"}
BY_COMMIT = f"rollback-keep/comicpile-app:commit-{commit(2)[:12]}"
PIN = {number: f"rollback-keep/comicpile-app:{image(number)[7:19]}" for number in (2, 3, 5)}


@pytest.mark.parametrize(
    ("target", "more", "app", "reached", "builds"),
    [
        pytest.param(a_release(2), {}, Service(image="x", build=BUILT), {PIN[2]: image(2)}, {}, id="recorded"),
        pytest.param(
            a_release(2, images={"app": image(8)}), {}, Service(image="x", build=BUILT), {}, {BY_COMMIT: BUILT},
            id="recorded but gone: built",
        ),
        pytest.param(None, {}, Service(image="x", build=BUILT), {}, {BY_COMMIT: BUILT}, id="never recorded: built"),
        pytest.param(
            None, {BY_COMMIT: image(5)}, Service(image="x", build=BUILT), {PIN[5]: image(5)}, {}, id="built before"
        ),
        pytest.param(
            None, {"team/app:2": image(5)}, Service(image="team/app:2"), {PIN[5]: image(5)}, {}, id="pulled before"
        ),
        pytest.param(
            a_release(2), {"team/app@sha256:aa": image(5)}, Service(image="team/app@sha256:aa"), {PIN[5]: image(5)}, {},
            id="a digest decides",
        ),
    ],
)  # fmt: skip
def test_the_image_of_the_target_is(
    target: Release | None, more: dict[str, str], app: Service, reached: dict[str, str], builds: dict[str, object]
) -> None:
    facts = replace(some_facts(3, releases=(a_release(3, "unmarked"),)), images=some_facts(3).images)
    facts = replace(facts, images={**facts.images, image(5): image(5), **more})
    assert prepared(facts, target, app) == {"reached": reached, "builds": builds, "left": {PIN[3]: image(3)}}


def test_an_unrecorded_target_enters_the_ledger_with_what_it_became() -> None:
    facts = replace(some_facts(3), ledger=())
    made = plan(facts, details(a_verdict()), to="v2", resolved=commit(2), request=a_request(reason="it burns"))
    lines = next(step for step in made.steps if step.kind == "record_release").lines  # type: ignore[attr-defined]
    left, reached = ledger.parse("\n".join(lines)).releases
    at = "2026-11-22T03:15:01Z"
    assert left == Release(
        id=f"20261122T031501Z-{commit(3)[:7]}",
        commit=commit(3),
        images={"app": image(3)},
        schema=("s3",),
        status=ReleaseStatus.BAD,
        recorded_at=at,
        reason="it burns",
    )
    assert reached == Release(
        id=f"20261122T031501Z-{commit(2)[:7]}",
        commit=commit(2),
        schema=("s2",),
        recorded_at=at,
        names=("v2",),
        is_rolled_back_to=True,
    )
