"""Who is connected to the server, who waits for whom, and ending a session that was seen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.drivers.postgres import FIND_DB, sql
from rollback_tasks.drivers.statements import SETTINGS
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Statement
from rollback_tasks.shell import Command, Effect, script

LONG_SECONDS = 300
_STARTED = "(extract(epoch from {a}.backend_start) * 1000000)::bigint"
_SECONDS = "round(extract(epoch from now() - {what}))::bigint"

# Roots are those who wait for nobody; a prepared transaction has no session and stands as pid 0.
_ROOTS = f"""\
with recursive waits as (
  select distinct pid, unnest(pg_blocking_pids(pid)) as blocker from pg_stat_activity
  where cardinality(pg_blocking_pids(pid)) > 0
), tree as (
  select blocker as root, pid from waits where blocker not in (select pid from waits)
  union select t.root, w.pid from tree t join waits w on w.blocker = t.pid
), sizes as (select root, count(distinct pid) as waiting from tree group by root)
select json_build_object('roots', coalesce(json_agg(json_build_object('pid', s.root, 'waiting', s.waiting,
  'started', coalesce({_STARTED.format(a="a")}, 0), 'kind', coalesce(a.backend_type, ''),
  'user', coalesce(a.usename, ''), 'application', coalesce(a.application_name, ''),
  'address', coalesce(host(a.client_addr), ''), 'database', coalesce(a.datname, ''), 'state', coalesce(a.state, ''),
  'seconds', coalesce({_SECONDS.format(what="a.xact_start")}, 0), 'query', coalesce(left(a.query, 200), ''),
  'is_own', s.root = pg_backend_pid()) order by s.waiting desc, s.root), '[]'::json))
from sizes s left join pg_stat_activity a on a.pid = s.root"""

_DIAGNOSIS = (
    """\
select json_build_object('slots', (select json_build_object(
  'limit', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int,
  'used', count(*) filter (where backend_type = 'client backend'),
  'active', count(*) filter (where backend_type = 'client backend' and state = 'active'),
  'idle', count(*) filter (where backend_type = 'client backend' and state = 'idle'),
  'idle_in_transaction', count(*) filter (where state like 'idle in transaction%'),
  'waiting', count(*) filter (where wait_event_type = 'Lock')) from pg_stat_activity))""",
    f"""\
select json_build_object('users', coalesce(json_agg(t order by t.sessions desc), '[]'::json)) from (
  select coalesce(datname, '') as database, coalesce(usename, '') as "user", application_name as application,
    coalesce(host(client_addr), 'local') as address, coalesce(state, '') as state, count(*) as sessions,
    max({_SECONDS.format(what="state_change")}) as seconds
  from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
  group by 1, 2, 3, 4, 5 order by 6 desc limit 20) t""",
    _ROOTS,
    f"""\
select json_build_object('long', coalesce(json_agg(t order by t.seconds desc), '[]'::json)) from (
  select pid, coalesce(usename, '') as "user", application_name as application, coalesce(state, '') as state,
    {_SECONDS.format(what="xact_start")} as seconds, left(query, 200) as query
  from pg_stat_activity where backend_type = 'client backend' and xact_start < now() - interval '{LONG_SECONDS} s'
  order by xact_start limit 20) t""",
    f"""\
select json_build_object('prepared', coalesce(json_agg(t order by t.seconds desc), '[]'::json)) from (
  select gid as name, owner::text as owner, database::text as database, {_SECONDS.format(what="prepared")} as seconds
  from pg_prepared_xacts) t""",
    # The tool's own sessions have other ones, given by whoever opened them: what an ordinary one would get, then.
    """\
select json_build_object('timeouts', json_object_agg(s.name, case s.source when 'client' then coalesce((
    select split_part(word, '=', 2) from pg_db_role_setting d cross join unnest(d.setconfig) word
    where d.setdatabase in (0, (select oid from pg_database where datname = current_database()))
      and d.setrole in (0, (select oid from pg_roles where rolname = current_user)) and word like s.name || '=%'
    order by d.setrole = 0, d.setdatabase = 0 limit 1), s.boot_val || coalesce(s.unit, ''))
  else s.setting || coalesce(s.unit, '') end order by s.name))
from pg_settings s where s.name in ('idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout',
  'idle_session_timeout', 'tcp_keepalives_idle')""",
)
# The settings in force come first: ours would hide them.
DIAGNOSIS = (Statement(_DIAGNOSIS[-1]), *SETTINGS, *(Statement(text) for text in _DIAGNOSIS[:-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How many sessions there may be and are."""

    limit: int
    reserved: int
    used: int
    active: int
    idle: int
    idle_in_transaction: int
    waiting: int

    @property
    def free(self) -> int:
        """Slots that an ordinary user still gets."""
        return max(0, self.limit - self.reserved - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A session that others wait for and that waits for nobody.

    :param pid: 0 for a prepared transaction, which has no session.
    :param started: of the session, in microseconds since the epoch; with the pid its identity.
    :param waiting: sessions that wait for it, directly or through others.
    :param seconds: age of its transaction.
    :param query: the statement that it runs, or ran last.
    :param is_own: it is the session that asked.
    """

    pid: int
    started: int
    waiting: int
    kind: str
    user: str
    application: str
    address: str
    database: str
    state: str
    seconds: int
    query: str
    is_own: bool = False

    @property
    def is_idle(self) -> bool:
        """True where its transaction is open and nothing runs in it."""
        return self.state.startswith("idle in transaction")

    @property
    def is_endable(self) -> bool:
        """True for a client's session that is not the tool's own: no replication, no vacuum, no worker."""
        is_ours = self.is_own or self.application.startswith("rollback")
        return self.pid > 0 and self.kind == "client backend" and not is_ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What a server says of its sessions. ``users``, ``long`` and ``prepared`` are rows as the server gave them."""

    slots: Slots
    roots: tuple[Root, ...] = ()
    users: tuple[Mapping[str, Any], ...] = ()
    long: tuple[Mapping[str, Any], ...] = ()
    prepared: tuple[Mapping[str, Any], ...] = ()
    timeouts: Mapping[str, str] = field(default_factory=dict)


def read(text: str, errors: str = "") -> Connections:
    """Given the answer to ``DIAGNOSIS``, return it as values. Raise MalformedAnswer."""
    try:
        said: dict[str, Any] = {}
        left = text.strip()
        while left:  # json_agg puts line breaks between rows
            part, end = json.JSONDecoder().raw_decode(left)
            said |= part
            left = left[end:].lstrip()
        return Connections(
            slots=Slots(**said["slots"]),
            roots=tuple(Root(**_shown(root)) for root in said["roots"]),
            users=tuple(said["users"]),
            long=tuple(_shown(row) for row in said["long"]),
            prepared=tuple(said["prepared"]),
            timeouts=dict(said["timeouts"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedAnswer(
            "the server told of its sessions in an unknown form", details=(errors or text)[:500].strip()
        ) from error


# `ALTER ROLE ... PASSWORD '...'` and its like, and `password=...` inside of a connection's text; a statement may be cut
# off in the middle of one.
_PASSWORD = re.compile(
    r"(?P<before>\bpassword\s*=\s*)(?:\\?'[^']*'?|[^\s'\"]+)|(?P<said>\bpassword\s+(?:[eu]&?)?)'(?:[^']|'')*'?"
    r"|(?P<dollar>\bpassword\s+)\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)",
    re.IGNORECASE | re.DOTALL,
)


def without_passwords(statement: str) -> str:
    """Return an SQL statement without the passwords that stand in it."""
    return _PASSWORD.sub(lambda m: f"{m['before'] or m['said'] or m['dollar']}***", statement)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "query": without_passwords(str(row["query"]))}


# The very session that was seen, a client's, that others wait for still. Numbers alone go into the text.
_SEEN = """\
select {act}(a.pid)::text from pg_stat_activity a
where a.pid = {pid} and {started} = {when} and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
  and {state} and exists (select from pg_stat_activity w where a.pid = any (pg_blocking_pids(w.pid)))"""


def cancel(root: Root) -> Statement:
    """Return the statement that ends what a session runs, if it is still the one that was seen and in the way."""
    return _on(root, "pg_cancel_backend", "a.state = 'active'")


def terminate(root: Root) -> Statement:
    """Return the statement that ends a session, if it is the one that was seen, in the way, and still idle in its
    transaction. It answers ``true`` where that was so."""
    return _on(root, "pg_terminate_backend", "a.state like 'idle in transaction%'")


def _on(root: Root, act: str, state: str) -> Statement:
    started = _STARTED.format(a="a")
    return Statement(_SEEN.format(act=act, pid=int(root.pid), started=started, when=int(root.started), state=state))


# What runs is cancelled once; a session that is idle in its transaction is ended, then or once its statement is over.
# Nothing is done to a session that is not the one that was seen, or that nobody waits for any more.
_END = """\
set search_path = pg_catalog;
do $end$
declare until timestamptz := clock_timestamp() + interval '{seconds} s';
begin
  perform pg_cancel_backend(a.pid) from pg_stat_activity a where {seen} and a.state = 'active';
  loop
    perform pg_stat_clear_snapshot();
    exit when clock_timestamp() > until or not exists (select from pg_stat_activity a where {seen});
    perform pg_terminate_backend(a.pid) from pg_stat_activity a
    where {seen} and a.state like 'idle in transaction%';
    perform pg_sleep(0.1);
  end loop;
end $end$;
"""
_IN_THE_WAY = """\
(a.pid, {started}) in ({ids}) and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
    and exists (select from pg_stat_activity w where a.pid = any (pg_blocking_pids(w.pid)))"""


def end(project: Project, sessions: Sequence[tuple[int, int]], *, seconds: int = 5) -> Command:
    """Return the command that ends sessions that others wait for. Safe where they are gone.

    :param sessions: pid and start of each, as of ``Root``.
    :param seconds: for which one that runs a statement is waited for, once that was cancelled.
    """
    ids = ", ".join(f"({int(pid)}, {int(when)})" for pid, when in sessions)
    seen = _IN_THE_WAY.format(started=_STARTED.format(a="a"), ids=ids)
    return sql(project, _END.format(seen=seen, seconds=int(seconds)), effect=Effect.DESTROY, timeout=60 + seconds)


# A server that takes no more clients cannot be asked; its processes name whom each serves.
_PROCESSES = (
    FIND_DB
    + """\
docker exec "$db" sh -c 'for at in /proc/[0-9]*; do
  [ -r "$at/cmdline" ] && { tr "\\0" " " <"$at/cmdline"; echo; } 2>/dev/null
done; true'
"""
)
_TITLE = re.compile(
    r"postgres: (?:.+: )?(?P<user>\S+) (?P<database>\S+) (?P<address>[0-9a-fA-F.:]+\(\d+\)|\[local\]) (?P<state>.+)"
)


def processes(project: Project) -> Command:
    """Return the command that prints the titles of the processes in the database's container."""
    at = project.database_site
    return script(_PROCESSES, at.project, at.service, effect=Effect.READ, timeout=30, place=at.place)


def read_processes(text: str) -> tuple[Mapping[str, Any], ...]:
    """Given the answer of ``processes``, return who holds how many sessions, most first: rows like those of
    ``Connections.users``, without what a title does not tell."""
    counted: dict[tuple[str, ...], int] = {}
    for line in text.splitlines():
        found = _TITLE.match(line.strip())
        if found:
            address = found["address"].partition("(")[0].replace("[local]", "local")
            key = (found["database"], found["user"], address, found["state"])
            counted[key] = counted.get(key, 0) + 1
    ordered: Sequence[tuple[tuple[str, ...], int]] = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    names = ("database", "user", "address", "state")
    return tuple({**dict(zip(names, key, strict=True)), "sessions": number} for key, number in ordered)
