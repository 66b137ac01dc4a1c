"""Docker volumes of a database: where its cluster lies, and what else is in that cluster."""

from __future__ import annotations

import json
import re
from typing import Any

from rollback_tasks.drivers.postgres import FIND_DB, sql
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.model.volumes import ClusterFacts, Mount
from rollback_tasks.shell import Command, Effect, script

_MOUNTS = (
    FIND_DB
    + """\
docker ps -aq --filter "label=com.docker.compose.project=$1" --filter "label=com.docker.compose.service=$2" \\
  --filter label=com.docker.compose.oneoff=False | wc -l | tr -d ' '
docker inspect --type container --format '{{json .Mounts}}' "$db"
"""
)


def mounts(project: Project) -> Command:
    """Return the command that prints the number of the database's containers, then the mounts of the one that runs."""
    at = project.database_site
    return script(_MOUNTS, at.project, at.service, effect=Effect.READ, place=at.place)


def read_mounts(text: str) -> tuple[int, tuple[Mount, ...]]:
    """Given the answer of ``mounts``, return both. Raise MalformedAnswer."""
    try:
        first, _, rest = text.partition("\n")
        return int(first), tuple(_mount(said) for said in json.loads(rest) or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer("docker described the mounts in an unknown form", details=text[:300]) from error


def _mount(said: dict[str, Any]) -> Mount:
    return Mount(
        kind=str(said["Type"]),
        name=str(said.get("Name") or said.get("Source") or ""),
        target=str(said["Destination"]).rstrip("/") or "/",
        driver=str(said.get("Driver") or ""),
    )


_VOLUME = """\
docker volume inspect --format '{{json .}}' "$1" || exit 1
who='{{.Label "com.docker.compose.project"}} {{.Label "com.docker.compose.service"}} {{.Names}}'
docker ps -a --filter "volume=$1" --format "$who"
"""


def volume(project: Project, name: str) -> Command:
    """Return the command that describes a volume, and names the containers that have it."""
    return script(_VOLUME, name, effect=Effect.READ, place=project.database_site.place)


def read_volume(text: str, project: Project) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Given the answer of ``volume``, return its driver, its options, and who else has it. Raise MalformedAnswer."""
    first, _, rest = text.partition("\n")
    try:
        said = json.loads(first)
        driver, options = str(said["Driver"]), tuple(sorted(said.get("Options") or {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer("docker described a volume in an unknown form", details=text[:300]) from error
    own = f"{project.database_site.project} {project.database_site.service} "
    others = tuple(line.split(" ")[-1] for line in rest.splitlines() if line.strip() and not line.startswith(own))
    return driver, options, others


def is_there(project: Project, name: str) -> Command:
    """Return the command that tells whether there is a volume of that name (exit code 1: no)."""
    return script(
        'docker version >/dev/null || exit 2; docker volume inspect "$1" >/dev/null 2>&1',
        name,
        effect=Effect.READ,
        ok_codes=frozenset({0, 1}),
        place=project.database_site.place,
    )


_CLUSTER = """\
select json_build_object(
  'data_folder', current_setting('data_directory'),
  'databases', (select coalesce(json_agg(datname order by datname), '[]') from pg_database
    where datname not in ('postgres', 'template0', 'template1', current_database())),
  'tablespaces', (select coalesce(json_agg(spcname order by spcname), '[]') from pg_tablespace
    where spcname not in ('pg_default', 'pg_global')),
  'slots', (select coalesce(json_agg(slot_name order by slot_name), '[]') from pg_replication_slots
    where not temporary),
  'replicas', (select count(*) from pg_stat_replication),
  'prepared', (select coalesce(json_agg(gid order by gid), '[]') from pg_prepared_xacts),
  'archives', current_setting('archive_mode') <> 'off');
"""

_STRAYS = """\
select (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
        and d.deptype = 'e'))
  + (select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
        and d.deptype = 'e'));
"""


def cluster(project: Project) -> Command:
    """Return the command that says what else is in the cluster of the live database, as JSON."""
    return sql(project, _CLUSTER, effect=Effect.READ)


def strays(project: Project, database: str) -> Command:
    """Return the command that counts what somebody made in one of the server's own databases."""
    return sql(project, _STRAYS, effect=Effect.READ, database=database, ok_codes=frozenset(range(124)))


# As `drivers.databases` calls them.
_KEPT = re.compile(r"__(scratch|before|left|restored)_\d{8}T\d{6}Z-[0-9a-f]{4}\Z")


def read_cluster(text: str, found: dict[str, str]) -> ClusterFacts:
    """Given the answer of ``cluster``, and those of ``strays`` by database, return the facts. Raise MalformedAnswer."""
    try:
        said = json.loads(text)
        databases = tuple(str(name) for name in said["databases"])
        return ClusterFacts(
            data_folder=str(said["data_folder"]).rstrip("/"),
            others=tuple(name for name in databases if not _KEPT.search(name)),
            kept=tuple(name for name in databases if _KEPT.search(name)),
            tablespaces=tuple(said["tablespaces"]),
            slots=tuple(said["slots"]),
            replicas=int(said["replicas"]),
            prepared=tuple(said["prepared"]),
            archives=bool(said["archives"]),
            strays=tuple(name for name, count in found.items() if count.strip() not in ("", "0")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedAnswer("the server described its cluster in an unknown form", details=text[:300]) from error
