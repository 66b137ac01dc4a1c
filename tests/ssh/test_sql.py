"""A real PostgreSQL that only the host reaches."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import ConnectionLost, NotReadOnly, StepFailed
from rollback_tasks.ports import DatabaseAddress, Host, Statement
from rollback_tasks.shell import Secret
from rollback_tasks.transport.database import open_database
from rollback_tasks.transport.readonly import ReadOnlyHost
from rollback_tasks.transport.sql import connect_database

PASSWORD = "pa'ss wörd $HOME"


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL's programs are not installed")
    # It refuses to run as root, and its user must reach the folder.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(
        subprocess.run(["mktemp", "-d", "/tmp/rollback-pg.XXXXXX"], capture_output=True, text=True).stdout.strip()
    )
    if user:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            pytest.skip("there is no user for PostgreSQL")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o644)
    words = [initdb, "-D", f"{folder}/data", "-U", "owner", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
    subprocess.run([*words, "--no-sync", "--locale=C"], check=True, capture_output=True, user=user, cwd="/")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        chosen = int(sock.getsockname()[1])
    options = {"listen_addresses": "127.0.0.1", "port": chosen, "unix_socket_directories": "", "fsync": "off"}
    server = subprocess.Popen(
        [postgres, "-D", f"{folder}/data", *(f"--{name}={value}" for name, value in options.items())],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", chosen)) == 0:
                break
        assert server.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    yield chosen
    server.send_signal(signal.SIGINT)
    server.wait(20)
    shutil.rmtree(folder)


def session(host: Host, port: int, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": port,
        "user": "owner",
        "password": Secret(PASSWORD),
        "dbname": "postgres",
        "application_name": "rollback test",
    }
    return connect_database(host, **{**values, **changes})


@pytest.fixture(autouse=True)
def _started(port: int, host: Host) -> None:
    until = time.monotonic() + 20
    while True:
        problem = _problem(host, port)
        if not problem:
            return
        assert "starting up" in problem
        assert time.monotonic() < until
        time.sleep(0.05)


def _problem(host: Host, port: int) -> str:
    try:
        with session(host, port):
            return ""
    except StepFailed as exc:
        return str(exc)


def test_a_session_answers(host: Host, port: int) -> None:
    with session(host, port) as connection:
        row = connection.execute("SELECT current_user, current_setting('application_name'), 'ß'").fetchone()
    assert row == ("owner", "rollback test", "ß")


def test_a_large_result_comes_whole(host: Host, port: int) -> None:
    with session(host, port) as connection:
        row = connection.execute("SELECT repeat('x', 20000000)").fetchone()
    assert len(row[0]) == 20_000_000


def test_a_wrong_password_is_an_error_that_does_not_show_it(host: Host, port: int) -> None:
    with pytest.raises(StepFailed) as caught:
        with session(host, port, password=Secret("hunter2-secret")):
            pytest.fail("the block must not run")
    assert "password authentication failed" in str(caught.value)
    assert "hunter2-secret" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"address": "127.0.0.2"}, "nothing answers at 127.0.0.2"),
    ],
)
def test_a_session_that_cannot_be_opened_says_why(host: Host, port: int, changes: Any, message: str) -> None:
    with pytest.raises(StepFailed, match=re.escape(message)):
        with session(host, port, **changes):
            pytest.fail("the block must not run")


def test_a_refused_statement_shows_the_server_s_words_and_not_the_statement(host: Host, port: int) -> None:
    with pytest.raises(StepFailed) as caught:
        with session(host, port) as connection:
            connection.execute("SELECT 'private' FROM nowhere")
    assert caught.value.brief == 'database postgres: relation "nowhere" does not exist'
    assert caught.value.details == "SQLSTATE 42P01"


def test_an_error_of_our_own_inside_passes_through_and_nothing_is_committed(host: Host, port: int) -> None:
    def interrupted() -> None:
        with session(host, port) as connection:
            connection.execute("CREATE TABLE kept (id int)")
            raise LookupError

    with pytest.raises(LookupError):
        interrupted()
    with session(host, port) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


def test_a_read_only_host_gives_a_read_only_session(host: Host, port: int) -> None:
    bound = ReadOnlyHost(host)
    with session(bound, port) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(StepFailed, match="read-only transaction"):
        with session(bound, port) as connection:
            connection.execute("CREATE TABLE kept (id int)")
    with pytest.raises(NotReadOnly):
        bound.socket_to("127.0.0.1", port)


def test_settings_of_this_machine_have_no_say(host: Host, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGOPTIONS": "-c statement_timeout=1", "PGDATABASE": "nowhere", "PGUSER": "nobody"}.items():
        monkeypatch.setenv(name, value)
    with session(host, port) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_connection_that_breaks_in_a_session_is_unknown(sshd: Any, port: int, new_sshd: Any) -> None:
    server = new_sshd()
    host = server.connect()

    def cut_off() -> None:
        with session(host, port) as connection:
            for pid in server.sessions():
                os.kill(pid, signal.SIGKILL)
            connection.execute("SELECT pg_sleep(20)")

    with pytest.raises(ConnectionLost, match="broke during a session"):
        cut_off()
    host.close()


def test_a_host_that_forbids_forwarding_says_so(port: int, new_sshd: Any) -> None:
    host = new_sshd(options="AllowTcpForwarding no").connect()
    with pytest.raises(StepFailed, match="forbids forwarding"):
        with session(host, port):
            pytest.fail("the block must not run")
    host.close()


def database(host: Host, port: int, **changes: Any) -> Any:
    values = {"address": "127.0.0.1", "port": port, "user": "owner", "password": Secret(PASSWORD), "name": "postgres"}
    return open_database(host, DatabaseAddress(**{**values, **changes}), application="rollback test")


def test_a_refused_statement_answers_nothing_and_the_others_go_on_in_their_transaction(host: Host, port: int) -> None:
    with database(host, port) as connected:
        done = connected.ask(
            [
                Statement("begin"),
                Statement("create table kept (a int)"),
                Statement("select 1/0"),
                Statement("insert into kept values (1), (2)"),
                Statement("select 'select ' || a, null, 'select 1/(a-' || a || ') from kept' from kept", True),
                Statement("select a, null, 'ß' from kept order by a"),
                Statement("rollback"),
                Statement("select to_regclass('kept') is null"),
                Statement("nonsense"),
            ]
        )
    assert done.text.splitlines() == ["1", "2", "1||ß", "2||ß", "t"]
    assert done.error_text.splitlines() == [
        "ERROR:  division by zero",
        "ERROR:  division by zero",
        "ERROR:  division by zero",
        'ERROR:  syntax error at or near "nonsense"',
    ]


def test_hundreds_of_generated_statements_answer_in_order(host: Host, port: int) -> None:
    some = Statement("select 'select ' || n from generate_series(1, 250) n", True)
    with database(host, port) as connected:
        done = connected.ask([Statement("begin"), some, Statement("commit")])
    assert done.text.split() == [str(number) for number in range(1, 251)]


def test_a_read_only_host_gives_statements_that_change_nothing(host: Host, port: int) -> None:
    with database(ReadOnlyHost(host), port) as connected:
        done = connected.ask([Statement("create table kept (a int)")])
    assert done.error_text == "ERROR:  cannot execute CREATE TABLE in a read-only transaction\n"


def test_a_session_that_the_server_ends_is_an_error_of_ours(host: Host, port: int) -> None:
    def ended() -> None:
        with database(host, port) as connected:
            connected.ask([Statement("begin"), Statement("select pg_terminate_backend(pg_backend_pid())")])

    with pytest.raises(StepFailed, match="terminat"):
        ended()
