"""From every kind of bad release back to the last good one, on real hosts, with both generations of compose."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage, away, watched

pytestmark = pytest.mark.timeout(600, func_only=True)

MARKED = """\
INSERT INTO users (name, email, nickname) VALUES ('Marked "O''Neil" \\ $(id)', 'marked@example.com', NULL);
INSERT INTO threads (user_id, title) SELECT id, 'Marked; DROP TABLE tasks' FROM users WHERE email LIKE 'marked@%';
INSERT INTO tasks (user_id, title, is_done) SELECT 1, 'Marked ' || g, false FROM generate_series(1, 7) g;
INSERT INTO invoices (user_id, amount_cents) SELECT 2, g FROM generate_series(1, 3) g;
"""
COUNTS = {
    "alembic_version": 1,
    "users": 2001,
    "threads": 5001,
    "sessions": 4000,
    "events": 20000,
    "tasks": 3007,
    "invoices": 503,
}


def deployed_over_marked_rows(stage: Stage, release: str) -> Seen:
    """Deploy ``release`` for real over v6 with rows that only this test wrote; return what v6 was."""
    stage.play("v6")
    stage.sql(MARKED)
    good = stage.look()
    assert good.counts == COUNTS
    stage.sandbox.deploy(stage.name, release)
    return good


def assert_is_back(stage: Stage, good: Seen) -> None:
    """The host runs what ran before the bad release, and every row of every table is there."""
    now = stage.look()
    assert (now.running, now.head, now.schema) == (good.running, good.head, good.schema)
    assert now.rows == good.rows
    assert stage.health() == (200, "v6")
    assert (now.status, now.worktrees) == ("", "1")


def private(path: Path) -> tuple[int, str]:
    """Mode and digest of a file on the laptop."""
    return stat.S_IMODE(path.stat().st_mode), hashlib.sha256(path.read_bytes()).hexdigest()


def assert_backup_is_proven(stage: Stage, operator: Laptop, done: Ended) -> None:
    """The dump is on both machines, private, whole, and was restored once."""
    backup = done.host["backup"]
    here = Path(backup["path"])
    told = stage.root('stat -c "%a %U" "$1"; sha256sum <"$1"', backup["remote_path"]).split()
    assert (told[0], told[1], told[2]) == ("600", "deploy", backup["sha256"])
    assert private(here) == (0o600, backup["sha256"])
    assert here.is_relative_to(operator.backups)
    assert here.stat().st_size == backup["bytes"]
    manifest = json.loads(here.with_name(here.name.replace(".dump", ".manifest.json")).read_text())
    assert (backup["verified"], manifest["level"]) == ("restored", "restored")
    assert manifest["counts"] == stage.look().counts
    for folder in (operator.backups, operator.state):
        loose = [p for p in folder.rglob("*") if p.is_file() and stat.S_IMODE(p.stat().st_mode) & 0o077]
        assert loose == []


def assert_ledger_knows(stage: Stage, bad: str) -> None:
    """The release that was left is marked bad; the one that runs is not."""
    lines = stage.root(f"cat {FOLDER}/.rollback/releases.jsonl").splitlines()
    marks = {}
    names = {}
    for event in map(json.loads, lines):
        if event["event"] == "recorded":
            names[event["id"]] = event["names"]
        if event["event"] == "marked":
            marks[event["id"]] = event["status"]
    assert {tuple(names[key]): status for key, status in marks.items()} == {("v6",): "good", (bad,): "bad"}


@pytest.mark.parametrize(
    ("host", "release", "verdict", "is_measured"),
    [
        ("plugin_host", "bad-migration", "downgrade", True),
        ("plugin_host", "bad-code", "code-only", True),
        ("standalone_host", "bad-migration", "downgrade", True),
        ("standalone_host", "crash", "code-only", False),
    ],
)
def test_a_bad_release_is_left_for_the_last_good_one_and_no_row_is_lost(
    operator: Laptop,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    host: str,
    release: str,
    verdict: str,
    is_measured: bool,
) -> None:
    stage: Stage = request.getfixturevalue(host)
    good = deployed_over_marked_rows(stage, release)
    words = ("rollback.full", "--host", stage.name, "--yes", "--json")
    with watched(stage) as asked:
        done = operator.inv(*words, "--reason", "it is broken")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert done.host["verdict"] == verdict
    assert_is_back(stage, good)
    assert_backup_is_proven(stage, operator, done)
    assert_ledger_knows(stage, release)
    assert "it is broken" in Path(done.document["report"]).read_text()
    if is_measured:
        claimed, seen = done.host["downtime_seconds"], away(asked)
        said = f"{stage.name}, {release}: away {seen:.2f} s for a client, {claimed:.2f} s in the report"
        record_property("measured", said)
        assert 0 < seen < 60
        assert 0 < claimed < 60
    before = stage.look()
    again = operator.inv(*words)
    assert (again.code, again.document["outcome"]) == (0, "noop")
    assert stage.look() == before
