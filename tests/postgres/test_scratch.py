"""The copy to go back to, and what a rehearsed downgrade really takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollback_tasks.drivers import databases, rehearsal, scratch
from rollback_tasks.errors import CommandFailed
from tests.builders import RUN
from tests.postgres.conftest import Site

PROPERTIES = """
select json_build_object(
  'owner', pg_get_userbyid(datdba), 'limit', datconnlimit, 'comment', shobj_description(d.oid, 'pg_database'),
  'open', datallowconn, 'encoding', encoding, 'collate', datcollate,
  'grants', (select json_agg(json_build_array(case grantee when 0 then 'public' else pg_get_userbyid(grantee)::text end,
     privilege_type, is_grantable) order by grantee, privilege_type) from aclexplode(d.datacl)),
  'settings', (select json_agg(json_build_array(coalesce(r.rolname, ''), s.setconfig) order by r.rolname)
     from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole where s.setdatabase = d.oid))
from pg_database d where datname = '{name}'
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def properties(site: Site, end: str = "") -> object:
    name = (site.project.database + end).replace("'", "''")
    return json.loads(site.server.psql("postgres", PROPERTIES.format(name=name)))


@pytest.fixture
def dressed(any_site: Site) -> Site:
    """A database with every property that a database can have."""
    name = quoted(any_site.project.database)
    role = quoted(f"{any_site.project.database} reader")
    any_site.lay(
        f"""
        create role {role}; create table t (a int); insert into t values (1), (2);
        alter database {name} connection limit 17;
        comment on database {name} is 'it''s "ours"';
        revoke connect on database {name} from public;
        grant connect, temp on database {name} to {role} with grant option;
        alter database {name} set search_path to "$user", public, "Odd One";
        alter database {name} set work_mem to '7MB';
        alter database {name} set datestyle to 'German, DMY';
        alter database {name} set application_name to 'a ''quoted'' name';
        alter role {role} in database {name} set statement_timeout to '3s';
        """
    )
    return any_site


def test_the_copy_comes_back_as_the_live_database_with_everything_that_it_had(dressed: Site) -> None:
    project, marker = dressed.project, dressed.folder / "marker"
    before = properties(dressed)
    for _ in range(2):
        dressed.run(scratch.copy(project, RUN, timeout=60))
        assert dressed.databases == {"", f"__before_{RUN}"}
    dressed.run(scratch.has_copy(project, RUN))
    assert properties(dressed) == before

    dressed.lay("delete from t; create table half_way ()")
    dressed.run(scratch.swap_back(project, RUN, marker=str(marker)))
    assert dressed.ask("(select count(*) from t)") == 0  # nothing says that it was changed
    marker.touch()
    for _ in range(2):
        dressed.run(scratch.swap_back(project, RUN, marker=str(marker)))
        assert dressed.databases == {"", f"__left_{RUN}"}
        assert dressed.ask("(select count(*) from t)") == 2
        assert properties(dressed) == before


def test_the_copy_is_dropped_where_nothing_was_changed_and_kept_where_something_was(any_site: Site) -> None:
    project, marker = any_site.project, any_site.folder / "marker"
    any_site.run(scratch.copy(project, RUN, timeout=60))
    marker.touch()
    any_site.run(scratch.drop_copy(project, RUN, marker=str(marker)))
    assert any_site.databases == {"", f"__before_{RUN}"}
    marker.unlink()
    for _ in range(2):
        any_site.run(scratch.drop_copy(project, RUN, marker=str(marker)))
        assert any_site.databases == {""}
    with pytest.raises(CommandFailed):
        any_site.run(scratch.has_copy(project, RUN))


def test_a_live_database_that_a_cut_copy_left_shut_is_opened(site: Site) -> None:
    site.lay(f"alter database {quoted(site.project.database)} allow_connections false", database="postgres")
    with pytest.raises(CommandFailed):
        site.run(scratch.has_copy(site.project, RUN))
    site.run(scratch.drop_copy(site.project, RUN, marker=str(site.folder / "none")))
    assert site.ask("1") == 1


def test_names_stay_within_what_a_name_may_be() -> None:
    for name in ("app", "x" * 63, "б" * 40):
        made = {make(name, RUN) for make in (databases.scratch_name, databases.copy_name, databases.left_name)}
        assert len(made) == 3
        assert all(len(each.encode()) <= 63 and each.endswith(RUN) for each in made)


WIDE = ", ".join(f"c{number} int" for number in range(1, 400))
BEFORE = f'''
create table alembic_version (version_num text); insert into alembic_version values ('s3');
create table users (id int primary key, name text, nick text, empty text);
insert into users values (1, 'a', 'x', null), (2, 'b', null, null);
create table "Odd ""t""; б" ("a ""c""" int); insert into "Odd ""t""; б" values (1), (2), (3);
create schema billing; create table billing.invoices (id int, paid int); insert into billing.invoices values (1, 1);
create table parts (id int, what int) partition by range (id);
create table part_1 partition of parts for values from (0) to (10); insert into parts values (1, 1), (2, null);
create table wide ({WIDE}); insert into wide (c1, c399) values (1, 1);
create table nothing (a int);
'''


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param("alter table users rename to people; alter table people rename name to title", {}, id="renames"),
        pytest.param("alter schema billing rename to money", {}, id="a schema is renamed"),
        pytest.param("create schema s; alter table users set schema s", {}, id="a table moves"),
        pytest.param("alter table users add column more text; insert into users values (9)", {}, id="more"),
        pytest.param("drop table nothing; alter table users drop column empty", {}, id="what held nothing goes"),
        pytest.param("alter table users alter column id type bigint", {}, id="another type"),
        pytest.param("vacuum full users; cluster users using users_pkey", {}, id="a table is rewritten"),
        pytest.param("alter table users drop column nick", {"users.nick": 1}, id="a column goes"),
        pytest.param("drop table users", {"users": 2}, id="a table goes"),
        pytest.param("delete from users where id = 1", {"users": 1}, id="a row goes"),
        pytest.param("truncate users", {"users": 2}, id="all rows go"),
        pytest.param(
            "alter table users rename to u; alter table u rename nick to n; alter table u drop column n",
            {"users.nick": 1},
            id="renamed and then dropped: told by its old name",
        ),
        pytest.param(
            'alter table "Odd ""t""; б" drop column "a ""c"""', {'Odd "t"; б.a "c"': 3}, id="names that must be quoted"
        ),
        pytest.param("drop schema billing cascade", {"billing.invoices": 1}, id="a schema goes"),
        pytest.param("alter table parts drop column what", {"parts.what": 1}, id="a column of a partitioned table"),
        pytest.param("drop table part_1", {"parts": 2}, id="a partition goes"),
        pytest.param("drop table parts", {"parts": 2}, id="a partitioned table goes"),
        pytest.param("alter table wide drop column c399, drop column c2", {"wide.c399": 1}, id="of very many columns"),
        pytest.param(
            "drop table users; create table users (id int, name text); insert into users values (1, 'a'), (2, 'b')",
            {"users": 2},
            id="made anew under its name: nobody can know that nothing was lost",
        ),
    ],
)
def test_a_rehearsed_downgrade_loses(site: Site, change: str, lost: dict[str, int]) -> None:
    project = site.project
    there = databases.scratch_name(project.database, RUN)
    site.lay(f"create database {quoted(there)}", database="postgres")
    site.lay(BEFORE, database=there)
    site.run(rehearsal.note(project, RUN))
    site.run(rehearsal.plant(project, RUN))
    assert site.ask("(select json_agg(version_num) from alembic_version)", database=there) == [rehearsal.token(RUN)]
    site.run(rehearsal.unplant(project, RUN))
    assert site.ask("(select json_agg(version_num) from alembic_version)", database=there) == ["s3"]
    site.lay(change, database=there)
    done = site.run(rehearsal.lost(project, RUN, frozenset({*lost, "another"})))
    assert json.loads(done.text.splitlines()[0]) == lost
    for name in lost:
        with pytest.raises(CommandFailed) as caught:
            site.run(rehearsal.lost(project, RUN, frozenset(lost) - {name}))
        assert f"the downgrade loses more than was accepted: {name} ({lost[name]})" in caught.value.stderr


def test_the_marker_of_a_run_may_have_any_name(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "a $(x) 'q'"
    marker.touch()
    site.run(scratch.copy(site.project, RUN, timeout=60))
    site.run(scratch.swap_back(site.project, RUN, marker=str(marker)))
    assert site.databases == {"", f"__left_{RUN}"}


def test_who_looks_into_the_copy_does_not_keep_it_from_coming_back(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "changed"
    marker.touch()
    site.run(scratch.copy(site.project, RUN, timeout=60))
    with site.visitor(databases.copy_name(site.project.database, RUN)) as visitor:
        site.run(scratch.swap_back(site.project, RUN, marker=str(marker)))
        assert visitor.wait(20) != 0
    assert site.databases == {"", f"__left_{RUN}"}


def test_undoing_a_change_whose_copy_is_gone_fails_and_undoing_it_twice_does_not(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "changed"
    marker.touch()
    with pytest.raises(CommandFailed) as caught:
        site.run(scratch.swap_back(site.project, RUN, marker=str(marker)))
    assert "there is no database" in caught.value.stderr
    assert site.databases == {""}
    site.run(scratch.copy(site.project, RUN, timeout=60))
    for _ in range(2):
        site.run(scratch.swap_back(site.project, RUN, marker=str(marker)))
        assert site.databases == {"", f"__left_{RUN}"}
