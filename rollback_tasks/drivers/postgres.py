"""PostgreSQL in its own container: SQL through its own psql, and what the database is."""

from __future__ import annotations

import json

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import DatabaseFacts, Session
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# The container is found anew each time: a compensation may run long after the plan was made.
FIND_DB = """\
db=$(docker ps -q --no-trunc --filter "label=com.docker.compose.project=$1" \\
  --filter "label=com.docker.compose.service=$2" --filter label=com.docker.compose.oneoff=False | head -n 1)
[ -n "$db" ] || { echo "the database container does not run" >&2; exit 9; }
"""

# What undoes something has to get through: a database that was restarted is back after some seconds.
AWAIT_DB = """\
tries=0
while :; do
  db=$(docker ps -q --no-trunc --filter "label=com.docker.compose.project=$1" \\
    --filter "label=com.docker.compose.service=$2" --filter label=com.docker.compose.oneoff=False | head -n 1)
  [ -z "$db" ] || ! docker exec "$db" pg_isready -q -U "$3" -d template1 || break
  [ "$tries" -lt 60 ] || { echo "the database does not answer" >&2; exit 9; }
  tries=$((tries + 1))
  sleep 1
done
"""

# Inside the container: its own password variable, never one of ours. Timeouts that somebody set for the
# application must not end the tool's own statements.
PSQL = (
    'PGPASSWORD=${POSTGRES_PASSWORD:-$([ -z "${POSTGRES_PASSWORD_FILE:-}" ] || cat "$POSTGRES_PASSWORD_FILE")} '
    "PGOPTIONS='-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
    " -c default_transaction_read_only=off' "
)

# A function for scripts: run something in the database's container $db, in sessions named after the run $run.
INSIDE = (
    """\
inside() {
  docker exec -i -e PGAPPNAME="rollback-$run" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS; exec "$@"' inside "$@"
}
"""
)

_SQL = (
    """\
user=$3 database=$4 text=$5 application=$6
shift 6
exec docker exec -e PGAPPNAME="$application" "$db" sh -c '"""
    + PSQL.replace("'", "'\\''")
    + """; export PGPASSWORD PGOPTIONS
user=$1 database=$2 text=$3
shift 3
printf "%s\\n" "$text" | psql -XqAt -v ON_ERROR_STOP=1 "$@" -U "$user" -d "$database" -f -
' psql "$user" "$database" "$text" "$@"
"""
)


def sql(
    project: Project,
    text: str,
    *,
    effect: Effect,
    database: str | None = None,
    values: tuple[tuple[str, str], ...] = (),
    application: str = "rollback",
    timeout: float = 60,
    ok_codes: frozenset[int] = frozenset({0}),
    waits: bool = False,
) -> Command:
    """Return the command that runs a psql script in the database's container.

    :param text: the script; ``values`` stand in it as ``:'name'`` or ``:"name"`` and are never code.
    :param database: name to connect to; None = the application's.
    :param application: shown in ``pg_stat_activity``, so that leftovers of a run can be found.
    :param waits: up to a minute for a server that does not answer; for what undoes something.
    """
    variables = [word for name, value in values for word in ("-v", f"{name}={value}")]
    return script(
        (AWAIT_DB if waits else FIND_DB) + _SQL,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database if database is None else database,
        text,
        application,
        *variables,
        effect=effect,
        timeout=timeout,
        ok_codes=ok_codes,
        place=project.database_site.place,
    )


# One statement = one snapshot. Temporary and partition-child tables are left out: the parent counts them.
COUNTS = """\
select coalesce(json_object_agg(name, rows order by name), '{}'::json) from (
  select case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname as name,
    (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I.%I', n.nspname, c.relname),
      false, true, '')))[1]::text::bigint as rows
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema') t"""

# alembic_version may be missing: asked through query_to_xml, an absent table is no error.
SCHEMA = """\
select coalesce(json_agg(v order by v), '[]'::json) from (
  select unnest(xpath('/table/row/version_num/text()', query_to_xml(
    'select version_num from alembic_version', false, false, '')))::text as v
  where to_regclass('alembic_version') is not null) t"""

_FACTS = f"""\
select json_build_object(
  'version', current_setting('server_version_num')::int,
  'system', (select system_identifier::text from pg_control_system()),
  'size', pg_database_size(current_database()),
  'schema', ({SCHEMA}),
  'superuser', (select rolsuper from pg_roles where rolname = current_user),
  'prepared', (select coalesce(json_agg(gid), '[]'::json) from pg_prepared_xacts where database = current_database()),
  'subscriptions', (select coalesce(json_agg(subname order by subname), '[]'::json) from pg_subscription
    where subenabled and subdbid = (select oid from pg_database where datname = current_database())),
  'databases', (select coalesce(json_agg(datname order by datname), '[]'::json) from pg_database),
  'put_aside', (select coalesce(json_object_agg(datname, case when has_database_privilege(oid, 'connect') or
      pg_has_role('pg_read_all_stats', 'member') then coalesce(pg_database_size(oid), 0) else -1 end), '{{}}'::json)
    from pg_database where datname ~ '__(before|left)_[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{4}}$'),
  'schemas', (select coalesce(json_object_agg(nspname, (select coalesce(sum(pg_total_relation_size(c.oid)), 0)
        from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'm'))), '{{}}'::json)
    from pg_namespace n where nspname ~ '^rollback_[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{4}}$'),
  'sessions', (select coalesce(json_agg(json_build_object('pid', pid, 'user', usename, 'application', application_name,
      'address', coalesce(host(client_addr), ''), 'state', coalesce(state, '')) order by pid), '[]'::json)
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
      and backend_type = 'client backend'));
"""

_FREE = (
    FIND_DB
    + """\
docker exec "$db" sh -c '
  at=${PGDATA:-/var/lib/postgresql/data}
  [ -d "$at" ] || at=/
  df -Pk -- "$at" | awk "NR==2 {print \\$4}"
  stat -c %d -- "$at" 2>/dev/null'
"""
)


def facts(project: Project) -> Command:
    """Return the command that describes the live database as one JSON object."""
    return sql(project, _FACTS, effect=Effect.READ, timeout=60, ok_codes=frozenset(range(124)))


def free_space(project: Project) -> Command:
    """Return the command that prints the KiB free where the data directory lies, and the name of that disk."""
    at = project.database_site
    every = frozenset(range(124))
    return script(_FREE, at.project, at.service, effect=Effect.READ, timeout=60, ok_codes=every, place=at.place)


def read_facts(text: str, room: str, container: str) -> DatabaseFacts:
    """Given the answers of ``facts`` and ``free_space``, return the database's facts. Raise MalformedAnswer."""
    try:
        said = json.loads(text)
        free_kib, disk, *_ = *room.split(), "", ""
        return DatabaseFacts(
            container=container,
            version=int(said["version"]),
            system_identifier=str(said["system"]),
            size_bytes=int(said["size"]),
            schema=tuple(said["schema"]),
            free_bytes=int(free_kib or 0) * 1024,
            disk=disk,
            sessions=tuple(
                Session(
                    pid=int(row["pid"]),
                    user=str(row["user"]),
                    application=str(row["application"]),
                    address=str(row["address"]),
                    state=str(row["state"]),
                )
                for row in said["sessions"]
            ),
            prepared=tuple(said["prepared"]),
            is_superuser=bool(said["superuser"]),
            databases=tuple(said["databases"]),
            subscriptions=tuple(said.get("subscriptions", ())),
            put_aside={str(name): int(size) for name, size in said.get("put_aside", {}).items()},
            kept_schemas={str(name): int(size) for name, size in said.get("schemas", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer("the database described itself in an unknown form", details=text[:500]) from error


def counts(project: Project, *, database: str | None = None) -> Command:
    """Return the command that prints the exact rows of every table as JSON."""
    return sql(project, COUNTS + ";", effect=Effect.READ, database=database, timeout=600)


def read_counts(text: str) -> dict[str, int]:
    """Given the answer of ``counts``, return table to rows. Raise MalformedAnswer."""
    try:
        return {str(name): int(rows) for name, rows in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise MalformedAnswer("the database counted in an unknown form", details=text[:200]) from error


def has_schema(project: Project, heads: tuple[str, ...], *, database: str | None = None) -> Command:
    """Return the check that ``alembic_version`` holds exactly ``heads``."""
    text = f"""\
select ({SCHEMA})::jsonb = :'want'::jsonb as holds, ({SCHEMA}) as have \\gset
\\if :holds
\\else
  \\warn 'alembic_version is' :have 'and not' :want
  select 1/0 as "alembic_version differs";
\\endif
"""
    return sql(project, text, effect=Effect.READ, database=database, values=(("want", json.dumps(sorted(heads))),))


_VALUES = """\
select format('select json_build_array(%L, %L, (select count(%s) from %s));', t, c,
  case when c = '' then '*' else quote_ident(c) end, to_regclass(t))
from json_to_recordset(:'wanted'::json) as w(t text, c text)
where to_regclass(t) is not null and (c = '' or exists (
  select 1 from pg_attribute a where a.attrelid = to_regclass(t) and a.attname = c and not a.attisdropped))
\\gexec
"""


def count_values(project: Project, wanted: tuple[tuple[str, str], ...]) -> Command:
    """Return the command that counts the rows of tables and the non-null values of columns.

    :param wanted: pairs of table (``schema.table`` or ``table``) and column; column ``""`` = rows.
    """
    text = json.dumps([{"t": _identifier(table), "c": column} for table, column in wanted])
    return sql(project, _VALUES, effect=Effect.READ, values=(("wanted", text),), timeout=600)


def _identifier(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def read_values(text: str, wanted: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], int]:
    """Given the answer of ``count_values``, return pair to count; what does not exist counts as 0."""
    found = dict.fromkeys(wanted, 0)
    named = {(_identifier(table), column): (table, column) for table, column in wanted}
    try:
        for line in text.splitlines():
            if line.strip():
                table, column, count = json.loads(line)
                found[named[(table, column)]] = int(count)
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedAnswer("the database counted in an unknown form", details=text[:200]) from error
    return found
