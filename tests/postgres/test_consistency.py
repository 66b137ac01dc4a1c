"""Every kind of damage is planted in a real database, and found by the very statements that a host runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback_tasks.drivers import consistency
from rollback_tasks.drivers.consistency import Consistency, Problem
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.drivers.statements import as_script
from rollback_tasks.shell import Effect
from tests.postgres.conftest import Server, Site, make_site

WELL = """
create extension citext;
create table users (id serial primary key, email citext unique, "Nick ""N"" %I" text);
insert into users (email) values ('Ann@x'), ('bob@x'), (null), (null);
create table parents (a int, b text, primary key (a, b));
insert into parents values (1, 'x'), (2, 'y''z');
create table simple (id int primary key, a int, b text, constraint to_parent foreign key (a, b) references parents);
insert into simple values (1, 1, 'x'), (2, null, 'nowhere'), (3, null, null);
create table whole (id int primary key, a int, b text,
  constraint to_parent foreign key (a, b) references parents match full);
insert into whole values (1, 2, 'y''z'), (2, null, null);
create table mails (id int generated always as identity primary key, email citext
  constraint to_user references users (email));
insert into mails (email) values ('ANN@X'), (null);
create table parts (id bigint, user_id int constraint to_user references users, primary key (id))
  partition by range (id);
create table part_1 partition of parts for values from (0) to (10);
create table part_2 partition of parts for values from (10) to (20);
insert into parts values (1, 1), (11, null);
create table refs (id int primary key, part bigint constraint to_part references parts);
insert into refs values (1, 11);
create table refs_too (id int primary key, part bigint constraint to_part references parts);
insert into refs_too values (1, 11);
create schema billing;
create table billing."Odd ""table""; б" (id int primary key, "user" int constraint "fk %s ' "" \\" references users,
  constraint positive check (id > 0));
insert into billing."Odd ""table""; б" values (1, 2);
create table single (holds bool);
create unique index one_row on single ((true));
insert into single values (true);
create unique index by_half on users (lower(email::text), id) where id > 1;
create type pair as (l int, r int);
create table pairs (p pair unique);
insert into pairs values ((1, null)), ((2, null));
create sequence down increment -1 minvalue -100 maxvalue -1;
create table minus (id int primary key default nextval('down'));
insert into minus default values;
create function quiet() returns trigger language plpgsql as 'begin return new; end';
create trigger audit before insert on users for each row execute function quiet();
create materialized view kept as select id from users; create unique index on kept (id);
create view seen as select 1;
"""

# Rows that no constraint looks at: as a restore, a replica or a superuser lays them.
BEHIND = "set session_replication_role = replica;\n"


def look(site: Site) -> Consistency:
    done = site.run(consistency.check(site.project))
    assert done.exit_code == 0, done.error_text
    return consistency.read(done.text, done.error_text)


def look_at_all(site: Site) -> Consistency:
    done = site.run(sql(site.project, as_script(consistency.WHOLE), effect=Effect.READ))
    return consistency.read(done.text, done.error_text)


@pytest.fixture(scope="module")
def well(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A database that is well, for all tests of this file that change nothing for good."""
    made = make_site(server, tmp_path_factory.mktemp("well"), "well")
    made.lay(WELL)
    return made


@pytest.fixture
def copy(server: Server, tmp_path: Path, well: Site) -> Site:
    """One of this test's own."""
    server.psql("postgres", 'drop database if exists "copy"')
    return make_site(server, tmp_path, "copy", template=well.project.database)


def test_a_database_that_is_well_has_no_problem_and_says_how_much_was_looked_at(well: Site) -> None:
    found = look(well)
    assert found == Consistency(
        rows={
            "users": 4,
            "parents": 2,
            "simple": 3,
            "whole": 2,
            "mails": 2,
            "parts": 2,
            "refs": 1,
            "refs_too": 1,
            "single": 1,
            "pairs": 2,
            "minus": 1,
            'billing.Odd "table"; б': 1,
        },
        checked={
            "rows": 12,
            "foreign-key": 7,
            "check": 1,
            "unique": 16,
            "sequence": 3,
            "index": 17,
            "constraint": found.checked["constraint"],
            "trigger": found.checked["trigger"],
        },
    )
    everything = look_at_all(well)
    assert (everything.problems, everything.amcheck) == ((), "available")
    assert everything.notes == ("data checksums are off: a page that the disk damaged is not noticed",)


PLANTED: dict[str, tuple[str, list[Problem]]] = {
    "one column": (
        BEHIND + """insert into billing."Odd ""table""; б" values (2, 77), (3, 78)""",
        [
            Problem(
                check="foreign-key",
                name="""billing.Odd "table"; б.fk %s ' " \\""",
                count=2,
                says="2 rows point at nothing in public.users, e.g. 77",
            )
        ],
    ),
    "two columns": (
        BEHIND + "insert into simple values (9, 1, 'q''')",
        [
            Problem(
                check="foreign-key",
                name="simple.to_parent",
                count=1,
                says="1 row points at nothing in public.parents, e.g. 1, q'",
            )
        ],
    ),
    "MATCH FULL, one null": (
        BEHIND + "insert into whole values (9, 1, null)",
        [
            Problem(
                check="foreign-key",
                name="whole.to_parent",
                count=1,
                says="1 row points at nothing in public.parents, e.g. 1",
            )
        ],
    ),
    "citext": (
        BEHIND + "update mails set email = 'zoe@X' where email is not null",
        [
            Problem(
                check="foreign-key",
                name="mails.to_user",
                count=1,
                says="1 row points at nothing in public.users, e.g. zoe@X",
            )
        ],
    ),
    "in a partition": (
        BEHIND + "insert into part_2 values (12, 99)",
        [
            Problem(
                check="foreign-key",
                name="parts.to_user",
                count=1,
                says="1 row points at nothing in public.users, e.g. 99",
            )
        ],
    ),
    "to a partitioned table": (
        BEHIND + "delete from refs where id = 1; insert into refs_too values (2, 19)",
        [
            Problem(
                check="foreign-key",
                name="refs_too.to_part",
                count=1,
                says="1 row points at nothing in public.parts, e.g. 19",
            )
        ],
    ),
    "NOT VALID": (
        BEHIND + "insert into refs values (5, 4); reset session_replication_role;"
        "alter table refs drop constraint to_part,"
        " add constraint to_part foreign key (part) references parts not valid",
        [
            Problem(
                check="foreign-key",
                name="refs.to_part",
                count=1,
                says="1 row points at nothing in public.parts, e.g. 4 (the constraint is NOT VALID)",
            )
        ],
    ),
    "a check": (
        """alter table billing."Odd ""table""; б" drop constraint positive;
        insert into billing."Odd ""table""; б" values (-1, 1);
        alter table billing."Odd ""table""; б" add constraint positive check (id > 0) not valid""",
        [
            Problem(
                check="check",
                name='billing.Odd "table"; б.positive',
                count=1,
                says="1 row breaks it (the constraint is NOT VALID)",
            )
        ],
    ),
    "a serial behind": (
        "select setval('users_id_seq', 4, false)",
        [
            Problem(
                check="sequence",
                name="users_id_seq",
                count=1,
                says="will hand out numbers that users.id has: at 4, used up to 4",
            )
        ],
    ),
    "an identity behind": (
        "insert into mails overriding system value values (50, null)",
        [
            Problem(
                check="sequence",
                name="mails_id_seq",
                count=1,
                says="will hand out numbers that mails.id has: at 2, used up to 50",
            )
        ],
    ),
    "a sequence that counts down": (
        "insert into minus values (-2)",
        [
            Problem(
                check="sequence",
                name="down",
                count=1,
                says="will hand out numbers that minus.id has: at -1, used up to -2",
            )
        ],
    ),
    "an invalid index": (
        "update pg_index set indisvalid = false where indexrelid = 'by_half'::regclass",
        [Problem(check="index", name="by_half", count=1, says="is invalid: no query uses it, on public.users")],
    ),
    "a trigger": (
        "alter table users disable trigger audit",
        [Problem(check="trigger", name="users.audit", count=1, says="is disabled")],
    ),
    "triggers of foreign keys": (
        "alter table refs disable trigger all",
        [
            Problem(
                check="trigger", name="refs", count=1, says="enforces no foreign key: 2 of its triggers are disabled"
            )
        ],
    ),
}


def test_everything_that_is_planted_is_found_and_nothing_else(copy: Site) -> None:
    for plant, _ in PLANTED.values():
        copy.lay(plant)
    found = look(copy)
    expected = [problem for _, problems in PLANTED.values() for problem in problems]
    assert sorted(found.problems, key=repr) == sorted(expected, key=repr)
    assert (found.checked["foreign-key"], found.checked["sequence"]) == (7, 3)


def test_a_constraint_that_was_never_validated_is_told_apart(copy: Site) -> None:
    copy.lay(
        "alter table refs drop constraint to_part, add constraint to_part foreign key (part) references parts not valid"
    )
    found = look(copy)
    assert found.problems == ()
    assert found.notes == ("refs.to_part is not validated: rows from before it was added were never looked at",)


def test_duplicates_under_corrupt_unique_indexes_are_found(copy: Site) -> None:
    tables = "('users'::regclass, 'single'::regclass, 'pairs'::regclass, 'parents'::regclass)"
    # An index that is not live is not maintained, which is what a corrupt one amounts to.
    copy.lay(f"update pg_index set indislive = false where indrelid in {tables}")
    copy.lay(
        f"""{BEHIND} insert into users (email) values ('ANN@x'), (null);
        insert into users (id, email) values (2, 'BOB@x');
        insert into single values (false), (null); insert into pairs values ((1, null)), (null), (null);
        insert into parents values (1, 'x'), (2, 'y''z'), (3, 'n')"""
    )
    copy.lay(f"update pg_index set indislive = true where indrelid in {tables}")
    assert {problem.name: problem.says for problem in look(copy).problems if problem.check == "unique"} == {
        "by_half": "1 key stands more than once in public.users: the index is corrupt",
        "one_row": "1 key stands more than once in public.single: the index is corrupt",
        "pairs_p_key": "1 key stands more than once in public.pairs: the index is corrupt",
        "parents_pkey": "2 keys stand more than once in public.parents: the index is corrupt",
        "users_email_key": "2 keys stand more than once in public.users: the index is corrupt",
        "users_pkey": "1 key stands more than once in public.users: the index is corrupt",
    }


def test_amcheck_finds_a_damaged_index_and_nothing_of_it_stays(copy: Site) -> None:
    copy.lay("insert into users (email) select g || '@y' from generate_series(1, 500) g; vacuum users;")

    def inside() -> Consistency:
        command = sql(copy.project, as_script(consistency.structure(is_installed=False)), effect=Effect.WRITE)
        done = copy.run(command)
        return consistency.read(done.text, done.error_text)

    well = inside()
    assert well.problems == ()
    assert well.checked["index-structure"] > 100
    copy.lay("update pg_index set indislive = false where indexrelid = 'users_email_key'::regclass")
    copy.lay("insert into users (email) values ('lost@z')")
    copy.lay("update pg_index set indislive = true where indexrelid = 'users_email_key'::regclass")
    (problem,) = inside().problems
    assert (problem.check, problem.name) == ("index-structure", "users_email_key")
    assert "lacks matching index tuple" in problem.says
    assert copy.ask("select count(*) from pg_extension where extname = 'amcheck'") == 0
    assert copy.ask("select count(*) from pg_namespace where nspname = 'rollback_amcheck'") == 0


def test_a_collation_that_has_another_version_now_is_found(copy: Site) -> None:
    copy.lay(
        f"update pg_database set datcollversion = '1.0' where datname = '{copy.project.database}'", database="postgres"
    )
    assert [(p.check, p.name) for p in look_at_all(copy).problems] == [("collation", "database")]


def test_a_check_that_cannot_be_run_is_a_problem_with_its_reason_and_the_others_go_on(copy: Site) -> None:
    odd = (
        "create or replace function odd(int) returns bool language plpgsql immutable"
        " as 'begin return 1/($1 - {}) > -9; end';"
    )
    copy.lay(
        f"{odd.format(2)} alter table refs add constraint odd check (odd(id)); {odd.format(1)} {BEHIND}"
        "insert into refs values (3, 404)"
    )
    found = look(copy)
    assert [(p.check, p.name, p.says) for p in found.problems] == [
        ("foreign-key", "refs.to_part", "1 row points at nothing in public.parts, e.g. 404"),
        ("check", "refs.odd", "could not be checked: division by zero"),
    ]
    assert found.checked["sequence"] == 3
