"""Application hosts that share the one database of another host."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.sandbox.project import Project
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.sandbox.status import Flavour, Role
from rollback_tasks.shell import Effect, script
from rollback_tasks.transport.local import LocalHost

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]  # three hosts of its own

APPS = ("prod1", "prod2")
COUNTS = {"users": 2000, "threads": 5000, "sessions": 4000, "events": 20000, "tasks": 3000, "invoices": 500}
HEALTH = {"status": "ok", "release": "v5"}
ASK_APP = "curl -sS -m 5 http://localhost:8000/health; echo; curl -sS -m 5 http://localhost:8000/counts"
TABLES = "docker exec comicpile-db-1 psql -XAt -U comicpile -d comicpile -c '\\dt'"
NAMES = "docker ps --format '{{.Names}}' | tr _ -"
STATUS = "runuser -u deploy -- git -C /srv/comicpile status --short --branch"

# As the application reaches it, but without the password. $1 address
KNOCK = """\
docker run --rm --entrypoint /usr/lib/postgresql/15/bin/psql comic-pile \\
  -w -X -h "$1" -U comicpile -d comicpile -c 'SELECT 1' 2>&1 || true
"""


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(f"/tmp/sandbox-shared-{os.getpid()}")  # a socket's path must be short


@pytest.fixture(scope="module")
def shared(sandbox_at: Callable[[Path], Sandbox], folder: Path) -> Iterator[Sandbox]:
    """Two application hosts, one of each flavour, and a database host; v5 is deployed."""
    made = sandbox_at(folder)
    try:
        made.up(2, shared_db=True)
        for host in APPS:
            made.deploy(host, "v5")
        yield made
    finally:
        made.down()


def ask(sandbox: Sandbox, host: str, body: str, *args: str) -> str:
    return sandbox.exec_root(host, script(body, *args, effect=Effect.READ)).text


def answers(sandbox: Sandbox) -> list[list[object]]:
    """Health and counts of both application hosts."""
    return [[json.loads(line) for line in ask(sandbox, host, ASK_APP).splitlines()] for host in APPS]


def test_every_host_runs_only_its_part_from_a_clean_checkout(shared: Sandbox) -> None:
    told = [(one.name, one.flavour, one.role, one.release) for one in shared.status().hosts]
    assert told == [
        ("prod1", Flavour.PLUGIN, Role.APP, "v5"),
        ("prod2", Flavour.STANDALONE, Role.APP, "v5"),
        ("db1", Flavour.PLUGIN, Role.DATABASE, None),
    ]
    running = {one.name: (ask(shared, one.name, NAMES), ask(shared, one.name, STATUS)) for one in shared.status().hosts}
    clean = "## main...origin/main [behind 1]\n"  # v5 is one release behind
    assert running == {
        "prod1": ("comicpile-app-1\n", clean),
        "prod2": ("comicpile-app-1\n", clean),
        "db1": ("comicpile-db-1\n", "## main...origin/main\n"),
    }


def test_both_application_hosts_are_healthy_against_the_same_rows(shared: Sandbox) -> None:
    assert answers(shared) == [[HEALTH, COUNTS]] * 2
    add = "docker exec -i comicpile-db-1 psql -XqAt -U comicpile -d comicpile"
    row = "INSERT INTO tasks (user_id, title, is_done, created_at) VALUES (1, 'one more', false, now());"
    shared.exec_root("db1", script(add, effect=Effect.WRITE, stdin=row.encode()))
    more = {**COUNTS, "tasks": COUNTS["tasks"] + 1}
    assert answers(shared) == [[HEALTH, more]] * 2


def test_the_database_asks_for_the_password_over_the_network(shared: Sandbox) -> None:
    (address,) = (one.address for one in shared.status().hosts if one.name == "db1")
    assert [ask(shared, host, KNOCK, address).rpartition(": ")[2] for host in APPS] == ["no password supplied\n"] * 2


def test_a_reset_empties_one_host_and_the_next_deploy_fills_it_again(shared: Sandbox) -> None:
    before = ask(shared, "prod1", ASK_APP)
    shared.reset("prod2")
    assert [one.release for one in shared.status().hosts] == ["v5", None, None]
    assert ask(shared, "prod1", ASK_APP) == before
    shared.reset("db1")
    assert ask(shared, "db1", TABLES) == ""
    shared.deploy("prod2", "v5")
    assert answers(shared) == [[HEALTH, COUNTS]] * 2


def test_up_gives_a_killed_database_host_its_power_back_and_stays_a_sandbox_of_this_kind(shared: Sandbox) -> None:
    before = shared.status().hosts
    shared.kill("db1")
    assert shared.up(2).hosts == before
    assert answers(shared) == [[HEALTH, COUNTS]] * 2


def test_what_needs_a_database_of_its_own_is_refused(shared: Sandbox) -> None:
    with pytest.raises(UsageError) as nothing_to_deploy:
        shared.deploy("db1", "v5")
    assert nothing_to_deploy.value.brief == "db1 runs only the database, so nothing is deployed there"
    with pytest.raises(UsageError) as no_second_project:
        shared.add_project("prod1", Project(directory="/srv/second", name="second", port=8001, image="second-pile"))
    assert no_second_project.value.brief == "prod1 runs only its part of the one project that shares a database"


def test_down_leaves_nothing(shared: Sandbox, folder: Path) -> None:
    network = shared.status().hosts[0].address.rpartition(".")[0] + "."
    shared.down()
    mounts = Path("/proc/mounts").read_text()
    processes = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    links = LocalHost().run(script("ip -o -4 addr", effect=Effect.READ)).text
    left = (folder.exists(), str(folder) in mounts, str(folder).encode() in processes, network in links)
    assert left == (False, False, False, False)
