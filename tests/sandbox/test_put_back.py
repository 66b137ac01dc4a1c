"""Whatever breaks on the way, a host ends as it was: faults by real means, at every part of a rollback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage

pytestmark = pytest.mark.timeout(600, func_only=True)

# The most telling ones are run with every change; the others by `make long-test`.
TELLING = ("downgrade, then an error", "no start", "checkout cannot be written")


def some(cases: Iterable[str]) -> list[Any]:
    """Return the cases, those marked as long that are not among the most telling."""
    return [pytest.param(case, marks=() if case in TELLING else pytest.mark.long, id=case) for case in cases]


@pytest.fixture(autouse=True)
def _disarmed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"plugin_host", "standalone_host"} & set(request.fixturenames):
        request.getfixturevalue(name).disarm()


FIND_DB = "db=$(docker ps -aq -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"


def full(stage: Stage, operator: Laptop, *words: str) -> Ended:
    return operator.inv("rollback.full", "--host", stage.name, "--yes", "--json", *words)


def kinds(done: Ended, *states: str) -> list[str]:
    return [step["kind"] for step in done.host["steps"] if step["state"] in states]


def assert_as_before(stage: Stage, before: Seen, done: Ended | None, *, release: str) -> None:
    """The host is what it was and answers as it did, to the very containers unless compose had replaced them.

    A database that was half changed is kept beside the live one.
    """
    undone = kinds(done, "compensated") if done is not None else []
    stage.await_behaviour(release)
    now, then = stage.look().without_traces(), before.without_traces()
    assert len(now.databases) == 1 + ("downgrade_schema" in undone), now.databases
    if "start_services" in undone:
        states = [[line.split()[1] for line in seen.app] for seen in (now, then)]
        assert states[0] == states[1]
        now, then = replace(now, app=()), replace(then, app=())
    assert replace(now, databases=()) == replace(then, databases=())
    assert stage.root(f"ls {FOLDER}/.rollback/lock 2>&1 || true").startswith("ls: ")


# Trap: the docker call that it waits for, which one of them, what happens then, behind that call or before it.
FAULTS = {
    "no pin": ("tag *", 1, "exit 1", False),
    "no scratch database": ("*pg_restore*--exit-on-error*", 1, "exit 1", False),
    "rehearsal dies": ("*alembic*downgrade*", 1, "exit 1", False),
    "no stop": ("stop *", 1, "exit 1", False),
    "stop, then an error": ("stop *", 1, "exit 1", True),
    "no downgrade": ("*alembic*downgrade*", 2, "exit 1", False),
    "downgrade, then an error": ("*alembic*downgrade*", 2, "exit 1", True),
    "no switch of images": ("tag * comic-pile*", 1, "exit 1", False),
    "switch of images, then an error": ("tag * comic-pile*", 1, "exit 1", True),
    "no start": ("compose *up -d*", 1, "exit 1", False),
    "start, then an error": ("compose *up -d*", 1, "exit 1", True),
}


@pytest.mark.parametrize("fault", some(FAULTS))
def test_a_docker_client_that_fails_at_any_step_costs_nothing(plugin_host: Stage, operator: Laptop, fault: str) -> None:
    before = plugin_host.play("bad-migration")
    pattern, call, then, is_after = FAULTS[fault]
    plugin_host.when_docker(pattern, then, call=call, is_after=is_after)
    done = full(plugin_host, operator)
    assert plugin_host.was_sprung()
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert done.host["error"]
    assert_as_before(plugin_host, before, done, release="bad-migration")
    assert done.host["backup"] is None or done.host["backup"]["verified"] in ("readable", "restored")


# What root does on the host at the moment in which the rollback calls docker like this.
ACTS = {
    "database dies in the dump": (
        "exec *pg_dump*",
        # A lock holds the dump up, so that it is under way when its server dies: killed by the machine, not by the
        # engine, so that it is started again as after a crash.
        FIND_DB
        + """\
ask() { docker exec "$db" psql -XAt -U comicpile -d comicpile -c "$1"; }
docker exec -d "$db" psql -X -U comicpile -d comicpile -c 'BEGIN; LOCK TABLE events; SELECT pg_sleep(100)'
until [ "$(ask "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass AND granted")" -gt 0 ]; do :; done
: >/run/fault.done
until [ "$(ask "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted")" -gt 0 ]; do :; done
kill -9 "$(docker inspect -f '{{.State.Pid}}' "$db")"
""",
    ),
    "checkout cannot be written": ("stop *", "chown root:root alembic/versions && chmod 0755 alembic/versions"),
    "network of the database is cut": (
        "*alembic*downgrade*0006*",
        FIND_DB + 'docker network disconnect comicpile_default "$db"',
    ),
    "ledger cannot be written": (
        "compose *up -d*",
        "chown root:root .rollback/releases.jsonl; chmod 0444 .rollback/releases.jsonl",
    ),
}


# Afterwards, so that the host can be compared with what it was.
MENDED = (
    FIND_DB
    + """\
chown -R deploy:deploy "$1/alembic" "$1/.rollback"
[ ! -e "$1/.rollback/releases.jsonl" ] || chmod 660 "$1/.rollback/releases.jsonl"
docker network connect --alias db comicpile_default "$db" 2>/dev/null || true
"""
)


@pytest.mark.parametrize("act", some(ACTS))
def test_a_fault_of_the_machine_costs_nothing(plugin_host: Stage, operator: Laptop, act: str) -> None:
    before = plugin_host.play("bad-migration")
    pattern, harm = ACTS[act]
    with plugin_host.root_waits(f"cd {FOLDER}\n{harm}") as wait:
        plugin_host.when_docker(pattern, wait)
        done = full(plugin_host, operator)
    assert plugin_host.was_sprung()
    plugin_host.root(MENDED, FOLDER)
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert_as_before(plugin_host, before, done, release="bad-migration")


@pytest.mark.long
def test_a_backup_that_outgrows_its_disk_costs_nothing(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("bad-migration")
    noise = "SELECT string_agg(sha256(random()::text::bytea), '') FROM generate_series(1, 32768) WHERE g > 0"
    plugin_host.sql(f"CREATE TABLE noise AS SELECT g, ({noise}) FROM generate_series(1, 12) g;")
    place = f"{FOLDER}/.rollback/backups"
    plugin_host.root(
        f"install -d -o deploy -g deploy {place}; mount -t tmpfs -o size=11m,uid=1000,gid=1000 tmpfs {place}"
    )
    before = plugin_host.look()
    done = full(plugin_host, operator)
    left = plugin_host.root(f"ls -A {place}")
    assert (done.code, done.host["outcome"], kinds(done, "failed", "compensated")[-1]) == (
        *(4, "restored", "backup_database"),
    ), done.err
    assert left == ""
    assert_as_before(plugin_host, before, done, release="bad-migration")


def test_a_lock_that_is_not_granted_ends_the_downgrade_not_the_service(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("bad-migration")
    # A client that comes back as soon as it is ended, and each time takes the table for itself.
    hold = "BEGIN; LOCK TABLE users; SELECT pg_sleep(100)"
    loop = f'while :; do psql -XAt -U comicpile -d comicpile -c "{hold}"; sleep 0.02; done'
    with plugin_host.root_waits(FIND_DB + f"docker exec -d \"$db\" sh -c '{loop}'") as wait:
        plugin_host.when_docker("stop *", wait)
        done = full(plugin_host, operator)
    plugin_host.root(FIND_DB + 'docker restart -t 5 "$db" && until docker exec "$db" pg_isready -q; do sleep 0.1; done')
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert "downgrade_schema" in kinds(done, "compensated")
    assert_as_before(plugin_host, before, done, release="bad-migration")


@pytest.mark.long
def test_a_target_whose_image_goes_away_under_way_is_not_reached(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("v6")
    # An image that nothing else needs, deployed and marked good like any other.
    image = plugin_host.root(
        "cd /srv/comicpile && printf 'FROM stage:v6\\nLABEL made=again\\n' | docker build -q -t comic-pile:latest - && "
        "runuser -u deploy -- docker compose up -d --no-deps --no-build app 2>/dev/null"
    ).strip()
    plugin_host.await_behaviour("v6")
    marked = operator.inv("release.mark", "--good", "--host", plugin_host.name)
    assert marked.code == 0, marked.err
    plugin_host.sandbox.deploy(plugin_host.name, "bad-code")
    seen = plugin_host.look()
    before = replace(seen, images=tuple(line for line in seen.images if image not in line))
    plugin_host.when_docker("stop *", f"/usr/bin/docker rmi -f {image} >/dev/null")
    done = full(plugin_host, operator)
    assert plugin_host.was_sprung()
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert done.host["to"]["release"] == "bad-code"
    assert_as_before(plugin_host, before, done, release="bad-code")


@pytest.mark.long
def test_a_backup_that_cannot_leave_the_host_stops_the_rollback(standalone_host: Stage, operator: Laptop) -> None:
    before = standalone_host.play("bad-code")
    operator.backups.write_text("a file where the folder should be")
    done = full(standalone_host, operator)
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert kinds(done, "done", "failed", "compensated")[-1] == "pull_backup"
    assert_as_before(standalone_host, before, done, release="bad-code")


@pytest.mark.long
def test_a_target_that_never_gets_healthy_is_left_again(standalone_host: Stage, operator: Laptop) -> None:
    before = standalone_host.play("v6")
    operator.change(lambda document: document["defaults"]["health"].update(timeout=12))
    done = full(standalone_host, operator, "--to", "never")
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert "503" in done.host["error"]
    assert "await_healthy" in kinds(done, "failed", "compensated")
    assert_as_before(standalone_host, before, done, release="v6")
    assert done.host["downtime_seconds"] > 12


@pytest.mark.long
def test_a_slow_target_is_built_and_waited_for(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("v6")
    done = full(plugin_host, operator, "--to", "slow")
    assert (done.code, done.host["outcome"]) == (0, "done"), done.err
    assert plugin_host.health() == (200, "slow")
    now = plugin_host.look()
    assert (now.head, now.schema, now.rows) == (plugin_host.commit_of("slow"), before.schema, before.rows)
    assert 20 < done.host["downtime_seconds"] < 60
