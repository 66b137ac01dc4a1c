"""One database takes another's place by two renames in one transaction, and gives it back."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rollback_tasks.drivers.databases import (
    COPY_PROPERTIES,
    END_OWN,
    SETTINGS,
    SHUT,
    copy_name,
    left_name,
    restored_name,
)
from rollback_tasks.drivers.postgres import AWAIT_DB, INSIDE, sql
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# What belongs to the database object stays with it through a rename: it is copied while the other is still open.
_FORWARD = (
    "select count(*) filter (where datname = :'new') = 0 and count(*) filter (where datname = :'old') = 1 as is_done\n"
    "from pg_database \\gset\n"
    "\\if :is_done\n\\else\n"
    + COPY_PROPERTIES
    + SETTINGS
    + "select format('alter database %I is_template true', :'new') from pg_database\n"
    "where datname = :'live' and datistemplate\n\\gexec\n"
    + SHUT
    + 'begin;\nalter database :"live" rename to :"old";\nalter database :"new" rename to :"live";\ncommit;\n'
    "\\endif\n"
)

# `must`: the run was committed, so the old database has to be somewhere.
_BACK = (
    END_OWN
    + """\
select count(*) filter (where datname = :'old') = 1 as present,
  count(*) filter (where datname = :'live') = 1 as has_live,
  :'must'::bool and count(*) filter (where datname in (:'old', :'left')) = 0 as is_gone
from pg_database \\gset
\\if :is_gone
  \\warn 'there is no database' :old 'to go back to'
  select 1/0 as "the old database is gone";
\\endif
\\if :present
\\if :has_live
\\set new :old
"""
    + SHUT
    + """\
\\endif
begin;
select format('alter database %I rename to %I', :'live', :'aside') where :'has_live'::bool
\\gexec
alter database :"old" rename to :"live";
commit;
\\endif
"""
)

_OPEN = """\
select format('alter database %I allow_connections true', datname) from pg_database
where datname in (:'live', :'old', :'left') and not datallowconn
\\gexec
"""

# psql stops at the first error; the second psql opens what was shut again whatever happened. What was put aside is open
# as well: it is compared and looked into later.
_RUN = (
    AWAIT_DB
    + """\
user=$3 live=$4 old=$5 new=$6 left=$7 run=$8 folder=$9 body=${10} side=${11}
aside=$new must=false
if [ -e "$folder/decided-undo" ]; then must=true; fi
if [ "$must" = true ] || [ -e "$folder/served" ]; then aside=$left; fi
"""
    + INSIDE
    + """\
ask() {
  inside psql -XqAt -v ON_ERROR_STOP=1 -v live="$live" -v old="$old" \\
    -v new="$new" -v left="$left" -v aside="$aside" -v must="$must" -v own="rollback-$run" -U "$user" -d "$side" -f -
}
code=0
printf '%s' "$body" | ask || code=$?
ask <<'END' || code=1
"""
    + _OPEN
    + """\
END
exit $code
"""
)


def _run(project: Project, run_id: str, body: str, *, effect: Effect) -> Command:
    return script(
        _RUN,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        copy_name(project.database, run_id),
        restored_name(project.database, run_id),
        left_name(project.database, run_id),
        run_id,
        project.database_site.run_folder(run_id),
        body,
        project.side_database,
        effect=effect,
        timeout=180,
        place=project.database_site.place,
    )


def forward(project: Project, run_id: str) -> Command:
    """Return the command that gives the restored database the properties of the live one and its place; the old one is
    kept as ``DB__before_RUN``. Does nothing where that was done."""
    return _run(project, run_id, _FORWARD, effect=Effect.DESTROY)


def back(project: Project, run_id: str) -> Command:
    """Return the command that makes the old database the live one again. Does nothing where it is.

    The restored one gets its own name back. Where the application may have written to it (see ``note_served``), or the
    run was finished before it was undone, it is kept as ``DB__left_RUN``.
    """
    return _run(project, run_id, _BACK, effect=Effect.DESTROY)


def is_swapped(project: Project, run_id: str) -> Command:
    """Return the check that the restored database is the live one, open, and that the old one is kept."""
    return sql(
        project,
        "select 1 / (count(*) filter (where datname = :'live' and datallowconn) = 1\n"
        "  and count(*) filter (where datname = :'old' and datallowconn) = 1\n"
        "  and count(*) filter (where datname = :'new') = 0)::int\n"
        "from pg_database \\g /dev/null",
        effect=Effect.READ,
        database=project.side_database,
        values=_names(project, run_id),
    )


def is_ready(project: Project, run_id: str) -> Command:
    """Return the check that the restored database waits beside the live one, or already took its place."""
    return sql(
        project,
        "select 1 / (count(*) filter (where datname in (:'live', :'new')) = 2\n"
        "  or count(*) filter (where datname in (:'live', :'old')) = 2)::int from pg_database \\g /dev/null",
        effect=Effect.READ,
        database=project.side_database,
        values=_names(project, run_id),
    )


def _names(project: Project, run_id: str) -> tuple[tuple[str, str], ...]:
    return (
        ("live", project.database),
        ("old", copy_name(project.database, run_id)),
        ("new", restored_name(project.database, run_id)),
    )


_NOTE = 'umask 077; : >"$1" || exit 1; sync "$1" "${1%/*}" 2>/dev/null || sync'


def note_served(project: Project, run_id: str) -> Command:
    """Return the command that writes down that the application may write to the restored database from now on."""
    at = project.database_site
    return script(_NOTE, f"{at.run_folder(run_id)}/served", effect=Effect.WRITE, place=at.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacles:
    """What keeps a database from being renamed, besides what its facts say.

    :param slots: logical replication slots; they stay with the old database.
    :param protected: sessions that the tool's own role may not end.
    :param may_create: the tool's own role may make databases.
    """

    slots: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    may_create: bool = True


_OBSTACLES = """\
select json_build_object(
  'slots', (select coalesce(json_agg(slot_name::text order by slot_name), '[]') from pg_replication_slots
    where database = :'live'),
  'protected', (select coalesce(json_agg(format('%s of %s (%s)', pid, usename,
      coalesce(nullif(application_name, ''), 'unnamed')) order by pid), '[]')
    from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
    where a.datname = :'live' and a.pid <> pg_backend_pid() and not (o.rolsuper or pg_has_role(r.oid, 'member')
      or (not r.rolsuper and pg_has_role('pg_signal_backend', 'member')))),
  'may_create', o.rolsuper or o.rolcreatedb)
from pg_roles o where o.rolname = current_user;
"""


def obstacles(project: Project) -> Command:
    """Return the command that prints what would keep the live database from being renamed."""
    return sql(
        project,
        _OBSTACLES,
        effect=Effect.READ,
        database=project.side_database,
        values=(("live", project.database),),
    )


def read_obstacles(text: str) -> Obstacles:
    """Given the answer of ``obstacles``, return them. Raise MalformedAnswer."""
    try:
        said = json.loads(text)
        return Obstacles(
            slots=tuple(said["slots"]), protected=tuple(said["protected"]), may_create=bool(said["may_create"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedAnswer("the database described itself in an unknown form", details=text[:200]) from error
