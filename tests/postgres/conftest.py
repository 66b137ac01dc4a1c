"""A real PostgreSQL of our own on a unix socket, behind an engine whose `exec` runs here."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed
from rollback_tasks.shell import Command
from tests.builders import a_project
from tests.fakes import FakeDocker

_NUMBER = iter(range(1, 10_000))


def _folder() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).parent if beside else None


def other_folders() -> list[Path]:
    """Programs of other versions: those that lie beside, and those that $POSTGRES_PROGRAMS names."""
    named = [Path(word) for word in os.environ.get("POSTGRES_PROGRAMS", "").split(":") if word]
    beside = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return [folder for folder in (*named, *beside) if folder != _folder() and (folder / "initdb").exists()]


@dataclass(slots=True)
class Server:
    """A server, and psql for what a test lays."""

    programs: Path
    socket: Path
    user: str | None = None

    def psql(self, database: str, text: str) -> str:
        words = [str(self.programs / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket), "-U", "owner"]
        done = subprocess.run([*words, "-d", database, "-f", "-"], input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def lacking(what: str) -> NoReturn:
    """Leave a test out on a desk that lacks something; in CI that would hide what was never tested."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for a condition of another process, which tells nobody when it comes; fail where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def is_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    programs = _folder()
    if programs is None:
        lacking("PostgreSQL's programs are not installed")
    options = {"max_prepared_transactions": "2", "wal_level": "minimal", "max_wal_senders": "0"}
    with started(programs, options) as made:
        yield made


@contextmanager
def started(programs: Path, options: dict[str, str]) -> Iterator[Server]:
    """A server of these programs with a new cluster in ``data`` beside its socket; all of it is gone afterwards."""
    # It refuses to run as root, its user must reach the folder, and the path of a socket is short.
    words = ["mktemp", "-d", "/tmp/rollback-pg.XXXXXX"]
    folder = Path(subprocess.run(words, capture_output=True, text=True).stdout.strip())
    user = None
    if os.geteuid() == 0:
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            lacking("there is no user for PostgreSQL")
        user = "postgres"
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    folder.chmod(0o755)
    init = [str(programs / "initdb"), "-D", f"{folder}/data", "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*init, "--locale=C.UTF-8"], check=True, capture_output=True, user=user, cwd="/")
    try:
        with serving(programs, folder, "data", options, user) as made:
            yield made
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(
    programs: Path, folder: Path, data: str, options: dict[str, str], user: str | None, *, at: str = ""
) -> Iterator[Server]:
    """A server on the cluster ``data`` in ``folder``; its socket is there as well, or in the folder ``at`` below it."""
    socket = folder / at
    options = {"listen_addresses": "", "unix_socket_directories": str(socket), "fsync": "off", **options}
    process = subprocess.Popen(
        [str(programs / "postgres"), "-D", f"{folder}/{data}", *(f"--{key}={value}" for key, value in options.items())],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    made = Server(programs, socket, user)
    ready = [str(programs / "pg_isready"), "-q", "-h", str(socket), "-U", "owner", "-d", "postgres"]
    try:
        until(lambda: is_ended(process) or subprocess.run(ready).returncode == 0, seconds=60)
        assert process.poll() is None
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@dataclass(slots=True)
class Site:
    """One deployed application with a database of its own."""

    server: Server
    docker: FakeDocker
    project: Project
    folder: Path

    def run(self, command: Command) -> Completed:
        return self.docker.run(command)

    def lay(self, text: str, *, database: str | None = None) -> None:
        """Run SQL in the application's database."""
        self.server.psql(database or self.project.database, text)

    def ask(self, text: str, *, database: str | None = None) -> Any:
        """Return the one value of a query, read as JSON."""
        return json.loads(self.server.psql(database or self.project.database, f"select to_json(({text}))") or "null")

    @contextmanager
    def visitor(self, database: str) -> Iterator[subprocess.Popen[bytes]]:
        """Somebody whose session goes on in ``database`` until it is ended."""
        words = [str(self.server.programs / "psql"), "-XqAt", "-h", str(self.server.socket), "-U", "owner"]
        looks = [*words, "-d", database, "-c", "select pg_sleep(60)"]
        with subprocess.Popen(looks, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            literal = "'" + database.replace("'", "''") + "'"
            count = f"(select count(*) from pg_stat_activity where datname = {literal} and query like '%pg_sleep%')"
            until(lambda: is_ended(process) or bool(self.ask(count, database="postgres")), seconds=20)
            assert process.poll() is None
            try:
                yield process
            finally:
                process.kill()

    @property
    def databases(self) -> set[str]:
        """The databases of this site by the ends of their names."""
        names = self.ask("select json_agg(datname) from pg_database", database="postgres")
        return {name.removeprefix(self.project.database) for name in names if name.startswith(self.project.database)}


def make_site(server: Server, folder: Path, name: str, *, template: str = "template1") -> Site:
    """Make a database ``name``, a copy of ``template``, and a project that means it."""
    quoted = '"' + name.replace('"', '""') + '"'
    server.psql("postgres", f'create database {quoted} template "{template}"')
    docker = FakeDocker(
        folder,
        containers=[{"id": "db1", "project": "comicpile", "service": "db", "image": "sha256:1", "state": "running"}],
    )
    docker.environment = {"PGHOST": str(server.socket), "PATH": f"{server.programs}:{os.environ['PATH']}"}
    project = a_project(str(folder / "project"), database=name, database_user="owner")
    Path(project.backup_folder).mkdir(parents=True)
    return Site(server, docker, project, folder)


@pytest.fixture(params=["app", "my \"б $(x)' db"], ids=["plain", "odd"])
def any_site(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """A site; one has a database whose name is hostile."""
    return make_site(server, tmp_path, f"{request.param}{next(_NUMBER)}")


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Site:
    return make_site(server, tmp_path, f"app{next(_NUMBER)}")
