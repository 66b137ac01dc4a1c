"""The database of a moment on real hosts: exactly its rows, refused where it cannot be, and killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.sandbox.stage import FOLDER, Laptop, Seen, Stage, until

pytestmark = pytest.mark.timeout(300, func_only=True)

BASE = ("backup.base", "--host", "prod1", "--yes", "--json")
PITR = ("rollback.pitr", "--host", "prod1", "--yes", "--json")
LEASE = 6


def now(stage: Stage) -> str:
    """A moment by the server's clock, with its offset."""
    return stage.sql("SET timezone TO 'Asia/Kolkata'; SELECT clock_timestamp()")


def later(moment: str, **by: float) -> str:
    return (datetime.fromisoformat(moment) + timedelta(**by)).isoformat()


def switch(stage: Stage) -> str:
    """Finish the current segment, wait until it is archived, and return its name."""
    name = stage.sql("SELECT pg_current_xact_id() \\g /dev/null\nSELECT pg_walfile_name(pg_switch_wal())")
    body = 'until docker exec "$(docker ps -q -f label=com.docker.compose.service=db)" test -e "/wal_archive/$1"; do '
    stage.root(body + "sleep 0.1; done", name)
    return name


def traces(stage: Stage) -> str:
    """What a recovery could leave behind: containers, volumes, files that are not finished."""
    return stage.root(
        'docker ps --all --format "{{.Names}}" | grep rollback-; docker volume ls -q | grep rollback-; '
        'find "$1/.rollback/backups" -name "*.partial"; true',
        FOLDER,
    )


def live(stage: Stage) -> tuple[object, ...]:
    """What must not change where nothing was to be changed."""
    seen = stage.look()
    return seen.rows, seen.schema, seen.app, seen.head, seen.databases


@pytest.fixture
def based(plugin_host: Stage, operator: Laptop) -> Iterator[Stage]:
    """v6 with a base backup."""
    operator.change(lambda document: document["defaults"].setdefault("guard", {}).update(lease=LEASE))
    plugin_host.play("v6")
    done = operator.inv(*BASE)
    assert (done.code, done.host["outcome"]) == (0, "done"), done.err
    yield plugin_host
    plugin_host.disarm()
    plugin_host.play("v6")


def assert_there(stage: Stage, wanted: Seen) -> None:
    seen = stage.look()
    assert (seen.rows, seen.schema, seen.app, seen.head) == (wanted.rows, wanted.schema, wanted.app, wanted.head)
    assert stage.health() == (200, "v6")
    assert traces(stage) == ""


def test_a_database_goes_back_to_a_moment_between_two_commits_and_no_further(based: Stage, operator: Laptop) -> None:
    based.sql("INSERT INTO users (name, email) VALUES ('first', 'first@x')")
    wanted = based.look()
    moment = now(based)
    based.sql("DELETE FROM events")
    based.sql("INSERT INTO users (name, email) VALUES ('second', 'second@x')")
    done = operator.inv(*PITR, "--time", moment, timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert_there(based, wanted)
    kept = f"comicpile__before_{done.document['run_id']}"
    based.sql(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true', database="postgres")
    assert based.sql("SELECT count(*) FROM events", database=kept) == "0"
    assert based.sql("SELECT count(*) FROM users WHERE name = 'second'", database=kept) == "1"


@pytest.mark.long
def test_a_recovery_is_taken_back_and_what_was_live_is_live_again(based: Stage, operator: Laptop) -> None:
    based.sql("INSERT INTO users (name, email) VALUES ('first', 'first@x')")
    wanted = based.look()
    moment = now(based)
    based.sql("DELETE FROM events")
    wrecked = based.look()
    done = operator.inv(*PITR, "--time", moment, timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert_there(based, wanted)
    run = done.document["run_id"]
    # What was put aside can be looked into, and a session in it does not keep it from coming back.
    assert based.sql("SELECT count(*) FROM events", database=f"comicpile__before_{run}") == "0"
    back = operator.inv("rollback.redo", "--host", "prod1", "--yes", "--json", timeout=250)
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    seen = based.look()
    assert (seen.rows, seen.schema, seen.head) == (wrecked.rows, wrecked.schema, wrecked.head)
    assert seen.databases == ("comicpile", f"comicpile__left_{run}")
    assert based.health() == (200, "v6")
    assert traces(based) == ""
    # The log went on meanwhile: a recovery to the same moment still comes to the same rows.
    again = operator.inv(*PITR, "--time", moment, timeout=250)
    assert (again.code, again.document["outcome"]) == (0, "done"), again.err
    assert_there(based, wanted)


@pytest.mark.long
def test_base_backups_and_their_log_are_pruned_and_what_stays_still_recovers(based: Stage, operator: Laptop) -> None:
    first = switch(based)
    for number in range(2):
        assert operator.inv(*BASE).code == 0
        based.sql(f"INSERT INTO users (name, email) VALUES ('{number}', '{number}@x')")
        switch(based)
    wanted = based.look()
    moment = now(based)
    based.sql("DELETE FROM events")
    listing = 'ls "$1"/.rollback/backups/base; docker exec "$(docker ps -q -f label=com.docker.compose.service=db)" '
    listing += "ls /wal_archive"
    before = set(based.root(listing, FOLDER).split())
    assert (first in before, sum(name.endswith(".base.json") for name in before)) == (True, 3)
    words = ("backup.prune", "--host", "prod1", "--keep-bases", "1", "--json")
    shown = operator.inv(*words)
    assert (shown.code, shown.document["outcome"]) == (0, "planned"), shown.err
    assert set(based.root(listing, FOLDER).split()) == before
    done = operator.inv(*words, "--yes")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now_there = set(based.root(listing, FOLDER).split())
    assert (first in now_there, sum(name.endswith(".base.json") for name in now_there)) == (False, 1)
    again = operator.inv(*words, "--yes")
    assert (again.code, again.document["outcome"]) == (0, "noop"), again.err
    back = operator.inv(*PITR, "--time", moment, timeout=250)
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    assert_there(based, wanted)


@pytest.mark.long
def test_a_database_goes_back_to_a_restore_point(based: Stage, operator: Laptop) -> None:
    name = """before the "big" import, it's said"""
    based.sql("INSERT INTO users (name, email) VALUES ('first', 'first@x')")
    wanted = based.look()
    based.sql(f"SELECT pg_create_restore_point('{name.replace(chr(39), chr(39) * 2)}')")
    based.sql("DELETE FROM events")
    switch(based)
    done = operator.inv(*PITR, "--restore-point", name, timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert_there(based, wanted)
    unknown = operator.inv(*PITR, "--restore-point", "no such point")
    assert unknown.code == 3
    assert name in unknown.document["next"]


@pytest.mark.long
def test_what_cannot_be_reached_is_refused_before_anything_starts(based: Stage, operator: Laptop) -> None:
    early, switched = now(based), []
    moments = []
    for number in range(3):
        based.sql(f"INSERT INTO users (name, email) VALUES ('{number}', '{number}@x')")
        moments.append(now(based))
        switched.append(switch(based))
    before = live(based)
    runs = based.root('ls "$1/.rollback/runs"', FOLDER)

    def refused(moment: str, says: str) -> None:
        done = operator.inv(*PITR, "--time", moment)
        assert (done.code, done.document["outcome"]) == (3, "blocked"), done.err
        assert says in done.host["error"], done.err
        assert done.document["next"]
        assert live(based) == before
        assert based.root('ls "$1/.rollback/runs"', FOLDER) == runs

    refused(later(early, minutes=-30), "before the oldest base backup")
    refused(later(early, days=1), "still to come")
    archive = 'docker exec "$(docker ps -q -f label=com.docker.compose.service=db)" '
    based.root(archive + 'mv "/wal_archive/$1" "/wal_archive/$1.lost"', switched[1])
    based.root(archive + 'sh -c \'rm -f "$PGDATA/pg_wal/$1"\' rm "$1"', switched[1])
    refused(moments[2], f"segment {switched[1]} is missing")
    refused(now(based), f"segment {switched[1]} is missing")
    still = operator.inv(*PITR, "--dry-run", "--time", moments[0])
    assert still.code == 0, still.err
    based.root(archive + 'mv "/wal_archive/$1.lost" "/wal_archive/$1"', switched[1])
    based.root(archive + 'sh -c \'truncate -s 1000 "/wal_archive/$1"\' cut "$1"', switched[1])
    refused(moments[2], f"segment {switched[1]} is missing")


@pytest.mark.long
@pytest.mark.parametrize(
    ("pattern", "is_after"),
    [
        ("run --rm -i --name rollback-*", False),
        ("run --detach --name rollback-*", True),
        ("exec -i * pg_restore -f /dev/null*", False),
    ],
    ids=["unpacking", "recovering", "dumping"],
)
def test_a_laptop_that_dies_leaves_the_live_database_whole_and_a_new_run_finishes(
    based: Stage, operator: Laptop, pattern: str, is_after: bool
) -> None:
    based.sql("INSERT INTO users (name, email) VALUES ('first', 'first@x')")
    wanted = based.look()
    moment = now(based)
    based.sql("DELETE FROM events")
    before = live(based)
    based.when_docker(pattern, "sleep 600", call=2 if pattern.startswith("exec") else 1, is_after=is_after)
    process = operator.start(*PITR, "--time", moment)
    until(lambda: process.poll() is not None or based.was_sprung(), seconds=120)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    settled = 'run=$(ls -d "$1"/.rollback/runs/*/ | tail -n 1); [ -e "$run/settled" ] && echo yes || true'
    until(lambda: based.root(settled, FOLDER).strip() == "yes", seconds=120)
    based.disarm()
    assert live(based) == before
    assert traces(based) == ""
    ended = operator.inv("rollback.abort", "--host", "prod1", "--yes", "--json")
    assert ended.code == 0, ended.err
    done = operator.inv(*PITR, "--time", moment, timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert_there(based, wanted)
