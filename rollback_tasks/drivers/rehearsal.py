"""What a downgrade really takes, seen on a scratch copy.

Tables and columns are told by their identity inside the database (oid, attnum), not by name: a rename keeps
both, a drop does not.
"""

from __future__ import annotations

import json

from rollback_tasks.drivers.alembic_run import Deployed, pointed_at, run
from rollback_tasks.drivers.databases import scratch_name
from rollback_tasks.drivers.postgres import sql
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

_NOTE = """\
create schema rollback_rehearsal;
create table rollback_rehearsal.versions as select version_num from alembic_version;
create table rollback_rehearsal.seen as
select c.oid as relation, case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname as name,
  (xpath('/row/c/text()', query_to_xml(format('select row_to_json(t) as c from (select %s from %I.%I) t',
    concat_ws(', ', 'count(*) as "0"', string_agg(format('count(%I) as "%s"', a.attname, a.attnum), ', ')),
    n.nspname, c.relname), false, true, '')))[1]::text::json as counts,
  json_object_agg(a.attnum::text, a.attname) filter (where a.attnum is not null) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', 'rollback_rehearsal') and c.relname <> 'alembic_version'
group by c.oid, n.nspname, c.relname;
"""

_PLANT = """\
delete from alembic_version;
insert into alembic_version (version_num) values (:'token');
"""

_UNPLANT = """\
delete from alembic_version;
insert into alembic_version (version_num) select version_num from rollback_rehearsal.versions;
"""

_LOST = """\
create temporary table lost as
with rows_left as (
  select s.relation, s.name, (s.counts ->> '0')::bigint as before,
    case when c.oid is null then null else (xpath('/row/c/text()', query_to_xml(format(
      'select count(*) as c from %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint end as after
  from rollback_rehearsal.seen s
  left join pg_class c on c.oid = s.relation left join pg_namespace n on n.oid = c.relnamespace),
columns_left as (
  select s.name || '.' || k.value as name, (s.counts ->> k.key)::bigint as before,
    exists (select 1 from pg_attribute a where a.attrelid = s.relation and a.attnum = k.key::int
      and not a.attisdropped) as stays
  from rollback_rehearsal.seen s cross join lateral json_each_text(s.columns) k
  join pg_class c on c.oid = s.relation)
select name, before - coalesce(after, 0) as count from rows_left where before > coalesce(after, 0)
union all select name, before from columns_left where before > 0 and not stays;
select coalesce(json_object_agg(name, count order by name), '{}'::json) from lost;
select coalesce(string_agg(name || ' (' || count || ')', ', ' order by name), '') as more,
  count(*) > 0 as is_more
from lost where name not in (select json_array_elements_text(:'accepted'::json)) \\gset
\\if :is_more
  \\warn 'the downgrade loses more than was accepted:' :more
  select 1/0 as "more is lost";
\\endif
"""


def _on_scratch(project: Project, run_id: str, text: str, values: tuple[tuple[str, str], ...] = ()) -> Command:
    return sql(
        project,
        text,
        effect=Effect.WRITE,
        database=scratch_name(project.database, run_id),
        values=values,
        application=f"rollback-{run_id}",
        timeout=1800,
    )


def note(project: Project, run_id: str) -> Command:
    """Return the command that writes down, inside the scratch database, every table and column with counts."""
    return _on_scratch(project, run_id, _NOTE)


def plant(project: Project, run_id: str) -> Command:
    """Return the command that gives the scratch database a revision that no script knows."""
    return _on_scratch(project, run_id, _PLANT, (("token", token(run_id)),))


def unplant(project: Project, run_id: str) -> Command:
    """Return the command that gives the scratch database its real revisions back."""
    return _on_scratch(project, run_id, _UNPLANT)


def token(run_id: str) -> str:
    """Return the revision that only this run's scratch database has (alembic allows 32 characters)."""
    return f"probe-{run_id}"[:32]


_LOOKS_THERE = """\
said=$("$@" 2>&1)
code=$?
case $code:$said in
  0:*) ;;
  *"$TOKEN"*) exit 0 ;;
  *)
    echo "alembic could not be asked which database it looks at; it said:" >&2
    printf '%s\n' "$said" | tail -n 3 >&2
    exit 1
    ;;
esac
echo "alembic did not look at the scratch database: its settings do not come from the container's variables" >&2
exit 1
"""


def looks_at_scratch(project: Project, run_id: str, deployed: Deployed) -> Command:
    """Return the check that alembic, started as the rehearsal starts it, reads the scratch database.

    It must stumble over the planted revision, by name; if it does not, it reads another database, and the
    rehearsal would have changed that one. ``alembic current`` itself changes nothing.
    """
    there = pointed(project, run_id, deployed)
    inner = run(there, ("current",), run_id=run_id, project=project.name, effect=Effect.WRITE, timeout=120)
    return script(
        _LOOKS_THERE,
        *inner.argv,
        effect=Effect.WRITE,
        env=(("TOKEN", token(run_id)),),
        secret_stdin=inner.secret_stdin,
        timeout=120,
    )


def pointed(project: Project, run_id: str, deployed: Deployed) -> Deployed:
    """Return ``deployed`` with its variables turned to the scratch database."""
    there = scratch_name(project.database, run_id)
    return Deployed(
        container=deployed.container,
        image=deployed.image,
        network=deployed.network,
        workdir=deployed.workdir,
        environment=pointed_at(deployed.environment, live=project.database, other=there),
        command=deployed.command,
    )


def lost(project: Project, run_id: str, accepted: frozenset[str]) -> Command:
    """Return the command that fails, naming it, where the rehearsed downgrade took more than ``accepted``."""
    return _on_scratch(project, run_id, _LOST, (("accepted", json.dumps(sorted(accepted))),))
