"""What the database says of itself, by the very scripts that a host runs."""

from __future__ import annotations

import subprocess

import pytest

from rollback_tasks.drivers import postgres
from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.facts import DatabaseFacts
from tests.postgres.conftest import Site

TABLES = """
create table users (id int primary key, "Nick Name" text, "quo""te" text);
insert into users values (1, 'a', null), (2, null, null), (3, 'c', 'x');
create table "Odd ""table""; б" ("select" int);
insert into "Odd ""table""; б" values (1), (null);
create table empty ();
create schema "other.x"; create table "other.x".t (a int); insert into "other.x".t values (1);
create schema billing; create table billing.invoices (id int, paid int); insert into billing.invoices values (1, null);
create table parts (id int) partition by range (id);
create table part_1 partition of parts for values from (0) to (10);
create table part_2 partition of parts for values from (10) to (20);
insert into parts values (1), (11), (12);
create view seen as select 1; create materialized view kept as select 1; create sequence s;
"""


def facts(site: Site) -> DatabaseFacts:
    answer = site.run(postgres.facts(site.project))
    assert answer.exit_code == 0, answer.error_text
    return postgres.read_facts(answer.text, site.run(postgres.free_space(site.project)).text, "db1")


def test_a_database_describes_itself(any_site: Site) -> None:
    found = facts(any_site)
    assert found == DatabaseFacts(
        container="db1",
        version=any_site.ask("current_setting('server_version_num')::int"),
        system_identifier=str(any_site.ask("(select system_identifier from pg_control_system())")),
        size_bytes=found.size_bytes,
        schema=(),
        free_bytes=found.free_bytes,
        disk=found.disk,
        databases=tuple(sorted(any_site.ask("select json_agg(datname) from pg_database"))),
    )
    assert found.size_bytes > 1_000_000
    assert found.free_bytes > 1_000_000
    assert found.disk.isdigit()


@pytest.mark.parametrize("heads", [(), ("a1",), ("b2", "a1"), ("it's", 'quo"te')])
def test_the_schema_is_every_row_of_alembic_version(site: Site, heads: tuple[str, ...]) -> None:
    site.lay("create table alembic_version (version_num varchar(32) primary key)")
    for head in heads:
        site.lay(f"insert into alembic_version values ({chr(36)}x{chr(36)}{head}{chr(36)}x{chr(36)})")
    assert facts(site).schema == tuple(sorted(heads))
    site.run(postgres.has_schema(site.project, heads))
    for wrong in ((*heads, "z"), heads[1:] if heads else ("z",)):
        with pytest.raises(CommandFailed) as caught:
            site.run(postgres.has_schema(site.project, wrong))
        assert "alembic_version is" in caught.value.stderr


def test_a_database_without_alembic_has_no_schema(any_site: Site) -> None:
    any_site.run(postgres.has_schema(any_site.project, ()))
    with pytest.raises(CommandFailed):
        any_site.run(postgres.has_schema(any_site.project, ("a1",)))


def test_sessions_and_prepared_transactions_are_told(site: Site) -> None:
    site.lay("create table t (); begin; insert into t default values; prepare transaction 'left ''over'")
    words = [
        str(site.server.programs / "psql"),
        "-h",
        str(site.server.socket),
        "-U",
        "owner",
        "-d",
        site.project.database,
    ]
    with subprocess.Popen([*words, "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("set application_name = 'Ann''s';\nselect pg_backend_pid();\n")
        other.stdin.flush()
        pid = int(other.stdout.readline())
        found = facts(site)
        assert [(s.pid, s.user, s.application, s.address, s.state) for s in found.sessions] == [
            (pid, "owner", "Ann's", "", "idle")
        ]
        other.stdin.close()
    assert found.prepared == ("left 'over",)
    site.lay("rollback prepared 'left ''over'")


def test_exact_rows_of_every_table_are_counted_and_partitions_with_their_parent(any_site: Site) -> None:
    assert postgres.read_counts(any_site.run(postgres.counts(any_site.project)).text) == {}
    any_site.lay(TABLES)
    assert postgres.read_counts(any_site.run(postgres.counts(any_site.project)).text) == {
        "users": 3,
        'Odd "table"; б': 2,
        "empty": 0,
        "other.x.t": 1,
        "billing.invoices": 1,
        "parts": 3,
    }


def test_rows_and_values_of_what_exists_are_counted_and_the_rest_is_none(site: Site) -> None:
    site.lay(TABLES)
    wanted = {
        ("users", ""): 3,
        ("users", "Nick Name"): 2,
        ("users", 'quo"te'): 1,
        ("users", "gone"): 0,
        ('Odd "table"; б', "select"): 1,
        ("billing.invoices", ""): 1,
        ("billing.invoices", "paid"): 0,
        ("gone", ""): 0,
        ("gone", "x"): 0,
        ("parts", "id"): 3,
    }
    pairs = tuple(wanted)
    assert postgres.read_values(site.run(postgres.count_values(site.project, pairs)).text, pairs) == wanted


def test_a_database_that_is_not_there_is_said_in_one_line(site: Site) -> None:
    site.docker.change(containers=[])
    done = site.run(postgres.facts(site.project))
    assert (done.exit_code, done.error_text) == (9, "the database container does not run\n")
