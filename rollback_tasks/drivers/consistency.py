"""Is the data whole? Exact counts and real foreign-key violations, to be compared before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollback_tasks.drivers.postgres import COUNTS, sql
from rollback_tasks.drivers.scratch import scratch_name
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# An anti-join for every constraint, with the constraint's own operators. MATCH SIMPLE (the default) lets a key with a
# null pass; MATCH FULL lets only a key of nulls pass.
_CHECKS = f"""\
{COUNTS};
select format('select json_build_array(%L, count(*)) from %s c where (%s) and not exists (select from %s p where %s);',
  con.conrelid::regclass::text || '.' || con.conname, con.conrelid::regclass,
  (select string_agg(format('c.%I is not null', a.attname),
      case con.confmatchtype when 'f' then ' or ' else ' and ' end)
    from unnest(con.conkey) k join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k),
  con.confrelid::regclass,
  (select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' and ')
    from unnest(con.conkey, con.confkey, con.conpfeqop) as x(child, parent, operator)
    join pg_attribute ca on ca.attrelid = con.conrelid and ca.attnum = x.child
    join pg_attribute pa on pa.attrelid = con.confrelid and pa.attnum = x.parent
    join pg_operator o on o.oid = x.operator join pg_namespace n on n.oid = o.oprnamespace))
from pg_constraint con join pg_namespace s on s.oid = con.connamespace
where con.contype = 'f' and con.conparentid = 0 and s.nspname <> 'rollback_rehearsal'
order by con.conrelid::regclass::text, con.conname
\\gexec
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """What a database holds.

    :param rows: exact rows by table.
    :param violations: foreign key (``table.constraint``) to the number of rows that break it; 0 is listed too.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)


def check(project: Project, *, database: str | None = None) -> Command:
    """Return the command that counts rows and violations of a database; None = the live one."""
    return sql(project, _CHECKS, effect=Effect.READ, database=database, timeout=1800)


def read(text: str) -> Consistency:
    """Given the answer of ``check``, return it as values. Raise MalformedAnswer."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        rows = {str(name): int(count) for name, count in json.loads(lines[0]).items()}
        pairs = [json.loads(line) for line in lines[1:]]
        return Consistency(rows=rows, violations={str(name): int(count) for name, count in pairs})
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise MalformedAnswer("the database checked itself in an unknown form", details=text[:200]) from error


def keep_before(project: Project, run_id: str) -> Command:
    """Return the command that writes the answer for the run's scratch database, which is the data as it was backed up,
    into the run's folder: checking there takes nothing from the live one."""
    inner = check(project, database=scratch_name(project.database, run_id))
    body = 'file=$1; shift; umask 077; "$@" >"$file.partial" && mv "$file.partial" "$file"'
    return script(body, _file(project, run_id), *inner.argv, effect=Effect.WRITE, timeout=1800, place=inner.place)


def before(project: Project, run_id: str) -> Command:
    """Return the command that prints what ``keep_before`` wrote; nothing where it did not."""
    at = project.database_site.place
    return script('[ ! -e "$1" ] || cat "$1"', _file(project, run_id), effect=Effect.READ, place=at)


def _file(project: Project, run_id: str) -> str:
    return f"{project.database_site.run_folder(run_id)}/consistency-before"
