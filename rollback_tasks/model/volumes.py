"""The volume that a database lies in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVolume:
    """A named volume and what its server makes of it.

    :param name: of the volume.
    :param mounted_at: where it is in the container, and ``data_folder``: where the cluster is, there or below.
    :param image: id of the image that the database's container was made from.
    """

    name: str
    mounted_at: str
    data_folder: str
    image: str

    def aside(self, run_id: str) -> str:
        """Return the name of the volume that holds what a run put aside; first it holds what the run makes."""
        return f"{self.name}__aside_{run_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount of the database's container, as docker says it."""

    kind: str
    name: str
    target: str
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What of a cluster a new one has to take along, or cannot.

    :param others: databases besides the application's, the server's own, and those that runs kept.
    :param kept: databases that earlier runs kept.
    :param tablespaces: outside the data folder.
    :param slots: replication slots, of any kind.
    :param replicas: servers that follow this one.
    :param prepared: prepared transactions, in any database.
    :param strays: how many tables and functions somebody made in the server's own databases, by database.
    :param archives: it archives its write-ahead log.
    """

    data_folder: str
    others: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    replicas: int = 0
    prepared: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    archives: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts:
    """Where the cluster lies.

    :param containers: of the database's service, stopped ones included.
    :param mounts: of the container that serves.
    :param driver: of the volume; ``options`` it was made with; ``users``: names of other containers that have it.
    :param problem: why nothing of this is known.
    """

    containers: int = 1
    mounts: tuple[Mount, ...] = ()
    cluster: ClusterFacts | None = None
    driver: str = "local"
    options: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    problem: str = ""
