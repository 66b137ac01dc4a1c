"""The rows of one table go from a restored database into the live one, in one transaction, and back.

What a run needs for that, and for its way back, lies in a schema of its own in the live database: ``columns`` and
``setting`` say how, ``stage`` holds the backup's rows, ``kept`` the rows that were changed or deleted as they were, and
``added`` the keys of those that were inserted.
"""

from __future__ import annotations

from rollback_tasks.drivers.databases import END_OWN, restored_name
from rollback_tasks.drivers.manifests import AS_VARIABLE
from rollback_tasks.drivers.postgres import AWAIT_DB, FIND_DB, INSIDE, sql
from rollback_tasks.drivers.table_functions import FUNCTIONS
from rollback_tasks.drivers.table_sql import DESCRIBE, DISCARD, KEPT, MERGE, STAGE, STAGED, UNDO
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script


def schema_name(run_id: str) -> str:
    """Return the name of the run's schema in the live database."""
    return f"rollback_{run_id}"


_ASK = (
    INSIDE
    + """\
ask() {
  database=$1
  shift
  inside psql -XqAt -v ON_ERROR_STOP=1 -v table="$table" \\
    -v schema="$schema" -U "$user" -d "$database" "$@"
}
"""
)

# As text: in the binary format a type that is not built in has a number, which differs between databases. How the left
# side of the pipe ended is told by the count of what arrived.
_STAGE = (
    FIND_DB
    + "user=$3 live=$4 new=$5 table=$6 schema=$7 run=$8 describe=$9 stage=${10} staged=${11} source=${12}\n"
    + _ASK
    + AS_VARIABLE
    + """\
columns=$(printf '%s' "$describe" | ask "$new" -f -) || exit 1
said=$({ printf '%s\\n' "$columns" | as_variable columns; printf '%s' "$stage"; } | ask "$live" -f -) || exit 1
from=$(printf '%s\\n' "$said" | sed -n 1p) list=$(printf '%s\\n' "$said" | sed -n 2p)
printf 'copy (select %s from %s) to stdout;\\n' "$list" "$from" | ask "$new" -f - |
  ask "$live" -c "copy \\"$schema\\".stage from stdin" || exit 1
counts=$(counts_of "$source")
[ -n "$counts" ] || { echo "the manifest of $source holds no counts" >&2; exit 1; }
printf '%s\\n%s' "$counts" "$staged" | ask "$live" -f -
"""
)


def stage(project: Project, *, table: str, source: str, run_id: str, timeout: float) -> Command:
    """Return the command that compares the table's columns in both databases, refuses what cannot be, and copies the
    backup's rows beside the live table. The table itself is not touched.

    :param table: as counts name it: ``schema.table``, without ``public.``.
    :param source: as of ``beside.restore``; its manifest says how many rows have to arrive.
    """
    return script(
        _STAGE,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        restored_name(project.database, run_id),
        table,
        schema_name(run_id),
        run_id,
        DESCRIBE,
        STAGE,
        STAGED,
        source,
        effect=Effect.WRITE,
        timeout=timeout,
        place=project.database_site.place,
    )


_MERGE = (
    FIND_DB
    + "user=$3 live=$4 table=$5 schema=$6 run=$7 mode=$8 deletes=$9 quiet=${10} body=${11} told=${12}\n"
    + _ASK
    + """\
umask 077
printf '%s' "$body" | ask "$live" -v mode="$mode" -v deletes="$deletes" -v quiet="$quiet" -f - >"$told.partial" &&
  mv "$told.partial" "$told" && cat "$told"
"""
)


def merge(
    project: Project, *, table: str, run_id: str, replaces: bool, deletes: bool, is_quiet: bool, timeout: float
) -> Command:
    """Return the command that puts the staged rows into the live table, in one transaction that readers do not notice.

    Rows that are missing are inserted. Nothing is committed where a foreign key of or to the table would be broken by
    it. What was done stands in the run's folder as ``told``.

    :param replaces: rows that differ get the backup's values.
    :param deletes: rows that the backup does not have are deleted, unless something refers to them.
    :param is_quiet: the table's own triggers do not fire.
    """
    return script(
        _MERGE,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        table,
        schema_name(run_id),
        run_id,
        "replace" if replaces else "merge",
        "true" if deletes else "false",
        "true" if is_quiet else "false",
        FUNCTIONS + MERGE,
        f"{project.database_site.run_folder(run_id)}/told",
        effect=Effect.DESTROY,
        timeout=timeout,
        place=project.database_site.place,
    )


def is_merged(project: Project, run_id: str) -> Command:
    """Return the check that the transaction was committed: what it kept is there."""
    return sql(
        project,
        "select 1 / (to_regclass(format('%I.kept', :'schema')) is not null)::int \\g /dev/null",
        effect=Effect.READ,
        values=(("schema", schema_name(run_id)),),
    )


# What a finished run kept has to be there, or what its undoing left behind.
_UNDO = (
    AWAIT_DB
    + "user=$3 live=$4 schema=$5 run=$6 folder=$7 body=$8 kept=$9 table=\n"
    + _ASK
    + """\
keeps=false
if [ -e "$folder/decided-undo" ]; then
  keeps=true
  printf '%s' "$kept" | ask "$live" -f - || exit 1
fi
printf '%s' "$body" | ask "$live" -v own="rollback-$run" -v keeps="$keeps" -f -
"""
)


def undo(project: Project, run_id: str) -> Command:
    """Return the command that ends what the run does in the server, gives changed and deleted rows back, takes inserted
    ones out, and drops the run's schema; of a finished run the rows as they were until now stay in it. Does nothing
    where that was done; fails where something that came later refers to a row that would have to go, or where a
    finished run's rows are no longer kept."""
    return script(
        _UNDO,
        project.database_site.project,
        project.database_site.service,
        project.database_user,
        project.database,
        schema_name(run_id),
        run_id,
        project.database_site.run_folder(run_id),
        END_OWN + FUNCTIONS + UNDO,
        KEPT,
        effect=Effect.DESTROY,
        timeout=900,
        place=project.database_site.place,
    )


def discard(project: Project, run_id: str) -> Command:
    """Return the command that ends what the run does in the server and drops the rows that it laid beside the table;
    what a merge kept stays."""
    return sql(
        project,
        END_OWN + DISCARD,
        effect=Effect.WRITE,
        values=(("schema", schema_name(run_id)), ("own", f"rollback-{run_id}")),
        application=f"rollback-{run_id}",
        timeout=180,
        waits=True,
    )


def told(project: Project, run_id: str) -> Command:
    """Return the command that prints what a merge did, as a sentence; nothing where there was none."""
    at = project.database_site
    return script('[ ! -e "$1" ] || cat "$1"', f"{at.run_folder(run_id)}/told", effect=Effect.READ, place=at.place)
