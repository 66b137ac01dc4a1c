"""One table from a restored database: merged, replaced, refused, and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.drivers import backup, beside, databases, table_rows
from rollback_tasks.errors import CommandFailed
from tests.builders import RUN, commit
from tests.postgres.conftest import Site

# Foreign keys both ways and to itself, an identity, a generated column, a type of its own, JSON (which has no
# equality), a second unique key.
TABLES = """
create table alembic_version (version_num text); insert into alembic_version values ('s3');
create type mood as enum ('good', 'bad');
create table groups (id int primary key);
create table users (
  id int generated always as identity primary key, email text not null unique, name text, mood mood, facts json,
  shout text generated always as (upper(name)) stored, group_id int references groups,
  boss int references users, login serial);
create table posts (id serial primary key, author int not null references users on delete cascade, title text);
insert into groups select generate_series(1, 3);
insert into users (email, name, mood, facts, group_id, boss)
  select 'u' || g, 'name ' || g, 'good', json_build_object('n', g), 1 + g % 3, nullif(g / 2, 0)
  from generate_series(1, 20) g;
insert into posts (author, title) select 1 + g % 20, 'post ' || g from generate_series(1, 60) g;
"""
ALL = "(select json_agg(t order by id) from {} t)"


def rows(site: Site, table: str = "users") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.ask(ALL.format(table))
    return found


def ready(site: Site) -> str:
    """Lay the tables, back them up, restore them beside; return the backup's place."""
    site.lay(TABLES)
    Path(site.project.run_folder(RUN)).mkdir(parents=True)
    site.run(backup.dump(site.project, name="good", run_id=RUN, commit=commit(3), timeout=60))
    place = f"{site.project.backup_folder}/good"
    site.run(beside.restore(site.project, source=place, run_id=RUN, timeout=60))
    return place


def put_back(
    site: Site, place: str, table: str = "users", *, replaces: bool = False, deletes: bool = False, quiet: bool = False
) -> str:
    site.run(table_rows.stage(site.project, table=table, source=place, run_id=RUN, timeout=60))
    done = site.run(
        table_rows.merge(
            site.project,
            table=table,
            run_id=RUN,
            replaces=replaces,
            deletes=deletes,
            is_quiet=quiet,
            timeout=60,
        )
    )
    site.run(table_rows.is_merged(site.project, RUN))
    assert (Path(site.project.run_folder(RUN)) / "told").read_text() == done.text
    return done.text.strip()


def take_back(site: Site) -> None:
    for _ in range(2):
        site.run(table_rows.undo(site.project, RUN))
    assert site.ask(f"(select to_regnamespace('\"{table_rows.schema_name(RUN)}\"') is null)") is True


def test_merge_brings_missing_rows_back_and_touches_no_other(any_site: Site) -> None:
    place = ready(any_site)
    good = rows(any_site)
    any_site.lay("delete from posts where author > 15; delete from users where id > 15; update users set boss = null")
    any_site.lay("update users set name = 'corrupt', facts = '{}' where id <= 4")
    any_site.lay("insert into users (email, name) values ('new', 'new')")
    wrecked = rows(any_site)
    said = put_back(any_site, place)
    assert said == (
        "table users: 5 rows inserted, 0 changed, 0 deleted; 15 still differ from the backup, "
        "0 could not come back because another row has their place, 1 are not in the backup"
    )
    now = rows(any_site)
    assert now == [*wrecked[:15], *good[15:], wrecked[15]]
    take_back(any_site)
    assert rows(any_site) == wrecked


def test_replace_gives_rows_the_values_of_the_backup_and_keeps_newer_rows(any_site: Site) -> None:
    place = ready(any_site)
    good = rows(any_site)
    any_site.lay("delete from posts where author > 15; delete from users where id > 15")
    any_site.lay("update users set name = 'corrupt', facts = '{}', mood = 'bad' where id <= 4")
    any_site.lay("insert into users (email, name) values ('new', 'new')")
    wrecked = rows(any_site)
    said = put_back(any_site, place, replaces=True)
    assert said.startswith("table users: 5 rows inserted, 4 changed, 0 deleted; 0 still differ")
    assert rows(any_site) == [*good, wrecked[-1]]
    # Sequences go on behind what came back.
    any_site.lay("insert into users (email) values ('next')")
    assert rows(any_site)[-1]["id"] == 22
    any_site.lay("delete from users where email = 'next'")
    take_back(any_site)
    assert rows(any_site) == wrecked


def test_what_the_backup_does_not_have_is_deleted_only_where_nothing_refers_to_it(site: Site) -> None:
    place = ready(site)
    good = rows(site)
    site.lay("insert into users (email, name) values ('new', 'a'), ('newer', 'b')")
    site.lay("insert into posts (author, title) select id, 'by new' from users where email = 'new'")
    wrecked, posts = rows(site), rows(site, "posts")
    with pytest.raises(CommandFailed) as caught:
        put_back(site, place, replaces=True, deletes=True)
    assert "others refer to; 1 rows of posts (posts_author_fkey)" in caught.value.stderr
    assert (rows(site), rows(site, "posts")) == (wrecked, posts)
    take_back(site)
    assert (rows(site), rows(site, "posts")) == (wrecked, posts)
    site.lay("delete from posts where title = 'by new'")
    said = put_back(site, place, replaces=True, deletes=True)
    assert "0 rows inserted, 0 changed, 2 deleted" in said
    assert rows(site) == good
    take_back(site)
    assert rows(site) == wrecked


def test_a_row_whose_place_another_has_taken_is_told_and_left(site: Site) -> None:
    place = ready(site)
    site.lay("delete from posts where author = 20; delete from users where id = 20")
    site.lay("insert into users (email, name) values ('u20', 'another')")
    assert "0 rows inserted, 0 changed, 0 deleted; 0 still differ" in put_back(site, place)
    assert rows(site)[-1]["name"] == "another"


def test_columns_that_came_later_keep_what_they_hold_and_get_their_default(site: Site) -> None:
    place = ready(site)
    site.lay("alter table users add column later text not null default 'later', drop column mood")
    site.lay("update users set later = 'mine' where id = 1; update users set name = 'corrupt' where id = 1")
    site.lay("delete from posts where author = 20; delete from users where id = 20")
    assert "1 rows inserted, 1 changed" in put_back(site, place, replaces=True)
    now = rows(site)
    assert (now[0]["later"], now[0]["name"], now[19]["later"]) == ("mine", "name 1", "later")
    take_back(site)
    assert (rows(site)[0]["name"], len(rows(site))) == ("corrupt", 19)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("alter table users alter column email type varchar(5)", "column email is character varying(5) now"),
        (("alter table users add column later text; update users set later = ''; "
         "alter table users alter column later set not null"), "column later came later, may not be empty"),
        ("alter table users drop constraint users_pkey cascade; alter table users drop constraint users_email_key",
         "has no key by which its rows are known"),
        ("drop table users cascade", "the live database has no table users"),
    ],
)  # fmt: skip
def test_a_table_that_changed_too_much_is_refused_before_it_is_touched(site: Site, change: str, said: str) -> None:
    place = ready(site)
    site.lay(change)
    with pytest.raises(CommandFailed) as caught:
        put_back(site, place)
    assert said in caught.value.stderr
    take_back(site)


def test_a_restore_that_would_break_a_foreign_key_changes_nothing(site: Site) -> None:
    """The group that the rows belong to is gone."""
    place = ready(site)
    site.lay("update users set group_id = null; delete from groups where id = 2; delete from posts where author = 20")
    site.lay("delete from users where id in (19, 20)")
    wrecked = rows(site)
    with pytest.raises(CommandFailed) as caught:
        put_back(site, place)
    assert "users_group_id_fkey" in caught.value.stderr
    assert rows(site) == wrecked
    take_back(site)


def test_orphans_of_before_do_not_forbid_what_repairs_them(site: Site) -> None:
    place = ready(site)
    site.lay("set session_replication_role = replica; delete from users where id in (3, 4, 5)")
    site.lay("set session_replication_role = replica; update posts set author = 99 where id = 1")
    assert put_back(site, place).startswith("table users: 3 rows inserted")
    assert len(rows(site)) == 20


def test_triggers_fire_or_are_silent_and_are_as_they_were(site: Site) -> None:
    place = ready(site)
    site.lay("""
      create function touch() returns trigger language plpgsql as $$ begin new.name := 'touched'; return new; end $$;
      create trigger on_write before insert or update on users for each row execute function touch();
      create trigger sleeping before insert on users for each row execute function touch();
      create trigger always before insert on users for each row execute function touch();
      alter table users disable trigger sleeping; alter table users enable always trigger always;
      delete from posts where author = 20; delete from users where id = 20;
    """)
    state = "(select json_object_agg(tgname, tgenabled order by tgname) from pg_trigger where not tgisinternal)"
    before = site.ask(state)
    put_back(site, place, quiet=True)
    assert (rows(site)[-1]["name"], site.ask(state)) == ("name 20", before)
    take_back(site)
    assert (len(rows(site)), site.ask(state)) == (19, before)
    assert "1 rows inserted, 0 changed, 0 deleted; 1 still differ" in put_back(site, place)
    assert rows(site)[-1]["name"] == "touched"


def test_an_undo_that_would_take_newer_rows_along_changes_nothing(site: Site) -> None:
    place = ready(site)
    site.lay("delete from posts where author = 20; delete from users where id = 20")
    put_back(site, place)
    site.lay("insert into posts (author, title) values (20, 'since')")
    with pytest.raises(CommandFailed) as caught:
        site.run(table_rows.undo(site.project, RUN))
    assert "nothing was changed" in caught.value.stderr
    assert len(rows(site)) == 20
    site.lay("delete from posts where title = 'since'")
    take_back(site)
    assert len(rows(site)) == 19


def test_undoing_a_finished_run_keeps_what_was_changed_since(site: Site) -> None:
    place = ready(site)
    site.lay("delete from users where id > 18; update users set name = 'corrupt' where id = 1")
    wrecked = rows(site)
    put_back(site, place, replaces=True)
    site.lay("update users set name = 'since' where id in (1, 20); insert into users (email) values ('new')")
    new = rows(site)
    (Path(site.project.run_folder(RUN)) / "decided-undo").touch()
    for _ in range(2):
        site.run(table_rows.undo(site.project, RUN))
        assert [row for row in rows(site) if row["email"] != "new"] == wrecked
        kept = rows(site, f'"{table_rows.schema_name(RUN)}".changed_since')
        assert kept == [row for row in new if row["id"] in (1, 19, 20)]
    place = f"'\"{table_rows.schema_name(RUN)}\"'::regnamespace"
    tables = f"(select json_agg(relname) from pg_class where relnamespace = {place})"
    assert site.ask(tables) == ["changed_since"]


def test_undoing_a_finished_run_whose_rows_are_gone_fails(site: Site) -> None:
    site.lay(TABLES)
    folder = Path(site.project.run_folder(RUN))
    folder.mkdir(parents=True)
    site.run(table_rows.undo(site.project, RUN))
    (folder / "decided-undo").touch()
    with pytest.raises(CommandFailed) as caught:
        site.run(table_rows.undo(site.project, RUN))
    assert "no longer kept" in caught.value.stderr


def test_rows_that_do_not_all_arrive_are_noticed(site: Site) -> None:
    place = ready(site)
    there = databases.restored_name(site.project.database, RUN)
    site.lay("delete from posts; delete from users where id > 10", database=there)
    with pytest.raises(CommandFailed) as caught:
        put_back(site, place)
    assert "10 rows arrived, the manifest says 20" in caught.value.stderr


@pytest.mark.parametrize("table", ['Odd "t"; б', "billing.invoices", "parts"])
def test_any_table_by_the_name_that_counts_give_it(site: Site, table: str) -> None:
    site.lay(
        '''
        create table "Odd ""t""; б" (id int primary key, "a ""c""" text);
        insert into "Odd ""t""; б" values (1, E'tab\\t and \\\\N and \\n'), (2, null);
        create schema billing; create table billing.invoices (id bigint primary key, more int[], at timestamptz);
        insert into billing.invoices values (1, '{1,2}', now()), (2, null, 'infinity');
        create table parts (id int, n int, primary key (id, n)) partition by range (id);
        create table part_1 partition of parts for values from (0) to (10); insert into parts values (1, 1), (2, 2);
        '''
    )
    place = ready(site)
    quoted = {"parts": "parts", "billing.invoices": "billing.invoices"}.get(table, '"Odd ""t""; б"')
    good = rows(site, quoted)
    site.lay(f"delete from {quoted} where id = 2")
    wrecked = rows(site, quoted)
    put_back(site, place, table)
    assert rows(site, quoted) == good
    take_back(site)
    assert rows(site, quoted) == wrecked
