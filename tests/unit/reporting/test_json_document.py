"""The document of --json is public API."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.errors import ExitCode
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting.json_document import document, plan_report, text
from rollback_tasks.reporting.masking import Masker

NEW = {
    "commit": "9d8e7f6" + "0" * 33,
    "images": {"app": "sha256:a1b2c3d4e5f6" + "0" * 52},
    "schema": ["c3d4e5"],
}
OLD = {
    "commit": "3f2a1bc" + "0" * 33,
    "images": {"app": "sha256:0f1e2d3c4b5a" + "0" * 52},
    "schema": ["b2c3d4"],
}


def test_the_document_of_a_run(report: RunReport) -> None:
    assert document(report) == {
        "version": 1,
        "task": "rollback.full",
        "run_id": "20261122T031501Z-4f2a",
        "outcome": "stranded",
        "exit_code": 5,
        "hosts": [
            {
                "host": "prod1",
                "outcome": "done",
                "verdict": "downgrade",
                "from": NEW,
                "to": OLD,
                "steps": [
                    {"kind": "backup_database", "state": "done", "seconds": 3.1},
                    {"kind": "stop_services", "state": "done", "seconds": 0.84},
                ],
                "backup": {
                    "path": "/srv/app/.rollback/backups/20261122.dump",
                    "sha256": "ab" * 32,
                    "bytes": 1536,
                    "verified": "restored",
                },
                "downtime_seconds": 2.44,
                "error": None,
                "warnings": ["orphan containers were left alone"],
                "tables": {"users": 3},
            },
            {
                "host": "prod2",
                "outcome": "noop",
                "verdict": None,
                "from": OLD,
                "to": OLD,
                "steps": [],
                "backup": None,
                "downtime_seconds": None,
                "error": None,
            },
            {
                "host": "prod3",
                "outcome": "stranded",
                "verdict": "code-only",
                "from": NEW,
                "to": None,
                "steps": [
                    {"kind": "stop_services", "state": "done", "seconds": 1.0},
                    {"kind": "switch_images", "state": "compensation_failed", "seconds": 200.0},
                ],
                "backup": None,
                "downtime_seconds": 203.4,
                "error": "docker ended with exit code 1\nno space left on device",
                "hint": "free space on prod3, then type inv rollback.resume --host prod3",
            },
        ],
        "report": "/home/olga/.local/state/rollback/report.md",
        "next": "inv rollback.resume --host prod3",
    }


def test_the_document_of_a_plan_that_goes_no_further(plan: Plan) -> None:
    report = plan_report(plan)
    old, new = {"release": "20261114T100000Z-3f2a1bc", **OLD}, {"release": "v1.4.2", **NEW}
    hint = "restore the newest proven backup: inv rollback.restore --host prod3 --backup 20261121"
    pending = {"kind": "told", "state": "pending", "seconds": 0.0}
    expected: dict[str, Any] = {
        "version": 1,
        "task": "rollback.full",
        "run_id": "20261122T031501Z-4f2a",
        "outcome": "blocked",
        "exit_code": 3,
        "hosts": [
            {
                "host": "prod1",
                "outcome": "planned",
                "verdict": "downgrade, loses data",
                "from": new,
                "to": old,
                "steps": [pending, pending, pending],
                "backup": None,
                "downtime_seconds": None,
                "error": None,
                "warnings": ["c3d4e5 runs raw SQL in its downgrade", "2 files in the work tree were changed"],
                "plan": [
                    {
                        "kind": "told",
                        "text": "back up the database comicpile and prove the dump readable",
                        "undo": "the dump stays",
                        "is_reversible": True,
                        "takes_service_away": False,
                    },
                    {
                        "kind": "told",
                        "text": "stop app",
                        "undo": "start app again with the images it had",
                        "is_reversible": True,
                        "takes_service_away": True,
                    },
                    {
                        "kind": "told",
                        "text": "downgrade the schema to b2c3d4 with the image that runs now",
                        "undo": "no copy fits on the disk",
                        "is_reversible": False,
                        "takes_service_away": True,
                    },
                ],
                "losses": [{"name": "users.nickname", "count": 12, "revision": "c3d4e5"}],
                "blockers": [],
                "noop_reason": None,
            },
            {
                "host": "prod2",
                "outcome": "noop",
                "verdict": None,
                "from": old,
                "to": None,
                "steps": [],
                "backup": None,
                "downtime_seconds": None,
                "error": None,
                "plan": [],
                "losses": [],
                "blockers": [],
                "noop_reason": "runs 20261114T100000Z-3f2a1bc already",
            },
            {
                "host": "prod3",
                "outcome": "blocked",
                "verdict": "diverged",
                "from": new,
                "to": old,
                "steps": [],
                "backup": None,
                "downtime_seconds": None,
                "error": "the schema cannot be brought to b2c3d4; the database does not answer",
                "hint": hint,
                "plan": [],
                "losses": [],
                "blockers": [
                    {"brief": "the schema cannot be brought to b2c3d4", "hint": hint},
                    {"brief": "the database does not answer", "hint": None},
                ],
                "noop_reason": None,
            },
        ],
        "report": None,
        "next": None,
    }
    assert document(report) == expected
    assert report.exit_code is ExitCode.REFUSED


def test_what_a_task_adds_never_takes_the_place_of_a_field() -> None:
    extra = {"error": "none!", "from": "nowhere", "checks": 8}
    report = RunReport(task="t", run_id="R", hosts=(HostReport(host="a", outcome=Outcome.DONE, extra=extra),))
    host = document(report)["hosts"][0]
    assert (host["error"], host["from"], host["checks"]) == (None, None, 8)


def test_a_run_without_hosts_may_have_an_error() -> None:
    assert document(RunReport(task="t", run_id="R", error="odd"))["error"] == "odd"


class _Colour(Enum):
    RED = "red"


@dataclass
class _Pair:
    left: object
    right: object


def test_any_value_of_a_report_becomes_plain_json() -> None:
    extra = {
        "enum": _Colour.RED,
        "pair": _Pair({1: (2, 3)}, frozenset({"b", "a"})),
        "path": PurePosixPath("/srv"),
        "nan": float("nan"),
    }
    report = RunReport(task="t", run_id="R", hosts=(HostReport(host="a", outcome=Outcome.DONE, extra=extra),))
    host = json.loads(text(document(report)))["hosts"][0]
    assert {name: host[name] for name in extra} == {
        "enum": "red",
        "pair": {"left": {"1": [2, 3]}, "right": ["a", "b"]},
        "path": "/srv",
        "nan": None,
    }


def test_secrets_are_hidden_in_every_text(report: RunReport) -> None:
    whole = text(document(replace(report, next="inv x --password hunter2"), clean=Masker(["hunter2", "no space"])))
    assert ("hunter2" in whole, "no space" in whole, "inv x --password ***" in whole) == (False, False, True)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.floats() | st.integers() | st.none()))
def test_any_text_is_one_line_of_ascii_that_reads_back(error: str, extra: dict[str, object]) -> None:
    report = RunReport(
        task="t", run_id="R", hosts=(HostReport(host="a", outcome=Outcome.FAILED, error=error, extra=extra),)
    )
    line = text(document(report))
    assert line.endswith("}\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["hosts"][0]["error"] == error
