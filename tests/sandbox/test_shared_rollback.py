"""Two application hosts on one database go back together, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.shell import Effect, script
from tests.sandbox.stage import FOLDER, Ended, Laptop, Stage, laptop

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.long]

APPS = ("prod1", "prod2")
ROWS = """\
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) '
  'FROM public.%I t', table_name, table_name)
FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
\\gexec
"""
DATABASES = "SELECT datname FROM pg_database WHERE datname LIKE 'comicpile%' ORDER BY 1"
HEADS = "SELECT version_num FROM alembic_version ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Truth:
    """What the three hosts are."""

    heads: tuple[str, ...]
    images: tuple[str, ...]
    health: tuple[tuple[int, str], ...]
    schema: str
    rows: str
    databases: tuple[str, ...]


@dataclass(slots=True)
class Shared:
    """Two application hosts, the host of their database, and who rolls them back."""

    sandbox: Sandbox
    stages: tuple[Stage, ...]
    operator: Laptop

    def sql(self, text: str, database: str = "comicpile") -> str:
        body = 'docker exec -i comicpile-db-1 psql -XqAt -v ON_ERROR_STOP=1 -U comicpile -d "$1"'
        return self.sandbox.exec_root("db1", script(body, database, effect=Effect.WRITE, stdin=text.encode())).text

    def truth(self) -> Truth:
        image = "docker inspect -f '{{.Image}}' $(docker ps -q -f label=com.docker.compose.service=app)"
        return Truth(
            tuple(one.root(f"runuser -u deploy -- git -C {FOLDER} rev-parse HEAD").strip() for one in self.stages),
            tuple(one.root(image).strip() for one in self.stages),
            tuple(one.health() for one in self.stages),
            self.sql(HEADS).strip(),
            self.sql(ROWS),
            tuple(self.sql(DATABASES, "postgres").split()),
        )

    def full(self, *words: str) -> Ended:
        return self.operator.inv("rollback.full", "--host", ",".join(APPS), "--yes", "--json", *words, timeout=400)

    def in_backups(self) -> list[str]:
        body = 'ls "$1"/.rollback/backups 2>/dev/null || true'
        return self.sandbox.exec_root("db1", script(body, FOLDER, effect=Effect.READ)).text.split()

    def held(self) -> list[str]:
        body = 'ls -d "$1"/.rollback/lock 2>/dev/null || true'
        words = script(body, FOLDER, effect=Effect.READ)
        return [name for name in (*APPS, "db1") if self.sandbox.exec_root(name, words).text]


@pytest.fixture(scope="module")
def sandbox_of_three(sandbox_at: Callable[[Path], Sandbox]) -> Iterator[Sandbox]:
    made = sandbox_at(Path(f"/tmp/sandbox-apps-{os.getpid()}"))  # a socket's path must be short
    try:
        made.up(2, shared_db=True)
        for name in APPS:
            made.deploy(name, "v6")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def good(sandbox_of_three: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """v6 runs on both hosts and is marked good."""
    addresses = {one.name: one.address for one in sandbox_of_three.status().hosts}
    stages = tuple(Stage(sandbox=sandbox_of_three, name=name, address=addresses[name]) for name in APPS)
    operator = laptop(tmp_path_factory.mktemp("apps"), sandbox_of_three.inventory)
    marked = operator.inv("release.mark", "--good", "--host", ",".join(APPS))
    assert marked.code == 0, marked.err
    return Shared(sandbox_of_three, stages, operator)


@pytest.fixture
def shared(good: Shared) -> Iterator[Shared]:
    """A bad migration was deployed to both."""
    for stage in good.stages:
        good.sandbox.deploy(stage.name, "bad-migration", wait=False)
    for stage in good.stages:
        stage.await_behaviour("bad-migration")
    yield good
    for stage in good.stages:
        stage.disarm()


def kinds(host: dict[str, Any], *states: str) -> list[str]:
    return [step["kind"] for step in host["steps"] if step["state"] in states]


def test_a_failure_on_the_second_host_puts_both_and_their_database_back(shared: Shared) -> None:
    before = shared.truth()
    assert before.health == ((500, "bad-migration"), (500, "bad-migration"))
    shared.stages[1].when_docker("tag * comic-pile*", "exit 1")  # docker-compose is no docker client
    ended = shared.full()
    assert shared.stages[1].was_sprung()
    hosts = {host["host"]: host for host in ended.document["hosts"]}
    told = {name: host["outcome"] for name, host in hosts.items()}
    assert (ended.code, told) == (4, dict.fromkeys(APPS, "restored")), ended.err
    for stage in shared.stages:
        stage.await_behaviour("bad-migration")
    after = shared.truth()
    kept = [name for name in after.databases if name != "comicpile"]
    assert (after.heads, after.images, after.health) == (before.heads, before.images, before.health)
    assert (after.schema, after.rows) == (before.schema, before.rows)
    assert len(kept) == 1  # what the downgrade had made of the database stays beside it
    assert "downgrade_schema" in kinds(hosts["prod1"], "compensated")
    assert shared.held() == []
    shared.sql(f'DROP DATABASE "{kept[0]}"', "postgres")


def test_both_hosts_go_back_with_one_backup_and_one_downgrade(shared: Shared) -> None:
    before, old = shared.truth(), shared.in_backups()
    ended = shared.full()
    hosts = {host["host"]: host for host in ended.document["hosts"]}
    told = {name: host["outcome"] for name, host in hosts.items()}
    assert (ended.code, told) == (0, dict.fromkeys(APPS, "done")), ended.err
    after = shared.truth()
    assert after.health == ((200, "v6"), (200, "v6"))
    assert (after.schema, len(set(after.heads))) == ("0006", 1)
    assert [line.split("|")[:2] for line in after.rows.splitlines()] == [
        line.split("|")[:2] for line in before.rows.splitlines()
    ]
    dumps = [name for name in shared.in_backups() if name.endswith(".dump") and name not in old]
    assert len(dumps) == 1
    done = [kinds(hosts[name], "done") for name in APPS]
    assert [steps.count("downgrade_schema") for steps in done] == [1, 0]
    assert [steps.count("stop_services") for steps in done] == [1, 1]
    # Both had stopped before the database was touched.
    journal = shared.stages[0].root(f"cat {FOLDER}/.rollback/runs/*/journal.jsonl | grep -c meet_others || true")
    assert int(journal) > 0
    assert shared.held() == []
    again = shared.full()
    assert (again.code, [host["outcome"] for host in again.document["hosts"]]) == (0, ["noop", "noop"])


@pytest.fixture
def calm(good: Shared) -> Shared:
    """Both run v6, on the rows that are there."""
    for stage in good.stages:
        if stage.health() != (200, "v6"):
            good.sandbox.deploy(stage.name, "v6")
    return good


def task(shared: Shared, name: str, *words: str, hosts: str = ",".join(APPS)) -> Ended:
    return shared.operator.inv(name, "--host", hosts, "--yes", "--json", *words, timeout=400)


def outcomes(ended: Ended) -> dict[str, str]:
    return {host["host"]: host["outcome"] for host in ended.document["hosts"]}


def backed_up(shared: Shared) -> str:
    """Back up once for both; return the backup's name."""
    old = shared.in_backups()
    made = task(shared, "backup.create")
    assert (made.code, outcomes(made)) == (0, {"prod1": "done", "prod2": "noop"}), made.err
    (name,) = {name.partition(".")[0] for name in shared.in_backups() if name.endswith(".dump") and name not in old}
    return name


def test_a_shared_database_is_backed_up_once_restored_and_taken_back(calm: Shared) -> None:
    name = backed_up(calm)
    before = calm.truth()
    calm.sql("DELETE FROM events WHERE id % 2 = 0; INSERT INTO users (name, email) VALUES ('since', 'since@x')")
    wrecked = calm.truth()
    alone = task(calm, "rollback.restore", "--backup", name, "--accept-data-loss", "users", hosts="prod1")
    assert (alone.code, alone.document["outcome"]) == (3, "blocked"), alone.err
    assert calm.truth() == wrecked
    done = task(calm, "rollback.restore", "--backup", name, "--accept-data-loss", "users")
    assert (done.code, outcomes(done)) == (0, dict.fromkeys(APPS, "done")), done.err
    now = calm.truth()
    run = done.document["run_id"]
    assert (now.rows, now.schema, now.health, now.images) == (before.rows, before.schema, before.health, before.images)
    assert f"comicpile__before_{run}" in now.databases
    one = task(calm, "rollback.redo", hosts="prod2")
    assert (one.code, one.document["outcome"]) == (3, "blocked"), one.err
    back = task(calm, "rollback.redo")
    assert (back.code, outcomes(back)) == (0, dict.fromkeys(APPS, "done")), back.err
    now = calm.truth()
    assert (now.rows, now.health) == (wrecked.rows, wrecked.health)
    assert f"comicpile__left_{run}" in now.databases
    assert calm.held() == []


def test_a_table_of_a_shared_database_gets_its_rows_back_once(calm: Shared) -> None:
    name = backed_up(calm)
    before = calm.truth()
    calm.sql("DELETE FROM events WHERE id % 3 = 0")
    done = task(calm, "rollback.table", "--backup", name, "--table", "events")
    assert (done.code, outcomes(done)) == (0, {"prod1": "done", "prod2": "noop"}), done.err
    now = calm.truth()
    assert (now.rows, now.health) == (before.rows, before.health)
    assert calm.held() == []


def test_a_shared_database_goes_back_to_a_moment(calm: Shared) -> None:
    based = task(calm, "backup.base")
    assert (based.code, outcomes(based)) == (0, {"prod1": "done", "prod2": "noop"}), based.err
    calm.sql("INSERT INTO users (name, email) VALUES ('first', 'first@y')")
    before = calm.truth()
    moment = calm.sql("SELECT clock_timestamp()").strip()
    calm.sql("DELETE FROM events")
    done = task(calm, "rollback.pitr", "--time", moment)
    assert (done.code, outcomes(done)) == (0, dict.fromkeys(APPS, "done")), done.err
    now = calm.truth()
    assert (now.rows, now.schema, now.health) == (before.rows, before.schema, before.health)
    assert calm.held() == []
    pruned = task(calm, "backup.prune", "--keep-days", "0", "--keep-bases", "1")
    assert (pruned.code, outcomes(pruned)) == (0, {"prod1": "done", "prod2": "noop"}), pruned.err
    # What the last run can be taken back with stays, whatever is asked for.
    run = done.document["run_id"]
    assert f"comicpile__before_{run}" in calm.truth().databases
