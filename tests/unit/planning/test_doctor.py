"""What is said of a host before anything is needed of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.swap import Obstacles
from rollback_tasks.planning.doctor import examine
from rollback_tasks.planning.examination import Examined, Patient
from tests.builders import a_project, some_facts, some_services
from tests.unit.planning.test_put_aside import a_thing
from tests.unit.planning.test_window import a_base, a_server, at

FACTS = some_facts(3)
WELL = Patient(
    facts=replace(FACTS, lock=None, unfinished=(), clock_skew=1.0, is_in_builds=False),
    project=a_project(),
    health_url="http://localhost:8000/health",
    services=some_services(),
    missing=frozenset(),
    is_writable=True,
    archive=a_server(),
    bases=(a_base(),),
    strange=0,
    obstacles=Obstacles(),
    damaged=0,
    now=at(61).timestamp(),
)


def checked(**changes: object) -> dict[str, Examined]:
    return {one.check: one for one in examine(replace(WELL, **changes))}  # type: ignore[arg-type]


def of_facts(**changes: object) -> dict[str, Examined]:
    return checked(facts=replace(WELL.facts, **changes))  # type: ignore[arg-type]


def test_a_host_that_is_well_has_no_problem() -> None:
    assert {name: one.text for name, one in checked().items() if one.problem} == {}
    assert checked()["window"].result == "ok"
    assert checked()["log archive"].warning.startswith("archive_timeout is 0")


@pytest.mark.parametrize(
    ("changes", "check", "result"),
    [
        ({"missing": frozenset({"sha256sum"})}, "tools", "PROBLEM"),
        ({"missing": frozenset({"setsid", "flock"})}, "guard", "warning"),
        ({"is_writable": False}, "state folder", "PROBLEM"),
        ({"services": {}}, "compose file", "PROBLEM"),
        ({"obstacles": Obstacles(may_create=False)}, "role", "PROBLEM"),
        ({"obstacles": Obstacles(slots=("feed",))}, "renames", "PROBLEM"),
        ({"archive": a_server(mode="off")}, "log archive", "warning"),
        ({"archive": a_server(failing="000000010000000000000007", waiting=2)}, "log archive", "PROBLEM"),
        ({"archive": a_server(mount="")}, "log archive", "PROBLEM"),
        ({"bases": ()}, "window", "warning"),
        ({"archive": a_server((5, 7))}, "window", "PROBLEM"),
        ({"bases": (a_base(40, first=7), a_base()), "archive": a_server((5, 7))}, "window", "warning"),
        ({"now": at(60 * 24 * 40).timestamp()}, "window", "warning"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(changes: dict[str, object], check: str, result: str) -> None:
    found = checked(**changes)[check]
    assert found.result == result
    assert found.next


@pytest.mark.parametrize(
    ("changes", "check", "result"),
    [
        ({"database": None, "database_problem": "it is stopped"}, "database", "PROBLEM"),
        ({"ledger": ()}, "last good release", "PROBLEM"),
        ({"images": {}}, "images", "warning"),
        ({"backups": ()}, "backups", "warning"),
        ({"unfinished": ("20261122T031501Z-4f2a",)}, "lock", "PROBLEM"),
        ({"is_healthy": False, "health_detail": "HTTP 500"}, "health", "PROBLEM"),
        ({"clock_skew": -90.0}, "clock", "warning"),
        ({"git": replace(FACTS.git, unmerged=("a",))}, "git", "PROBLEM"),
        ({"backup_free_bytes": 0}, "disk", "PROBLEM"),
    ],
)
def test_what_is_wrong_with_the_facts_is_named_with_what_to_do(
    changes: dict[str, object], check: str, result: str
) -> None:
    found = of_facts(**changes)[check]
    assert found.result == result
    assert found.next


def test_what_runs_put_aside_is_named_and_old_ones_are_a_warning() -> None:
    old, new = a_thing("20261001T000000Z-0001", 40, size_bytes=528_000_000), a_thing("20261121T000000Z-0003", 1)
    assert checked()["put aside"].says == "no run left a database or rows in the server"
    young = checked(put_aside=(new,))["put aside"]
    assert (young.result, "comicpile__before_20261121T000000Z-0003 (10.0 MB, 1 day old)" in young.says) == ("ok", True)
    found = checked(put_aside=(new, old))["put aside"]
    assert found.result == "warning"
    assert "comicpile__before_20261001T000000Z-0001 (528.0 MB, 40 days old)" in found.text
    assert found.next == "`inv backup.prune --host prod1` shows what can go."
    assert checked(put_aside=(old,))["put aside"].result == "ok"  # the newest never goes
