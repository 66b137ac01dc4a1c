"""What the values say of themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from rollback_tasks.errors import ExitCode
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport, worst
from rollback_tasks.model.plan import Blocker, HostPlan, HostState, Plan
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from tests.builders import a_container, a_project, a_release, a_verdict, image, some_facts

WORST_FIRST = [5, 4, 1, 7, 6, 3, 9, 8, 2, 0]


def test_the_worst_host_decides_the_exit_code() -> None:
    assert worst([]) is ExitCode.DONE
    for number, first in enumerate(WORST_FIRST):
        for others in combinations(WORST_FIRST[number:], 2):
            assert worst([ExitCode(others[0]), ExitCode(first), ExitCode(others[1])]) == first


@pytest.mark.parametrize(
    ("outcomes", "code", "outcome"),
    [
        ([], 0, Outcome.NOOP),
        ([Outcome.NOOP], 0, Outcome.NOOP),
        ([Outcome.NOOP, Outcome.DONE], 0, Outcome.DONE),
        ([Outcome.PLANNED, Outcome.NOOP], 0, Outcome.PLANNED),
        ([Outcome.DONE, Outcome.RESTORED], 4, Outcome.RESTORED),
        ([Outcome.STRANDED, Outcome.RESTORED, Outcome.UNREACHABLE], 5, Outcome.STRANDED),
        ([Outcome.BLOCKED, Outcome.LOCKED], 6, Outcome.LOCKED),
        ([Outcome.DECLINED], 8, Outcome.DECLINED),
        ([Outcome.PROBLEMS, Outcome.DONE], 9, Outcome.PROBLEMS),
        ([Outcome.FAILED, Outcome.UNREACHABLE], 1, Outcome.FAILED),
        ([Outcome.UNREACHABLE, Outcome.BLOCKED], 7, Outcome.UNREACHABLE),
    ],
)
def test_a_run_ends_as_its_worst_host(outcomes: list[Outcome], code: int, outcome: Outcome) -> None:
    hosts = tuple(HostReport(host=f"h{number}", outcome=each) for number, each in enumerate(outcomes))
    report = RunReport(task="rollback.full", run_id="r", hosts=hosts)
    assert (report.exit_code, report.outcome) == (code, outcome)


@pytest.mark.parametrize(
    ("verdict", "text", "is_possible"),
    [
        (a_verdict(kind=VerdictKind.CODE_ONLY), "code-only: the schema stays", True),
        (a_verdict(kind=VerdictKind.SCHEMA_AHEAD), "code-only, the schema stays ahead", True),
        (a_verdict(3, 2), "downgrade 1 revision, nothing lost", True),
        (a_verdict(3, 1), "downgrade 2 revisions, nothing lost", True),
        (
            a_verdict(kind=VerdictKind.DOWNGRADE_LOSSY, losses=(Loss("a", "b", 2), Loss("c"), Loss("d", "", 1))),
            "downgrade 1 revision, loses a.b (2 values), c (an unknown number of rows), d (1 rows)",
            True,
        ),
        (a_verdict(kind=VerdictKind.BEHIND, explanation="why"), "behind: why", False),
        (a_verdict(kind=VerdictKind.DIVERGED, explanation="why"), "diverged: why", False),
        (a_verdict(kind=VerdictKind.IMPOSSIBLE, explanation="why"), "impossible: why", False),
    ],
)
def test_a_verdict_is_one_line(verdict: Verdict, text: str, is_possible: bool) -> None:
    assert (str(verdict), verdict.is_possible) == (text, is_possible)


HOST = HostPlan(host="prod1", current=a_release(1))
BLOCKED = replace(HOST, blockers=(Blocker("no"),))
NOOP = replace(HOST, noop_reason="it is there")


@pytest.mark.parametrize(
    ("hosts", "is_blocked", "is_noop"),
    [
        ((), False, True),
        ((HOST,), False, False),
        ((NOOP, NOOP), False, True),
        ((NOOP, HOST), False, False),
        ((HOST, BLOCKED), True, False),
        ((replace(NOOP, blockers=BLOCKED.blockers),), True, False),
    ],
)
def test_a_plan_is_blocked_by_one_host_and_empty_only_with_all(
    hosts: tuple[HostPlan, ...], is_blocked: bool, is_noop: bool
) -> None:
    plan = Plan(task="t", run_id="r", hosts=hosts)
    assert (plan.is_blocked, plan.is_noop) == (is_blocked, is_noop)


def test_what_is_kept_on_purpose_is_no_change() -> None:
    state = HostState(checkout="c", images={}, running={}, schema=())
    kept = state.keeping("a backup").keeping("a branch").keeping("a backup")
    assert kept.kept == {"a backup", "a branch"}
    assert kept != state
    assert kept.without_kept() == state


def test_a_release_is_called_by_its_tag_where_it_has_one() -> None:
    assert a_release(1).label == "r1"
    assert a_release(1, names=("v1", "stable")).label == "v1"


def test_facts_tell_the_containers_of_a_service() -> None:
    two = (a_container("app", 1), a_container("app", 2, "exited"), a_container("db", 9))
    facts = some_facts(3, containers=two)
    assert facts.service_containers("app") == two[:2]
    assert facts.service_containers("web") == ()
    assert facts.running_images(("app", "web")) == {"app": image(2)}
    assert [container.is_running for container in two] == [True, False, True]


def test_a_project_spells_compose_with_its_name_and_files() -> None:
    project = a_project(files=("a.yml", "b/c.yml"), compose=("docker-compose",))
    assert project.compose_words("up", "-d") == (
        "docker-compose",
        *("-p", "comicpile", "-f", "a.yml", "-f", "b/c.yml", "up", "-d"),
    )
    assert project.compose_words("ps", files=("x.yml",))[-3:] == ("-f", "x.yml", "ps")
    assert project.run_folder("r") == "/srv/comicpile/.rollback/runs/r"
