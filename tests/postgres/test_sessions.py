"""Who waits for whom, told by a real server, and ending exactly the session that was seen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from rollback_tasks.drivers import sessions
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.drivers.sessions import Connections, Root
from rollback_tasks.drivers.statements import as_script
from rollback_tasks.planning.connection_trouble import troubles
from rollback_tasks.ports import Statement
from rollback_tasks.shell import Effect
from tests.postgres.conftest import Site, until

Client = subprocess.Popen[str]


def ask(site: Site, *statements: Statement) -> str:
    done = site.run(sql(site.project, as_script(statements), effect=Effect.WRITE, application="rollback-asks"))
    assert not done.error_text.strip(), done.error_text
    return done.text


def look(site: Site) -> Connections:
    return sessions.read(ask(site, *sessions.DIAGNOSIS))


@pytest.fixture
def client(site: Site) -> Iterator[Callable[..., Client]]:
    """Start clients that run a script and then wait with the session open."""
    with ExitStack() as stack:

        def start(text: str, name: str) -> Client:
            words = [str(site.server.programs / "psql"), "-XqAt", "-h", str(site.server.socket), "-U", "owner"]
            process = subprocess.Popen(
                [*words, "-d", site.project.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdin is not None
            process.stdin.write(f"set application_name = '{name}';\n{text}\n")
            process.stdin.flush()
            return process

        yield start


@pytest.fixture
def blocked(site: Site, client: Callable[..., Client]) -> tuple[Site, Root]:
    """One session idle in a transaction, one that waits for it, and one that waits for the second."""
    site.lay("create table t (a int); insert into t values (1)")
    client("begin; select a from t;", "Ann''s")
    until(lambda: look(site).slots.idle_in_transaction == 1)
    client("alter table t add column b int;", "migration")
    until(lambda: look(site).slots.waiting == 1)
    client("select a from t;", "reader")
    until(lambda: look(site).slots.waiting == 2)
    (root,) = look(site).roots
    return site, root


def test_the_root_of_a_chain_is_named_and_not_those_in_between(blocked: tuple[Site, Root]) -> None:
    site, root = blocked
    assert root == Root(
        pid=root.pid,
        started=root.started,
        waiting=2,
        kind="client backend",
        user="owner",
        application="Ann's",
        address="",
        database=site.project.database,
        state="idle in transaction",
        seconds=root.seconds,
        query="select a from t;",
    )
    assert root.is_endable
    told = troubles(look(site), "prod1")
    assert told[0].startswith(f"2 sessions wait for pid {root.pid} (owner, Ann's), idle in transaction since ")
    assert told[1:] == (
        "to end those that all others wait for: `inv db.connections --host prod1 --terminate`",
        "no timeout ends such sessions: set idle_in_transaction_session_timeout",
    )


def test_a_session_of_another_beginning_is_left_alone_and_the_one_that_was_seen_is_ended(
    blocked: tuple[Site, Root],
) -> None:
    site, root = blocked
    assert ask(site, sessions.terminate(replace(root, started=root.started + 1))) == ""
    assert ask(site, sessions.cancel(root)) == ""  # nothing runs in it
    assert [one.pid for one in look(site).roots] == [root.pid]
    assert ask(site, sessions.terminate(root)) == "true\n"
    until(lambda: look(site).slots.waiting == 0)
    found = look(site)
    assert (found.roots, troubles(found, "prod1")) == ((), ())
    assert site.ask("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'b'") == 1


def test_a_session_that_is_in_nobody_s_way_is_not_ended(site: Site, client: Callable[..., Client]) -> None:
    site.lay("create table t (a int)")
    client("begin; select a from t;", "harmless")
    until(lambda: look(site).slots.idle_in_transaction == 1)
    pid = site.ask("select pid from pg_stat_activity where application_name = 'harmless'")
    when = site.ask(
        f"select (extract(epoch from backend_start) * 1000000)::bigint from pg_stat_activity where pid = {pid}"
    )
    root = replace(ROOT, pid=pid, started=when)
    assert ask(site, sessions.terminate(root), sessions.cancel(root)) == ""
    assert look(site).slots.idle_in_transaction == 1


ROOT = Root(
    pid=1,
    started=1,
    waiting=1,
    kind="client backend",
    user="",
    application="",
    address="",
    database="",
    state="",
    seconds=0,
    query="",
)


def test_a_root_that_runs_a_statement_is_cancelled_and_not_ended(site: Site, client: Callable[..., Client]) -> None:
    site.lay("create table t (a int)")
    client("begin; lock table t; select pg_sleep(100);", "busy")
    until(lambda: look(site).slots.active >= 2)
    client("select a from t;", "reader")
    until(lambda: look(site).slots.waiting == 1)
    (root,) = look(site).roots
    assert ask(site, sessions.terminate(root)) == ""
    assert ask(site, sessions.cancel(root)) == "true\n"
    until(lambda: look(site).roots == ())
    assert site.ask("select count(*) from pg_stat_activity where application_name = 'busy'") == 1


def test_a_prepared_transaction_that_others_wait_for_stands_as_no_session(
    site: Site, client: Callable[..., Client]
) -> None:
    site.lay("create table t (a int); begin; lock table t; prepare transaction 'left'")
    client("select a from t;", "reader")
    until(lambda: look(site).slots.waiting == 1)
    found = look(site)
    site.lay("rollback prepared 'left'")
    assert [(root.pid, root.waiting, root.is_endable) for root in found.roots] == [(0, 1, False)]
    assert [row["name"] for row in found.prepared] == ["left"]
    assert (
        troubles(found, "prod1")[1]
        == "a prepared transaction holds locks: end it with COMMIT PREPARED or ROLLBACK PREPARED"
    )


def test_the_processes_of_a_server_that_takes_nobody_in_tell_whom_it_serves() -> None:
    text = """\
postgres -D /data
postgres: checkpointer
postgres: comicpile comicpile 10.201.0.3(41234) idle
postgres: comicpile comicpile 10.201.0.3(41236) idle
postgres: 15/main: ann comicpile [local] idle in transaction
sh -c for at in /proc
"""
    assert sessions.read_processes(text) == (
        {"database": "comicpile", "user": "comicpile", "address": "10.201.0.3", "state": "idle", "sessions": 2},
        {"database": "comicpile", "user": "ann", "address": "local", "state": "idle in transaction", "sessions": 1},
    )


def test_sessions_in_the_way_are_ended_whatever_they_do_and_nobody_else(
    site: Site, client: Callable[..., Client]
) -> None:
    site.lay("create table t (a int); create table u (a int)")
    client("begin; lock table t;", "idle one")
    client("begin; lock table u; select pg_sleep(100);", "busy one")
    client("begin; select 1;", "harmless")
    until(lambda: look(site).slots.idle_in_transaction == 2)
    client("select a from t;", "reader of t")
    client("select a from u;", "reader of u")
    until(lambda: look(site).slots.waiting == 2)
    roots = look(site).roots
    assert {root.application for root in roots} == {"idle one", "busy one"}
    others = [(root.pid, root.started + 1) for root in roots]
    site.run(sessions.end(site.project, others, seconds=0))
    assert {root.pid for root in look(site).roots} == {root.pid for root in roots}
    for _ in range(2):
        site.run(sessions.end(site.project, [(root.pid, root.started) for root in roots]))
        found = look(site)
        # The one whose statement was cancelled holds nothing any more, and may go on.
        assert (found.roots, found.slots.waiting, found.slots.idle_in_transaction) == ((), 0, 2)
    left = "select string_agg(application_name, ', ' order by 1) from pg_stat_activity where application_name like '%s'"
    assert site.ask(left % "%one") == "busy one"
