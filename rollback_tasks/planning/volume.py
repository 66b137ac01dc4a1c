"""Whether the volume of a database can be exchanged for one made from a backup, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Backup, Release
from rollback_tasks.model.volumes import ClusterFacts, DataVolume, Mount, VolumeFacts
from rollback_tasks.planning.database_parts import emergency
from rollback_tasks.planning.parts import Settings
from rollback_tasks.planning.restore_sequence import Source, of_backup, serving_again
from rollback_tasks.steps.exchange_volumes import ExchangeVolumes, StartDatabase, StopDatabase
from rollback_tasks.steps.new_volume import CloseVolume, FillVolume, MakeVolume
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.swap_database import NoteServed

# A new cluster besides what is restored into it: its own databases and its log.
_CLUSTER_BYTES = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asked for.

    :param leaves: databases that may stay behind in the old volume.
    """

    leaves: frozenset[str] = frozenset()


def mount_of(facts: VolumeFacts) -> Mount | None:
    """Return the mount that the cluster lies in; None where it lies in none."""
    if facts.cluster is None:
        return None
    folder = facts.cluster.data_folder
    holding = [m for m in facts.mounts if f"{folder}/".startswith(f"{m.target.rstrip('/')}/")]
    return max(holding, key=lambda mount: len(mount.target), default=None)


def data_volume(facts: VolumeFacts, image: str) -> DataVolume | None:
    """Return the named volume that the cluster lies in; None where it is something else."""
    mount = mount_of(facts)
    if facts.cluster is None or mount is None or mount.kind != "volume":
        return None
    return DataVolume(name=mount.name, mounted_at=mount.target, data_folder=facts.cluster.data_folder, image=image)


def blockers(facts: HostFacts, project: Project, found: VolumeFacts, backup: Backup, wish: Wish) -> Iterator[Blocker]:
    """Yield why the volume cannot be exchanged; what ``rollback.restore`` does needs none of this."""
    restore = (
        f"`inv rollback.restore --host {facts.host} --backup {backup.name}` takes the database back inside the server, "
        "and leaves the volume alone."
    )
    if project.site is not None:
        yield Blocker(f"the database of {facts.host} is served by {project.site.place}, whose volume it is", restore)
        return
    if found.problem or found.cluster is None:
        yield Blocker(f"nobody can say where the database lies: {found.problem}", restore)
        return
    for why in (*_place(found), *_content(found.cluster, facts, project, wish)):
        yield Blocker(why, restore)
    others = sorted(set(found.cluster.others) - wish.leaves)
    if others:
        yield Blocker(
            f"the cluster holds other databases, which the backup does not have: {', '.join(others)}",
            f"{restore} Where they may stay behind in the old volume, add --leave {','.join(others)}",
        )
    database = facts.database
    if database is None:
        return
    if backup.server_version // 10000 != database.version // 10000:
        yield Blocker(
            f"backup {backup.name} was made by PostgreSQL {backup.server_version // 10000}, and the image of the "
            f"database is {database.version // 10000}",
            restore,
        )
    needed = database.size_bytes * 1.3 + _CLUSTER_BYTES
    free = min(database.free_bytes, facts.docker_free_bytes)
    if free < needed:
        yield Blocker(
            f"no room for a second volume: {free // 1_000_000} MB free where Docker's volumes lie, "
            f"about {needed / 1_000_000:.0f} MB needed",
            f"free some on {facts.host}, then plan again.",
        )


def _place(found: VolumeFacts) -> Iterator[str]:
    """Yield what is wrong with where the cluster lies."""
    cluster, mount = found.cluster, mount_of(found)
    assert cluster is not None
    if found.containers != 1:
        yield f"the service of the database has {found.containers} containers: it is not clear which of them is meant"
    if mount is None:
        yield f"the data folder {cluster.data_folder} lies in no volume at all"
        return
    if mount.kind != "volume":
        yield f"the data lies in a folder of the host ({mount.name}), in no volume"
        return
    if found.driver != "local" or found.options:
        made = f"driver {found.driver}" + (f" and options {', '.join(found.options)}" if found.options else "")
        yield f"volume {mount.name} was made with {made}: its data may lie on another machine"
    if found.users:
        yield f"other containers have volume {mount.name} as well: {', '.join(found.users)}"
    below = [m.target for m in found.mounts if m != mount and m.target.startswith(f"{mount.target}/")]
    if below:
        yield f"parts of the data lie in volumes of their own ({', '.join(below)}), which would not go along"


def _content(cluster: ClusterFacts, facts: HostFacts, project: Project, wish: Wish) -> Iterator[str]:
    """Yield what of the cluster would get lost or break."""
    if facts.database is not None and not facts.database.is_superuser:
        yield f"role {project.database_user} is no superuser: the roles and their passwords cannot be taken along"
    if project.database in ("postgres", "template1", "template0"):
        yield f"{project.database} is a database of the server itself, which a new cluster has already"
    if cluster.tablespaces:
        yield f"tablespaces lie outside the data folder: {', '.join(cluster.tablespaces)}"
    if cluster.slots:
        yield f"replication slots would be gone: {', '.join(cluster.slots)}"
    if cluster.replicas:
        yield f"{cluster.replicas} other servers follow this one; they could not follow the new one"
    if cluster.prepared:
        yield f"prepared transactions would be gone: {', '.join(cluster.prepared)}"
    strays = [name for name in cluster.strays if name not in wish.leaves]
    if strays:
        yield (
            f"somebody made tables or functions in {', '.join(strays)}, which the backup does not have (--leave "
            f"{','.join(strays)} leaves them behind in the old volume)"
        )


def warnings(found: VolumeFacts, wish: Wish) -> Iterator[str]:
    """Yield what the operator should know of the cluster."""
    if found.cluster is None:
        return
    left = sorted({*found.cluster.others, *found.cluster.strays} & wish.leaves)
    if left:
        yield f"left behind in the old volume: {', '.join(left)}"
    if found.cluster.kept:
        yield f"what earlier runs kept stays in the old volume: {', '.join(found.cluster.kept)}"
    if found.cluster.archives:
        yield (
            "the new cluster archives on a timeline of its own; a recovery to a moment after this run needs a new base "
            "backup (`inv backup.base`)"
        )


def costs(volume: DataVolume, run_id: str, lost: Sequence[str], *, since: str) -> tuple[str, ...]:
    """Return what leaves the live database, as the operator has to agree to it.

    :param lost: rows, in words; ``since``: ISO time of the backup.
    """
    return (*lost, f"whatever was changed since {since} (it stays in volume {volume.aside(run_id)})")


def sequence(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    backup: Backup,
    volume: DataVolume,
    archives: bool,
    settings: Settings,
    is_pulled: bool,
    proves: bool,
) -> tuple[Step, ...]:
    """Return the steps, in order.

    :param archives: the live server archives its log.
    :param is_pulled: the compose file asks for a pull, which is held back.
    :param proves: as of ``emergency``.
    """
    source: Source = of_backup(backup)
    old = tuple(c for c in facts.containers if c.service in project.app_services)
    before = facts.database.schema if facts.database else ()
    return (
        SaveEvidence(project_=project, run_id=run_id),
        *emergency(project, run_id, facts, current, settings, proves=proves),
        MakeVolume(project_=project, run_id=run_id, volume=volume),
        FillVolume(project_=project, run_id=run_id, source=source.path, size_bytes=source.size_bytes),
        CloseVolume(
            project_=project,
            run_id=run_id,
            volume=volume,
            source=source.path,
            schema=source.schema,
            archives=archives,
            size_bytes=source.size_bytes,
        ),
        StopServices(project_=project, old=old, is_pulled=is_pulled),
        StopDatabase(project_=project, run_id=run_id),
        ExchangeVolumes(project_=project, run_id=run_id, volume=volume, before=before, after=source.schema),
        StartDatabase(project_=project, run_id=run_id, volume=volume, after=source.schema),
        NoteServed(project_=project, run_id=run_id),
        *serving_again(project, facts, settings, source.schema, is_pulled=is_pulled),
    )
