"""The five scenarios on real hosts: from what is broken to what is proven, and taken back again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sandbox.stage import APP_LABEL, FOLDER, Ended, Laptop, Seen, Stage, until
from tests.sandbox.test_verify import ORPHAN, blocked

pytestmark = pytest.mark.timeout(600, func_only=True)

CHECKLIST = {"containers", "health", "migrations", "logs", "endpoints", "tests", "data", "foreign-keys", "release"}


def play(operator: Laptop, stage: Stage, scenario: str, *words: str, code: int = 0) -> Ended:
    """Run a scenario, which has to end in the whole checklist."""
    done = operator.inv(f"scenario.{scenario}", "--host", stage.name, "--yes", "--json", *words)
    assert done.code == code, done.out + done.err
    assert {one["check"] for one in done.host["checks"]} >= CHECKLIST
    assert [one["text"] for one in done.host["checks"] if not one["ok"]] == [] or code == 9
    return done


def therefore(done: Ended) -> str:
    """What was done, and why."""
    text: str = done.host["diagnosis"]["therefore"]
    return text


def undo(operator: Laptop, stage: Stage, before: Seen) -> None:
    """Take the scenario back: the host is as broken as it was, row by row and file by file."""
    back = operator.inv("rollback.redo", "--host", stage.name, "--yes", "--json")
    assert (back.code, back.document["outcome"]) == (0, "done"), back.out + back.err
    now = stage.look()
    assert (now.rows, now.schema, now.running) == (before.rows, before.schema, before.running)
    assert (now.head, now.files, now.index) == (before.head, before.files, before.index)


def prepared(stage: Stage, operator: Laptop) -> tuple[Seen, str]:
    """A good host with a proven backup; return what it is, and the backup's name."""
    stage.play("v6")
    made = operator.inv("backup.create", "--host", stage.name, "--yes", "--json")
    assert made.code == 0, made.err
    return stage.look(), Path(made.host["backup"]["path"]).stem


def test_a_bad_migration_is_found_taken_back_and_checked(plugin_host: Stage, operator: Laptop) -> None:
    good = plugin_host.play("v6")
    bad = plugin_host.play("bad-migration")
    done = play(operator, plugin_host, "bad-migration", "--reason", "500 on every page")
    assert therefore(done).startswith("rollback.full to v6: the schema first")
    assert "the database is at 0007, v6 is at 0006: 0007 came since" in done.host["diagnosis"]["found"]
    now = plugin_host.look()
    assert (now.rows, now.schema, now.running, now.head) == (good.rows, ("0006",), good.running, good.head)
    report = Path(done.document["report"]).read_text()
    assert all(words in report for words in ("500 on every page", "Therefore: rollback.full", "| foreign-keys | ok |"))
    undo(operator, plugin_host, bad)


@pytest.mark.long
@pytest.mark.parametrize("release", ["bad-migration", "bad-code", "crash"])
def test_a_bad_release_goes_on_the_other_compose_too(standalone_host: Stage, operator: Laptop, release: str) -> None:
    scenario = {"crash": "failed-deployment"}.get(release, release)
    good = standalone_host.play("v6")
    bad = standalone_host.play(release)
    done = play(operator, standalone_host, scenario)
    assert therefore(done).startswith("rollback.full to v6: ")
    now = standalone_host.look()
    assert (now.rows, now.schema, now.running, now.head) == (good.rows, good.schema, good.running, good.head)
    assert standalone_host.health() == (200, "v6")
    again = play(operator, standalone_host, scenario)
    assert (again.document["outcome"], standalone_host.look().app) == ("noop", now.app)
    undo(operator, standalone_host, bad)


@pytest.mark.long
def test_bad_code_leaves_the_database_alone_also_where_it_cannot_go_back_in_full(
    plugin_host: Stage, operator: Laptop
) -> None:
    good = plugin_host.play("v6")
    bad = plugin_host.play("bad-code")
    operator.change(lambda document: document["defaults"]["backups"].update(remote_dir="/run/full"))
    plugin_host.root("mkdir /run/full && mount -t tmpfs -o size=64k,mode=0777 full /run/full")
    try:
        done = play(operator, plugin_host, "bad-code")
    finally:
        plugin_host.root("umount /run/full && rmdir /run/full")
    assert "a full rollback is blocked (no room for the backup" in therefore(done)
    now = plugin_host.look()
    assert (now.rows, now.running, now.head, now.databases) == (bad.rows, good.running, bad.head, bad.databases)
    undo(operator, plugin_host, bad)


@pytest.mark.long
def test_code_that_cannot_run_on_the_schema_is_put_back_and_no_row_is_touched(
    plugin_host: Stage, operator: Laptop
) -> None:
    bad = plugin_host.play("bad-migration")
    operator.change(lambda document: document["defaults"]["health"].update(timeout=20))
    done = operator.inv("scenario.bad-code", "--host", "prod1", "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (4, "restored"), done.err
    assert therefore(done).startswith("rollback.docker to v6: the schema is another one and stays with its data")
    assert "checks" not in done.host
    now = plugin_host.look()
    assert (now.rows, now.running, now.head) == (bad.rows, bad.running, bad.head)


@pytest.mark.long
@pytest.mark.parametrize("host", ["plugin_host", "standalone_host"])
def test_corrupt_data_is_held_against_the_backup_and_replaced_by_it(
    operator: Laptop, request: pytest.FixtureRequest, host: str
) -> None:
    stage: Stage = request.getfixturevalue(host)
    good, name = prepared(stage, operator)
    stage.sql(f"{ORPHAN} delete from tasks where id < 11; insert into invoices (user_id, amount_cents) values (1, 5);")
    wreck = stage.look()
    on = ("scenario.data-corruption", "--host", stage.name, "--json")
    shown = operator.inv(*on, "--dry-run")
    assert (shown.code, shown.host["outcome"]) == (0, "planned"), shown.err
    found = shown.host["diagnosis"]["found"]
    assert any("threads.threads_user_id_fkey: 1 row points at nothing" in text for text in found)
    assert any(text.endswith(f"10 fewer than in backup {name}") for text in found)
    assert any(text.startswith(f"backup {name} is of ") and text.endswith(" old") for text in found)
    assert therefore(shown) == f"rollback.restore of {name}, the newest proven one"
    unnamed = operator.inv(*on, "--yes", "--accept-data-loss", "invoices")
    assert (unnamed.code, f"add --backup {name}" in unnamed.out) == (3, True)
    unaccepted = operator.inv(*on, "--yes", "--backup", name)
    assert (unaccepted.code, "--accept-data-loss invoices" in unaccepted.out) == (3, True)
    assert stage.look() == wreck
    done = play(operator, stage, "data-corruption", "--backup", name, "--accept-data-loss", "invoices")
    assert (stage.look().rows, stage.health()) == (good.rows, (200, "v6"))
    # Broken data cannot be restored as a proof: its dump is read back, and the data itself is kept.
    assert done.host["backup"]["verified"] == "readable"
    undo(operator, stage, wreck)


@pytest.mark.long
@pytest.mark.parametrize("host", ["plugin_host", "standalone_host"])
def test_the_session_in_the_way_is_ended_and_nothing_is_started_anew(
    operator: Laptop, request: pytest.FixtureRequest, host: str
) -> None:
    stage: Stage = request.getfixturevalue(host)
    before = stage.play("v6")
    calm = play(operator, stage, "connections")
    well = "nothing is to be done: nothing is wrong with the connections"
    assert (calm.document["outcome"], therefore(calm)) == ("noop", well)
    blocked(stage)
    shown = operator.inv("scenario.connections", "--host", stage.name, "--json", "--dry-run")
    assert [step["kind"] for step in shown.host["plan"]] == ["save_evidence", "end_sessions"]
    assert shown.host["costs"][0].startswith("what pid ")
    assert stage.sql("select count(*) from pg_stat_activity where application_name = 'Ann'") == "1"
    done = play(operator, stage, "connections")
    assert therefore(done).startswith("end sessions: 1 session that the others wait for")
    assert any("idle in transaction" in text for text in done.host["diagnosis"]["found"])
    assert {one["check"]: one["ok"] for one in done.host["checks"]}["connections"]
    assert stage.sql("select count(*) from pg_stat_activity where application_name = 'Ann'") == "0"
    now = stage.look()
    assert (now.app, now.rows) == (before.app, before.rows)
    nothing = operator.inv("rollback.redo", "--host", stage.name, "--yes", "--json")
    assert (nothing.code, nothing.document["outcome"]) == (0, "noop"), nothing.out


GREEDY = """\
import os, time, psycopg
url = os.environ["DATABASE_URL"].replace("+psycopg", "")
held = []
try:
    while True:
        held.append(psycopg.connect(url))
except psycopg.OperationalError:
    time.sleep(600)
"""
DB = "$(docker ps -q -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)"


@pytest.mark.long
def test_an_application_that_holds_every_slot_is_started_anew_and_the_database_is_not(
    plugin_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("v6")
    database = plugin_host.root(f'docker inspect -f "{{{{.State.StartedAt}}}}" {DB}')
    app = plugin_host.root(f"docker ps -q -f {APP_LABEL}").strip()
    plugin_host.root('docker exec -d "$1" python3 -c "$2"', app, GREEDY)
    full = f"docker exec {DB} psql -U comicpile -c 'select 1' 2>&1; :"
    until(lambda: "too many clients" in plugin_host.root(full), seconds=60)
    before = plugin_host.root(f"docker ps -q --no-trunc -f {APP_LABEL}")
    done = play(operator, plugin_host, "connections")
    assert therefore(done).startswith("restart the application: the application holds ")
    assert "the server takes no more clients: every slot is taken" in done.host["diagnosis"]["found"]
    assert plugin_host.root(f"docker ps -q --no-trunc -f {APP_LABEL}") == before
    assert plugin_host.root(f'docker inspect -f "{{{{.State.StartedAt}}}}" {DB}') == database


@pytest.mark.long
def test_where_the_database_is_away_nobody_starts_it_just_so(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("v6")
    plugin_host.root(f"docker stop -t 5 {DB}")
    done = operator.inv("scenario.connections", "--host", "prod1", "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (3, "blocked"), done.err
    assert "inv host.logs --host prod1 --service db" in done.host["hint"]
    assert "comicpile-db-1 is exited" in done.host["diagnosis"]["found"]
    assert plugin_host.root("docker ps -q -f label=com.docker.compose.service=db") == ""


# The team's own way to deploy a commit that only changes the compose file. $1 folder, $2 the line that comes in
BREAK = """\
cd -- "$1" && sed -i "s|^  app:|  app:\\n    $2|" docker-compose.yml || exit 1
[ -z "$3" ] || runuser -u deploy -- git -c user.name=t -c user.email=t@t commit -qam "$3" || exit 1
if docker compose version >/dev/null 2>&1; then set -- docker compose; else set -- docker-compose; fi
runuser -u deploy -- env HOME=/home/deploy "$@" up -d --no-build app 2>&1 || :
"""


@pytest.mark.long
@pytest.mark.parametrize("host", ["plugin_host", "standalone_host"])
@pytest.mark.parametrize("message", ["Start in another way", ""], ids=["deployed", "changed by hand"])
def test_a_compose_file_that_starts_nothing_goes_back_alone(
    operator: Laptop, request: pytest.FixtureRequest, host: str, message: str
) -> None:
    stage: Stage = request.getfixturevalue(host)
    good = stage.play("v6")
    stage.root(BREAK, FOLDER, "command: [sh, -c, exit 3]", message)
    until(lambda: stage.health() == (0, ""), seconds=60)
    bad = stage.look()
    done = play(operator, stage, "failed-deployment")
    why = "is all that differs from v6" if message else "was changed in the work tree, and nothing was deployed"
    assert therefore(done) == f"rollback.compose: docker-compose.yml {why}"
    now = stage.look()
    assert (stage.health(), now.rows, now.running, now.head) == ((200, "v6"), good.rows, good.running, bad.head)
    marks = [json.loads(line) for line in stage.root(f"cat {FOLDER}/.rollback/releases.jsonl").splitlines()]
    bads = [mark["id"] for mark in marks if mark["event"] == "marked" and mark["status"] == "bad"]
    assert len(bads) == (1 if message else 0)
    undo(operator, stage, bad)


@pytest.mark.long
def test_a_compose_file_that_nobody_can_read_goes_back_alone(standalone_host: Stage, operator: Laptop) -> None:
    good = standalone_host.play("v6")
    standalone_host.root(BREAK, FOLDER, "command: [sh", "Start in another way")
    bad = standalone_host.look()
    shown = operator.inv("scenario.failed-deployment", "--host", "prod2", "--dry-run", "--json")
    assert any(text.startswith("compose refuses its file: ") for text in shown.host["diagnosis"]["found"])
    done = play(operator, standalone_host, "failed-deployment")
    assert therefore(done) == "rollback.compose: docker-compose.yml is all that differs from v6"
    now = standalone_host.look()
    assert (standalone_host.health(), now.rows, now.running) == ((200, "v6"), good.rows, good.running)
    undo(operator, standalone_host, bad)


@pytest.mark.long
def test_containers_of_a_good_release_that_are_gone_or_ended_come_back(plugin_host: Stage, operator: Laptop) -> None:
    good = plugin_host.play("v6")
    plugin_host.root(f"docker stop -t 1 $(docker ps -q -f {APP_LABEL})")
    ended = play(operator, plugin_host, "failed-deployment")
    assert therefore(ended) == "rollback.config: nothing differs from v6, so its containers are made anew"
    assert plugin_host.health() == (200, "v6")
    plugin_host.root(f"docker rm -f $(docker ps -q -f {APP_LABEL})")
    gone = play(operator, plugin_host, "failed-deployment")
    assert therefore(gone).startswith("rollback.full to v6: ")
    now = plugin_host.look()
    assert (plugin_host.health(), now.running, now.head, now.rows) == ((200, "v6"), good.running, good.head, good.rows)


@pytest.mark.long
def test_a_check_that_stays_red_ends_a_scenario_that_went_well_with_nine(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("bad-code")
    plugin_host.sql("select setval('users_id_seq', 5)")
    done = play(operator, plugin_host, "bad-code", code=9)
    assert (done.document["outcome"], plugin_host.health()) == ("problems", (200, "v6"))
    assert [one["check"] for one in done.host["checks"] if not one["ok"]] == ["data"]
    assert done.host["error"].startswith("data: sequence users_id_seq: ")
    assert "inv verify.all --host prod1" in done.document["next"]
    idle = play(operator, plugin_host, "bad-code", code=9)
    assert ([step["kind"] for step in idle.host["steps"]], idle.document["outcome"]) == ([], "problems")


@pytest.mark.long
def test_a_chain_backs_up_takes_images_back_and_checks(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("bad-code")
    on = ("--host", "prod1")
    done = operator.inv("backup.create", *on, "--yes", "rollback.docker", *on, "--yes", "verify.all", *on)
    assert done.code == 0, done.out + done.err
    assert (plugin_host.health(), done.out.count("OUTCOME")) == ((200, "v6"), 2)
    stopped = operator.inv("rollback.docker", *on, "--yes", "--to", "v99", "verify.all", *on)
    assert (stopped.code, stopped.out) == (2, "")


@pytest.mark.long
def test_a_red_check_on_the_canary_lets_no_further_host_start_and_brings_no_bad_release_back(
    plugin_host: Stage, standalone_host: Stage, operator: Laptop
) -> None:
    plugin_host.play("bad-code")
    before = standalone_host.play("bad-code")
    plugin_host.sql("select setval('users_id_seq', 5)")
    words = ("scenario.bad-code", "--host", "prod1,prod2", "--yes", "--json", "--on-failure", "undo")
    done = operator.inv(*words)
    assert (done.code, done.document["outcome"]) == (9, "problems"), done.err
    assert [host["outcome"] for host in done.document["hosts"]] == ["problems", "planned"]
    now = standalone_host.look()
    assert (plugin_host.health(), now.app, now.head, now.rows) == ((200, "v6"), before.app, before.head, before.rows)
