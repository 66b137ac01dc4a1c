"""What once went wrong with databases beside the live one, told to a real PostgreSQL on a unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, databases, postgres, rehearsal, scratch
from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed
from rollback_tasks.shell import Command
from rollback_tasks.transport.local import LocalHost

RUN = "20261122T031501Z-4f2a"
HOST = LocalHost()

# An engine whose only container is this machine. What runs in a container outlives the client that started it.
DOCKER = """\
#!/bin/sh
case $1 in
  ps) echo 0123456789ab ;;
  rm) exit 0 ;;
  exec)
    shift
    while :; do
      case $1 in
        -i) shift ;;
        -e) export "$2"; shift 2 ;;
        *) break ;;
      esac
    done
    shift
    exec setsid -w "$@"
    ;;
esac
"""


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[Path]:
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None or shutil.which("setsid") is None:
        pytest.skip("PostgreSQL's programs are not installed")
    # It refuses to run as root, and its user must reach the folder; a socket's path must be short.
    user = "postgres" if os.geteuid() == 0 else None
    told = subprocess.run(["mktemp", "-d", "/tmp/rollback-pg.XXXXXX"], capture_output=True, text=True, check=True)
    folder = Path(told.stdout.strip())
    if user:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            pytest.skip("there is no user for PostgreSQL")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    words = [initdb, "-D", f"{folder}/data", "-U", "owner", "--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C"]
    subprocess.run(words, check=True, capture_output=True, user=user, cwd="/")
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "wal_level": "logical",
        "max_connections": "10",
        "shared_buffers": "16MB",
    }
    running = subprocess.Popen(
        [server, "-D", f"{folder}/data", *(f"--{name}={value}" for name, value in options.items())],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while subprocess.run([_program("pg_isready") or "pg_isready", "-q", "-h", str(folder)], check=False).returncode:
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    try:
        yield folder
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(30)
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Server:
    """The server, with psql to look at it."""

    project: Project
    path: str

    def __call__(self, text: str, database: str = "template1") -> str:
        words = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "owner", "-d", database, "-c", text]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def databases(self) -> set[str]:
        """Return the names of all but the templates; ``*`` stands behind one that is shut."""
        text = "select datname || case when datallowconn then '' else '*' end from pg_database where not datistemplate"
        return set(self(text).split())

    def prove(self) -> None:
        name = f"{self.project.database}-{RUN}"
        HOST.run(backup.dump(self.project, name=name, run_id=RUN, commit="c" * 40, timeout=60))
        HOST.run(scratch.prove(self.project, backup=name, run_id=RUN, timeout=60))


Make = Callable[..., Server]


@pytest.fixture
def make(socket_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    programs = Path(_program("psql") or "psql").parent
    monkeypatch.setenv("PATH", f"{docker.parent}:{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PGHOST", str(socket_folder))
    made: list[Server] = []

    def server(database: str = "pile") -> Server:
        project = Project(
            folder=str(tmp_path),
            compose=("docker", "compose"),
            name="pile",
            files=("docker-compose.yml",),
            app_services=("app",),
            db_service="db",
            database=database,
            database_user="owner",
            migrations_service="app",
            migrations_command=("alembic",),
            migrations_folder="",
            backup_folder=f"{tmp_path}/backups",
            remote="origin",
        )
        found = Server(project, os.environ["PATH"])
        if database != "postgres":
            found(f'create database "{database}"')
        made.append(found)
        return found

    yield server
    for each in made:
        for name in each.databases() - {"postgres"}:
            each(f'drop database "{name.removesuffix("*")}" with (force)')


def run(command: Command) -> Completed:
    return HOST.run(command)


def test_taking_back_a_copy_that_was_cut_opens_the_live_database_and_ends_what_went_on(make: Make) -> None:
    server = make()
    server("alter database pile allow_connections false")
    orphan = subprocess.Popen(
        ["psql", "-XqAt", "-U", "owner", "-d", "postgres", "-c", "select pg_sleep(600)"],
        env={**os.environ, "PGAPPNAME": f"rollback-{RUN}"},
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    until = time.monotonic() + 10
    while server(f"select count(*) from pg_stat_activity where application_name = 'rollback-{RUN}'") == "0":
        assert time.monotonic() < until
        time.sleep(0.02)
    run(scratch.drop_copy(server.project, RUN, marker="/nonexistent/marker"))
    assert server.databases() == {"postgres", "pile"}
    assert orphan.wait(10) != 0


def test_a_copy_is_not_taken_for_done_while_the_live_database_is_still_shut(make: Make) -> None:
    server = make()
    run(scratch.copy(server.project, RUN, timeout=60))
    run(scratch.has_copy(server.project, RUN))
    server("alter database pile allow_connections false")
    with pytest.raises(CommandFailed):
        run(scratch.has_copy(server.project, RUN))


def test_a_database_called_postgres_is_copied_and_swapped_back(make: Make, tmp_path: Path) -> None:
    server = make("postgres")
    server("create table t as select 1 as a", "postgres")
    run(scratch.copy(server.project, RUN, timeout=60))
    server("drop table t", "postgres")
    marker = tmp_path / "marker"
    marker.touch()
    run(scratch.swap_back(server.project, RUN, marker=str(marker)))
    assert server("select a from t", "postgres") == "1"
    server("drop table t", "postgres")


def test_the_scratch_database_of_one_with_a_subscription_can_be_dropped_again(make: Make) -> None:
    server = make()
    server("create table t (a int primary key)", "pile")
    server("create subscription s connection 'dbname=x' publication p with (connect=false, slot_name=none)", "pile")
    try:
        server.prove()
        run(scratch.drop_scratch(server.project, RUN))
        assert server.databases() == {"postgres", "pile"}
    finally:
        server("drop subscription s", "pile")


def test_the_scratch_database_has_the_settings_of_the_live_one(make: Make) -> None:
    server = make()
    server("create schema app; create table app.alembic_version (version_num varchar(32) primary key)", "pile")
    server("insert into app.alembic_version values ('r1'); alter database pile set search_path = app, public", "pile")
    server.prove()
    there = databases.scratch_name("pile", RUN)
    run(postgres.has_schema(server.project, ("r1",), database=there))
    run(rehearsal.note(server.project, RUN))


def test_a_backup_is_proven_in_more_than_one_transaction_since_one_locks_every_table_at_once(make: Make) -> None:
    server = make()
    server("create table first (a int); create table second (a int)", "pile")
    server.prove()
    text = "select count(distinct xmin::text) from pg_class where relname in ('first', 'second')"
    assert server(text, databases.scratch_name("pile", RUN)) == "2"
