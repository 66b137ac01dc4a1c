"""The table of what changed, what went wrong, and what to type next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollback_tasks.model.outcome import Outcome, RunReport
from rollback_tasks.reporting import outcome_view
from rollback_tasks.reporting.lines import plain

REMARKS = """\
prod1: warning: orphan containers were left alone
prod3: error: docker ended with exit code 1
  no space left on device
  HINT: free space on prod3, then type inv rollback.resume --host prod3
report: /home/olga/.local/state/rollback/report.md
next: inv rollback.resume --host prod3
"""

WIDE = f"""\
HOST   OUTCOME   FROM -> TO                        DOWNTIME    SECONDS  BACKUP
prod1  done      9d8e7f6 c3d4e5 -> 3f2a1bc b2c3d4  2.4 s       3.9      20261122.dump (restored)
prod2  noop      unchanged                         -           -        -
prod3  stranded  9d8e7f6 c3d4e5                    3 min 23 s  201.0    -
{REMARKS}"""

NARROW = f"""\
prod1: done
  from -> to  9d8e7f6 c3d4e5 -> 3f2a1bc b2c3d4
  downtime    2.4 s
  seconds     3.9
  backup      20261122.dump (restored)
prod2: noop
  from -> to  unchanged
prod3: stranded
  from -> to  9d8e7f6 c3d4e5
  downtime    3 min 23 s
  seconds     201.0
{REMARKS}"""


@pytest.mark.parametrize(("width", "expected"), [(None, WIDE), (200, WIDE), (80, NARROW)])
def test_a_fleet_in_which_one_host_is_stranded(report: RunReport, width: int | None, expected: str) -> None:
    assert plain(outcome_view.lines(report, width=width), width=width) == expected


def test_a_single_host_fits_into_80_columns(report: RunReport) -> None:
    single = replace(report, hosts=report.hosts[1:2], report=None, next=None)
    assert plain(outcome_view.lines(single, width=80), width=80) == (
        "HOST   OUTCOME  FROM -> TO  DOWNTIME  SECONDS  BACKUP\nprod2  noop     unchanged   -         -        -\n"
    )


def test_a_run_that_failed_before_any_host() -> None:
    report = RunReport(task="rollback.full", run_id="R", error="no host is named")
    assert plain(outcome_view.lines(report)) == "error: no host is named\n"


IMAGES = {"app": "sha256:" + "a" * 64}
OTHER = {"app": "sha256:" + "b" * 64}


@pytest.mark.parametrize(
    ("left", "reached", "expected"),
    [
        (None, None, "-"),
        ({"commit": "a" * 40, "schema": ["1"]}, None, "aaaaaaa 1"),
        (None, {"commit": "a" * 40, "schema": []}, "aaaaaaa no schema"),
        ({"commit": "a" * 40}, {"commit": "b" * 40}, "aaaaaaa -> bbbbbbb"),
        (
            {"commit": "a" * 40, "schema": ["1", "2"], "images": IMAGES},
            {"commit": "a" * 40, "schema": [], "images": OTHER},
            "1,2 -> no schema",
        ),
        ({"images": IMAGES}, {"images": OTHER}, "aaaaaaaaaaaa -> bbbbbbbbbbbb"),
        ({"images": IMAGES}, {"images": {}}, "aaaaaaaaaaaa -> no image"),
        ({"commit": "a" * 40}, {"commit": "a" * 40}, "unchanged"),
    ],
)
def test_only_what_differs_is_named(left: dict[str, Any] | None, reached: dict[str, Any] | None, expected: str) -> None:
    assert outcome_view.change(left, reached) == expected


def test_a_hostile_host_name_keeps_the_table_straight(report: RunReport) -> None:
    evil = replace(report.hosts[1], host="p\x1b[31m\n2")
    single = replace(report, hosts=(evil,), report=None, next=None)
    assert plain(outcome_view.lines(single)) == (
        "HOST            OUTCOME  FROM -> TO  DOWNTIME  SECONDS  BACKUP\n"
        "p\\x1b[31m\\x0a2  noop     unchanged   -         -        -\n"
    )


def test_how_many_checks_are_well_is_told_and_those_that_are_not_stand_in_the_error(report: RunReport) -> None:
    checks = [{"check": "health", "ok": False, "text": "HTTP 500"}, {"check": "logs", "ok": True, "text": "quiet"}]
    red = replace(report.hosts[1], outcome=Outcome.PROBLEMS, error="health: HTTP 500", extra={"checks": checks})
    single = replace(report, hosts=(red,), report=None, next=None)
    assert plain(outcome_view.lines(single)).splitlines()[2:] == [
        "prod2: checks: 1 of 2 are well",
        "prod2: error: health: HTTP 500",
    ]
