"""What runs keep in the server so that they can be taken back, and how it goes in the end."""

from __future__ import annotations

from rollback_tasks.drivers.databases import END_OWN
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect

# Whoever works in it is not ended: the server itself refuses then. A slot of it would go without a word.
_DROP_DATABASE = """\
select count(*) > 0 as has_slots from pg_replication_slots where database = :'name' \\gset
\\if :has_slots
  \\warn 'replication slots belong to' :name
  select 1/0 as "replication slots belong to it";
\\endif
drop database if exists :"name";
"""

# Tables one by one, and without cascade: what somebody built upon them is no part of them.
_DROP_SCHEMA = """\
begin;
select format('drop table %I.%I', :'name', relname) from pg_class
where relnamespace = to_regnamespace(quote_ident(:'name')) and relkind in ('r', 'p')
\\gexec
drop schema if exists :"name";
commit;
"""


def drop_database(project: Project, *, name: str, run_id: str) -> Command:
    """Return the command that drops a database that a run put aside; fails while somebody works in it. One that is gone
    is no failure."""
    return sql(
        project,
        END_OWN + _DROP_DATABASE,
        effect=Effect.DESTROY,
        database=project.side_database,
        values=(("name", name), ("own", f"rollback-{run_id}")),
        application=f"rollback-{run_id}",
        timeout=180,
    )


def drop_schema(project: Project, *, name: str, run_id: str) -> Command:
    """Return the command that drops the schema in which a run kept rows; fails where something else depends on it."""
    return sql(
        project,
        _DROP_SCHEMA,
        effect=Effect.DESTROY,
        values=(("name", name),),
        application=f"rollback-{run_id}",
        timeout=180,
    )


def is_gone(project: Project, *, name: str) -> Command:
    """Return the check that no database and no schema is called like that."""
    return sql(
        project,
        "select 1 / (not exists (select from pg_database where datname = :'name')\n"
        "  and to_regnamespace(quote_ident(:'name')) is null)::int \\g /dev/null",
        effect=Effect.READ,
        values=(("name", name),),
    )
