"""The one restore path: restored beside, compared, swapped in by rename, and back."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, beside, databases, scratch, swap, table_rows
from rollback_tasks.errors import CommandFailed
from tests.builders import RUN, commit
from tests.postgres.conftest import Site
from tests.postgres.test_scratch import dressed, properties, quoted

__all__ = ["dressed"]

CONTENT = """
create table alembic_version (version_num text); insert into alembic_version values ('s3');
create table authors (id int generated always as identity primary key, name text not null);
create table books (id serial primary key, author int not null references authors, title text,
  shout text generated always as (upper(title)) stored);
insert into authors (name) select 'author ' || g from generate_series(1, 20) g;
insert into books (author, title) select 1 + g % 20, 'book ' || g from generate_series(1, 200) g;
create table pages (book int references books on delete cascade, number int);
insert into pages select b, p from generate_series(1, 200) b, generate_series(1, 3) p;
create view titles as select title from books;
create publication everything for table books;
"""

WRECKS = {
    "a table is dropped": "drop table pages",
    "rows are deleted": "delete from books where id > 100",
    "values are corrupted": "update authors set name = 'x'",
    "a table more, with a foreign key": "create table notes (id int, author int references authors)",
    "a constraint is dropped": "alter table books drop constraint books_author_fkey",
}

FINGERPRINT = """
select json_build_object(
  'columns', (select json_agg(json_build_array(c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
      a.attidentity, a.attgenerated) order by c.relname, a.attnum)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace),
  'constraints', (select json_agg(pg_get_constraintdef(oid) order by conrelid::regclass::text, conname)
    from pg_constraint where connamespace = 'public'::regnamespace),
  'sequences', (select json_agg(json_build_array(sequencename, last_value) order by sequencename) from pg_sequences),
  'rows', (select json_object_agg(c.relname, (xpath('/row/h/text()', query_to_xml(format(
        'select coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as h from %I t', c.relname),
      false, true, '')))[1]::text order by c.relname)
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'))
"""


def source(site: Site, name: str = "good") -> str:
    return f"{site.project.backup_folder}/{name}"


def dump(site: Site, name: str = "good") -> str:
    site.run(backup.dump(site.project, name=name, run_id=RUN, commit=commit(3), timeout=300))
    return source(site, name)


def run_folder(site: Site) -> Path:
    folder = Path(site.project.run_folder(RUN))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fingerprint(site: Site) -> object:
    return json.loads(site.server.psql(site.project.database, FINGERPRINT))


def restore(site: Site, place: str, *, timeout: float = 60) -> None:
    site.run(beside.restore(site.project, source=place, run_id=RUN, timeout=timeout))
    site.run(beside.verify(site.project, source=place, run_id=RUN))


def test_a_wrecked_database_becomes_what_it_was_and_the_wreck_comes_back_whole(dressed: Site) -> None:
    dressed.lay("drop table t")
    dressed.lay(CONTENT)
    run_folder(dressed)
    before, dress = fingerprint(dressed), properties(dressed)
    place = dump(dressed)
    for wreck in WRECKS.values():
        dressed.lay(wreck)
    wrecked = fingerprint(dressed)
    restore(dressed, place)
    assert fingerprint(dressed) == wrecked  # the live one is not touched
    for _ in range(2):
        dressed.run(swap.is_ready(dressed.project, RUN))
        dressed.run(swap.forward(dressed.project, RUN))
        dressed.run(swap.is_swapped(dressed.project, RUN))
        assert dressed.databases == {"", f"__before_{RUN}"}
        assert (fingerprint(dressed), properties(dressed)) == (before, dress)
        assert properties(dressed, f"__before_{RUN}") == dress
    for _ in range(2):
        dressed.run(swap.back(dressed.project, RUN))
        assert dressed.databases == {"", f"__restored_{RUN}"}
        assert (fingerprint(dressed), properties(dressed)) == (wrecked, dress)
    dressed.run(swap.forward(dressed.project, RUN))
    assert fingerprint(dressed) == before


@pytest.mark.parametrize("marker", ["decided-undo", "served"])
def test_what_the_application_may_have_written_to_is_never_dropped(any_site: Site, marker: str) -> None:
    any_site.lay(CONTENT)
    folder = run_folder(any_site)
    restore(any_site, dump(any_site))
    any_site.run(swap.forward(any_site.project, RUN))
    (folder / marker).touch()
    for _ in range(2):
        any_site.run(swap.back(any_site.project, RUN))
        any_site.run(beside.drop(any_site.project, RUN))
        assert any_site.databases == {"", f"__left_{RUN}"}
    left = databases.left_name(any_site.project.database, RUN)
    assert any_site.ask("(select count(*) from books)", database=left) == 200


def test_undoing_a_finished_run_whose_old_database_is_gone_fails(site: Site) -> None:
    site.lay(CONTENT)
    folder = run_folder(site)
    restore(site, dump(site))
    site.run(swap.forward(site.project, RUN))
    site.lay(f"drop database {quoted(databases.copy_name(site.project.database, RUN))}", database="postgres")
    site.run(swap.back(site.project, RUN))  # a run that never swapped looks like this as well
    (folder / "decided-undo").touch()
    with pytest.raises(CommandFailed) as caught:
        site.run(swap.back(site.project, RUN))
    assert "there is no database" in caught.value.stderr
    assert site.ask("(select count(*) from books)") == 200


def test_a_cut_restore_is_dropped_and_one_begun_anew_ends_well(any_site: Site) -> None:
    any_site.lay(CONTENT)
    place = dump(any_site)
    whole = Path(f"{place}.dump").read_bytes()
    Path(f"{place}.dump").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CommandFailed):
        any_site.run(beside.restore(any_site.project, source=place, run_id=RUN, timeout=60))
    assert any_site.databases == {"", f"__restored_{RUN}"}
    for _ in range(2):
        any_site.run(beside.drop(any_site.project, RUN))
        any_site.run(swap.back(any_site.project, RUN))
        assert any_site.databases == {""}
    Path(f"{place}.dump").write_bytes(whole)
    for _ in range(2):
        restore(any_site, place)
    any_site.run(beside.drop(any_site.project, RUN))
    with pytest.raises(CommandFailed):
        any_site.run(swap.is_ready(any_site.project, RUN))
    with pytest.raises(CommandFailed):
        any_site.run(swap.forward(any_site.project, RUN))
    assert any_site.ask("(select count(*) from books)") == 200
    assert any_site.databases == {""}


def test_what_is_not_what_the_manifest_says_is_told_by_table(site: Site) -> None:
    site.lay(CONTENT)
    place = dump(site)
    restore(site, place)
    there = databases.restored_name(site.project.database, RUN)
    site.lay("delete from books where id <= 3; drop publication everything", database=there)
    with pytest.raises(CommandFailed) as caught:
        site.run(beside.verify(site.project, source=place, run_id=RUN))
    assert "books has 197 rows, not 200" in caught.value.stderr
    restore(site, place)
    site.lay("update alembic_version set version_num = 's2'", database=there)
    with pytest.raises(CommandFailed) as caught:
        site.run(beside.verify(site.project, source=place, run_id=RUN))
    assert 'is at ["s2"] and not at ["s3"]' in caught.value.stderr


@pytest.mark.parametrize("which", ["the first rename", "the second rename"])
def test_a_swap_that_fails_between_or_before_the_renames_leaves_the_live_database_open(site: Site, which: str) -> None:
    """A prepared transaction holds one of the two databases."""
    site.lay(CONTENT)
    run_folder(site)
    restore(site, dump(site))
    held = databases.restored_name(site.project.database, RUN) if "second" in which else site.project.database
    name = f"held {site.project.database}"
    site.lay(f"begin; update books set title = 'held' where id = 1; prepare transaction '{name}'", database=held)
    with pytest.raises(CommandFailed):
        site.run(swap.forward(site.project, RUN))
    assert site.ask("(select count(*) from books)") == 200
    assert site.databases == {"", f"__restored_{RUN}"}
    site.lay(f"rollback prepared '{name}'", database=held)
    site.run(swap.forward(site.project, RUN))
    assert site.databases == {"", f"__before_{RUN}"}


def test_sessions_of_both_databases_are_ended_and_the_client_comes_in_again(site: Site) -> None:
    site.lay(CONTENT)
    run_folder(site)
    restore(site, dump(site))
    words = [str(site.server.programs / "psql"), "-XqAt", "-h", str(site.server.socket), "-U", "owner"]
    held = [
        subprocess.Popen([*words, "-d", database, "-c", "begin; select pg_sleep(60)"], stderr=subprocess.DEVNULL)
        for database in (site.project.database, databases.restored_name(site.project.database, RUN))
        for _ in range(3)
    ]
    count = "(select count(*) from pg_stat_activity where query like 'begin; select pg_sleep%')"
    until = time.monotonic() + 20
    while site.ask(count) < 6:
        assert time.monotonic() < until
    site.run(swap.forward(site.project, RUN))
    for each in held:
        each.wait(20)
    assert site.ask("(select count(*) from books)") == 200


def test_an_undo_ends_a_swap_that_still_goes_on_in_the_server(site: Site) -> None:
    """The client was cut; the statement waits in the server for a session that does not end."""
    site.lay(CONTENT)
    run_folder(site)
    restore(site, dump(site))
    words = [
        str(site.server.programs / "psql"),
        "-XqAt",
        "-h",
        str(site.server.socket),
        "-U",
        "owner",
        "-d",
        "postgres",
    ]
    shut = f"alter database {quoted(site.project.database)} allow_connections false"
    environment = {"PGAPPNAME": f"rollback-{RUN}", "PATH": "/usr/bin:/bin"}
    cut = subprocess.Popen(
        [*words, "-c", shut, "-c", "select pg_sleep(60)"], env=environment, stderr=subprocess.DEVNULL
    )
    count = f"(select count(*) from pg_database where datname = '{site.project.database}' and not datallowconn)"
    until = time.monotonic() + 20
    while site.ask(count, database="postgres") < 1:
        assert time.monotonic() < until
    site.run(swap.back(site.project, RUN))
    cut.wait(20)
    assert site.ask("(select count(*) from books)") == 200
    assert site.databases == {"", f"__restored_{RUN}"}


def test_two_swaps_at_once_swap_once(site: Site) -> None:
    site.lay(CONTENT)
    run_folder(site)
    restore(site, dump(site))
    failures: list[CommandFailed] = []

    def attempt() -> None:
        try:
            site.run(swap.forward(site.project, RUN))
        except CommandFailed as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    site.run(swap.is_swapped(site.project, RUN))
    assert len(failures) <= 1


def test_obstacles_are_seen_before_anything_begins(site: Site) -> None:
    found = swap.read_obstacles(site.run(swap.obstacles(site.project)).text)
    assert found == swap.Obstacles(slots=(), protected=(), may_create=True)


@pytest.mark.long
def test_thousands_of_tables_are_proven_compared_and_put_back(site: Site) -> None:
    """Their counts are longer than a word of a command may be."""
    site.lay(
        "create table alembic_version (version_num text); insert into alembic_version values ('s3');\n"
        "create table kept (id int primary key); insert into kept select generate_series(1, 9);\n"
        """select format('create table %I ()', 'a table whose name is it''s own \\ ' || g)
from generate_series(1, 5000) g
\\gexec
"""
    )
    run_folder(site)
    place = dump(site)
    assert len(json.dumps(json.loads(Path(f"{place}.manifest.json").read_text())["counts"])) > 200_000
    site.run(scratch.prove(site.project, backup=Path(place).name, run_id=RUN, timeout=300))
    restore(site, place, timeout=300)
    site.run(beside.verify(site.project, source=place, run_id=RUN))
    site.lay("delete from kept where id > 5")
    site.run(table_rows.stage(site.project, table="kept", source=place, run_id=RUN, timeout=60))
    site.lay("drop table kept", database=databases.restored_name(site.project.database, RUN))
    with pytest.raises(CommandFailed) as caught:
        site.run(beside.verify(site.project, source=place, run_id=RUN))
    assert "kept has no rows, not 9" in caught.value.stderr
