"""The databases of a run as objects of their server: how they are called, made like another, emptied and dropped."""

from __future__ import annotations

import re

from rollback_tasks.drivers.postgres import sql
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect

# Everything that is fixed when a database is made. Older servers lack some columns: asked by name, they are null.
CREATE_LIKE = """\
select pg_terminate_backend(pid) from pg_stat_activity where datname = :'new' and usesysid is not null \\g /dev/null
drop database if exists :"new";
select format('create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L', :'new',
    pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
  || case j ->> 'datlocprovider'
       when 'i' then format(' locale_provider icu icu_locale %L', coalesce(j ->> 'datlocale', j ->> 'daticulocale'))
       when 'b' then format(' locale_provider builtin builtin_locale %L', j ->> 'datlocale') else '' end
  || case when j ->> 'daticurules' is null then '' else format(' icu_rules %L', j ->> 'daticurules') end
  || format(' tablespace %I', (select spcname from pg_tablespace s where s.oid = dattablespace))
from pg_database d, to_jsonb(d) j where datname = :'live'
\\gexec
"""

# What belongs to the database object itself does not come with a dump or a template.
COPY_PROPERTIES = """\
select format('alter database %I connection limit %s', :'new', datconnlimit)
from pg_database where datname = :'live'
\\gexec
select format('comment on database %I is %L', :'new', shobj_description(oid, 'pg_database'))
from pg_database where datname = :'live' and shobj_description(oid, 'pg_database') is not null
\\gexec
select format('revoke all on database %I from public', :'new')
from pg_database where datname = :'live' and datacl is not null
\\gexec
select format('grant %s on database %I to %s%s', a.privilege_type, :'new',
  case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
  case when a.is_grantable then ' with grant option' else '' end)
from pg_database d, aclexplode(d.datacl) a where d.datname = :'live'
\\gexec
"""

# Of the settings those that everybody may set, or all for a superuser: `:'new'` becomes like `:'live'`.
SETTINGS = """\
with settings as (
  select r.rolname, split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as value
  from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase and d.datname = :'live'
  left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) c
  where r.rolname is null or r.rolname = current_user or (select rolsuper from pg_roles where rolname = current_user))
select case when rolname is null then format('alter database %I set %I to %s', :'new', name, literal)
  else format('alter role %I in database %I set %I to %s', rolname, :'new', name, literal) end
from (select *, case when name in ('search_path', 'temp_tablespaces', 'session_preload_libraries',
  'local_preload_libraries', 'shared_preload_libraries') then value else quote_literal(value) end as literal
  from settings) q
\\gexec
"""


# A statement goes on in the server when the command that sent it was ended on the host: a database that is being
# made cannot be dropped, and what was shut stays shut. The script that sent it ends with its session.
END_OWN = """\
select set_config('rollback.own', :'own', false) \\g /dev/null
do $$
declare
  began timestamptz := clock_timestamp();
  others int;
begin
  loop
    perform pg_stat_clear_snapshot();
    select count(*) into others from (
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = current_setting('rollback.own') and pid <> pg_backend_pid()) s;
    exit when others = 0;
    if clock_timestamp() - began > interval '20 s' then
      raise exception 'sessions of the run do not end';
    end if;
    perform pg_sleep(0.02);
  end loop;
end $$;
"""


# Connections are closed to everybody, superusers too, while the sessions end. One pass over the list and a short sleep:
# waiting for each session in turn takes seconds where there are many. `:new` takes the place of `:live`, so nobody may
# look into it either. Autovacuum has no user, and only a superuser may end it: the server itself sends it away.
SHUT = """\
select set_config('rollback.live', :'live', false), set_config('rollback.new', :'new', false) \\g /dev/null
alter database :"live" allow_connections false;
do $$
declare
  began timestamptz := clock_timestamp();
  others int;
begin
  loop
    perform pg_stat_clear_snapshot();
    select count(*) into others from (select pg_terminate_backend(pid) from pg_stat_activity
      where usesysid is not null
        and datname in (current_setting('rollback.live'), current_setting('rollback.new'))) s;
    exit when others = 0;
    if clock_timestamp() - began > interval '20 s' then
      raise exception 'sessions of % do not end', current_setting('rollback.live');
    end if;
    perform pg_sleep(0.02);
  end loop;
end $$;
"""


def scratch_name(database: str, run_id: str) -> str:
    """Return the name of a run's scratch database: at most 63 bytes, and nobody else's."""
    return _named(database, "scratch", run_id)


def copy_name(database: str, run_id: str) -> str:
    """Return the name of the copy that a run goes back to."""
    return _named(database, "before", run_id)


def left_name(database: str, run_id: str) -> str:
    """Return the name that a half-changed database is put aside under."""
    return _named(database, "left", run_id)


def _named(database: str, role: str, run_id: str) -> str:
    """Return the name of a run's database in some role: at most 63 bytes."""
    tail = f"__{role}_{run_id}"
    return database.encode()[: 63 - len(tail)].decode("utf-8", "ignore") + tail


_PUT_ASIDE = re.compile(r"__(?P<role>before|left)_(?P<run>\d{8}T\d{6}Z-[0-9a-f]{4})\Z")


def put_aside_by(database: str, name: str) -> str:
    """Return the run that put a database aside as ``name``; empty where that is no such name of this database."""
    match = _PUT_ASIDE.search(name)
    return match["run"] if match and _named(database, match["role"], match["run"]) == name else ""


def restored_name(database: str, run_id: str) -> str:
    """Return the name of the database that a run restores a backup into."""
    return _named(database, "restored", run_id)


def drop(project: Project, run_id: str, name: str) -> Command:
    """Return the command that ends what the run does in the server and drops a database of its own, where it is."""
    return sql(
        project,
        END_OWN + "select pg_terminate_backend(pid) from pg_stat_activity\n"
        "where datname = :'name' and usesysid is not null \\g /dev/null\n"
        'drop database if exists :"name";',
        effect=Effect.WRITE,
        database=project.side_database,
        values=(("name", name), ("own", f"rollback-{run_id}")),
        application=f"rollback-{run_id}",
        timeout=180,
        waits=True,
    )
