"""Each line of the checklist is green where all is well, and red where a fault was planted; connection trouble is told
and ended."""

from __future__ import annotations

import pytest

from tests.sandbox.stage import APP_LABEL, Laptop, Stage, until

pytestmark = pytest.mark.timeout(600, func_only=True)

# Rows that no constraint looks at, as a restore or a superuser lays them.
ORPHAN = "set session_replication_role = replica; update threads set user_id = 999999 where id = 7;"
LINES = ("containers", "health", "migrations", "logs", "endpoints", "tests", "data", "foreign-keys")


def problems(operator: Laptop, name: str, host: str = "prod1") -> tuple[int, list[str]]:
    """Run one check; return its exit code and what it says is wrong."""
    ended = operator.inv(f"verify.{name}", "--host", host, "--json")
    assert ended.document["outcome"] == ("problems" if ended.code == 9 else "done"), ended.err
    return ended.code, [one["text"] for one in ended.host["checks"] if not one["ok"]]


def test_a_host_that_is_well_is_green_and_the_same_one_with_faults_is_red_line_by_line(
    plugin_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("v6")
    well = operator.inv("verify.all", "--host", "prod1", "--json")
    assert well.code == 0, well.out
    assert {one["check"] for one in well.host["checks"]} == {*LINES, "scripts", "release"}

    plugin_host.play("bad-code")
    plugin_host.sql(
        f"update alembic_version set version_num = '0005'; select setval('users_id_seq', 5); {ORPHAN}"
        "alter table tasks rename to tasks_gone;"
    )
    red = operator.inv("verify.all", "--host", "prod1", "--json")
    plugin_host.root(f"docker stop -t 1 $(docker ps -q -f {APP_LABEL})")
    alone = operator.inv("verify.containers", "--host", "prod1", "--json")
    assert (red.code, alone.code) == (9, 9), red.out
    wrong = [one for ended in (red, alone) for one in ended.host["checks"] if not one["ok"]]
    assert {one["check"] for one in wrong} == set(LINES)
    for name, words in {
        "containers": "has ended with exit code",
        "health": "not healthy: HTTP 500",
        "migrations": "the database is at 0005, the deployed image wants 0006",
        "logs": "errors in the last 15 minutes",
        "endpoints": "/counts: HTTP 500",
        "tests": "pytest -q ended with exit code 1",
        "data": "sequence users_id_seq: will hand out numbers that users.id has: at 5, used up to 2000",
        "foreign-keys": "threads.threads_user_id_fkey: 1 row points at nothing in public.users, e.g. 999999",
    }.items():
        assert any(words in one["text"] for one in wrong if one["check"] == name), (name, red.out)


FAULTS = {
    "containers": "docker kill $(docker ps -q -f label=com.docker.compose.service=app)",
    "migrations": "insert into alembic_version values ('ffff')",
    "endpoints": "alter table tasks rename to tasks_gone",
    "data": "alter table threads disable trigger all",
    "foreign-keys": ORPHAN,
}


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_turns_its_own_line_red_and_no_other(standalone_host: Stage, operator: Laptop, name: str) -> None:
    standalone_host.play("v6")
    assert problems(operator, name, "prod2") == (0, [])
    fault = FAULTS[name]
    standalone_host.root(fault) if fault.startswith("docker") else standalone_host.sql(fault)
    code, texts = problems(operator, name, "prod2")
    assert (code, len(texts)) == (9, 1), texts
    found = operator.inv("verify.all", "--host", "prod2", "--json")
    red = {one["check"] for one in found.host["checks"] if not one["ok"]}
    expected = {"containers", "health", "endpoints", "tests"} if name == "containers" else {name}
    # A page that fails is in the log as well.
    assert (found.code, red - {"logs"}) == (9, expected), found.out


@pytest.mark.long
@pytest.mark.parametrize("name", ["health", "logs", "tests"])
def test_bad_code_turns_the_lines_red_that_ask_the_application(
    standalone_host: Stage, operator: Laptop, name: str
) -> None:
    standalone_host.play("v6")
    assert problems(operator, name, "prod2") == (0, [])
    standalone_host.play("bad-code")
    code, texts = problems(operator, name, "prod2")
    assert (code, len(texts)) == (9, 1), texts


@pytest.mark.long
def test_one_shot_services_that_ended_well_are_healthy_and_others_are_not(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("v6")
    extra = """\
services:
  prestart: {image: comic-pile, entrypoint: ["true"], command: [], depends_on: [db]}
  app: {depends_on: {prestart: {condition: service_completed_successfully}}}
"""
    plugin_host.root("cat >/srv/comicpile/docker-compose.extra.yml", stdin=extra.encode())
    operator.change(
        lambda document: document["hosts"]["prod1"].update(
            compose_files=["docker-compose.yml", "docker-compose.extra.yml"], app_services=["prestart", "app"]
        )
    )
    up = "cd /srv/comicpile && runuser -u deploy -- docker compose -f docker-compose.yml -f docker-compose.extra.yml"
    try:
        plugin_host.root(f"{up} up -d 2>&1", timeout=120)
        assert problems(operator, "containers") == (0, [])
        plugin_host.root(
            f"sed -i 's/true/false/' /srv/comicpile/docker-compose.extra.yml; {up} up -d prestart 2>&1; true"
        )
        until(lambda: problems(operator, "containers")[0] == 9, seconds=30)
    finally:
        plugin_host.root(f"{up} rm -fs prestart 2>&1; rm /srv/comicpile/docker-compose.extra.yml")


def blocked(stage: Stage) -> None:
    """One session idle in its transaction, another that waits for it."""
    stage.root(
        "db=$(docker ps -q -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"
        'docker exec -d "$db" sh -c "(echo \\"set application_name = \'Ann\'; begin; update users set name = name '
        'where id = 1;\\"; sleep 120) | psql -XqAt -U comicpile comicpile"\n'
    )
    waits = "select count(*) from pg_stat_activity where {}"
    until(lambda: stage.sql(waits.format("state = 'idle in transaction'")) == "1", seconds=30)
    stage.root(
        "db=$(docker ps -q -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"
        'docker exec -d "$db" psql -XqAt -U comicpile -d comicpile -c "update users set name = name where id = 1"'
    )
    until(lambda: stage.sql(waits.format("wait_event_type = 'Lock'")) == "1", seconds=30)


def test_the_session_that_others_wait_for_is_named_and_ended_and_nobody_else(
    plugin_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("v6")
    blocked(plugin_host)
    seen = operator.inv("db.connections", "--host", "prod1", "--json")
    assert seen.code == 9, seen.err
    (root,) = seen.host["roots"]
    assert (root["application"], root["state"], root["waiting"]) == ("Ann", "idle in transaction", 1)
    assert "update users set name = name" in root["query"]
    assert operator.inv("db.connections", "--host", "prod1", "--terminate").code == 2
    dry = operator.inv("db.connections", "--host", "prod1", "--terminate", "--yes", "--dry-run", "--json")
    assert [one["pid"] for one in dry.host["roots"]] == [root["pid"]]
    ended = operator.inv("db.connections", "--host", "prod1", "--terminate", "--yes", "--json")
    assert (ended.code, ended.host["roots"]) == (0, []), ended.out
    assert (
        "its last statement: set application_name = 'Ann'; begin; update users" in ended.err
        or "update users" in ended.err
    )
    assert ended.host["ended"][0].startswith(f"ended: pid {root['pid']} (comicpile, Ann)")
    assert plugin_host.sql("select count(*) from pg_stat_activity where application_name = 'Ann'") == "0"


@pytest.mark.long
def test_a_server_that_takes_no_more_clients_is_diagnosed_by_its_processes(
    plugin_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("v6")
    greedy = """\
import os, time, psycopg
url = os.environ["DATABASE_URL"].replace("+psycopg", "")
held = []
try:
    while True:
        held.append(psycopg.connect(url))
except psycopg.OperationalError:
    time.sleep(60)
"""
    app = plugin_host.root(f"docker ps -q -f {APP_LABEL}").strip()
    plugin_host.root('docker exec -d "$1" python3 -c "$2"', app, greedy)

    def full() -> bool:
        body = (
            "docker exec $(docker ps -q -f label=com.docker.compose.service=db) psql -U comicpile -c 'select 1' 2>&1; :"
        )
        return "too many clients" in plugin_host.root(body)

    until(full, seconds=60)
    seen = operator.inv("db.connections", "--host", "prod1")
    assert seen.code == 9, seen.err
    for words in ("too many clients", "every slot is taken", "docker stop comicpile-app-1", "comicpile"):
        assert words in seen.out
    asked = operator.inv("db.check", "--host", "prod1")
    assert asked.code != 0
    assert "too many clients" in asked.out + asked.err
    plugin_host.root('docker restart -t 1 "$1"', app)


def test_data_is_checked_the_same_where_the_host_forbids_forwarding_and_against_an_earlier_check(
    plugin_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("v6")
    on = ("--host", "prod1", "--json")
    first = operator.inv("db.check", *on, "--save", "before")
    assert (first.code, first.host["problems"]) == (0, []), first.out
    assert first.host["checked"]["index-structure"] > 100
    (saved,) = (operator.state / "rollback/checks/prod1").iterdir()
    assert (saved.name, saved.stat().st_mode & 0o777) == ("before.json", 0o600)
    config = "/etc/ssh/sshd_config"
    reload = "pkill -HUP -o -x sshd"
    plugin_host.root(f"cp {config} /root/sshd.saved; echo AllowTcpForwarding no >>{config}; {reload}")
    try:
        plugin_host.sql(f"{ORPHAN} delete from tasks where id < 11;")
        second = operator.inv("db.check", *on, "--against", "before")
    finally:
        plugin_host.root(f"cp /root/sshd.saved {config}; {reload}")
    assert second.code == 9, second.err
    assert second.host["checked"] == first.host["checked"]
    assert second.host["difference"] == {
        "with": "in check before",
        "worse": [
            "foreign-key threads.threads_user_id_fkey: 1 row points at nothing in public.users, e.g. 999999",
        ],
        "fewer": ["tasks has 2990 rows, 10 fewer than in check before"],
        "others": [],
    }
    unknown = operator.inv("db.check", *on, "--against", "nothing")
    assert (unknown.code, "nothing" in unknown.err) == (2, True)
