"""What a host is at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollback_tasks.model.recovery import BaseBackup
from rollback_tasks.model.release import Backup, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the host can be asked with. ``compose`` is the words that start compose."""

    git: str
    docker: str
    compose: tuple[str, ...]
    compose_version: str
    has_bash: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """The checkout.

    :param commit: HEAD, 40 hex digits.
    :param branch: the branch that HEAD is on; None when detached.
    :param dirty: changed or untracked paths (ignored ones are left out).
    :param tags: tag name to commit.
    :param unmerged: paths that an unfinished merge left in conflict.
    """

    commit: str
    branch: str | None
    dirty: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    unmerged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of the compose project, not one-off ones.

    :param grace: seconds that it is given to stop; -1 = any time.
    :param config_hash: what compose made it from, ``config_files`` the files that said so, as compose was called;
        empty where it has no such label.
    """

    id: str
    name: str
    service: str
    image: str
    image_ref: str
    state: str
    exit_code: int = 0
    restarts: int = 0
    health: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    workdir: str = ""
    started_at: str = ""
    grace: int = 10
    config_hash: str = ""
    config_files: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """True while its process runs (a restart loop is not running)."""
        return self.state == "running"

    @property
    def is_up(self) -> bool:
        """True where somebody wants it to run: its process runs, or is started again and again."""
        return self.state in ("running", "restarting")


# Seconds for a container that is never killed while it stops.
_ANY_TIME = 3600


def grace(containers: Iterable[Container]) -> int:
    """Return the seconds that containers may take to stop, one after the other."""
    return sum(c.grace if c.grace >= 0 else _ANY_TIME for c in containers)


def ran(containers: Iterable[Container]) -> dict[str, str]:
    """Return service to the image that it runs: of several containers, the first one's."""
    return {c.service: c.image for c in reversed(tuple(containers)) if c.is_up}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One client of the database."""

    pid: int
    user: str
    application: str
    address: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """The live database.

    :param container: id of the container that serves it.
    :param version: ``server_version_num``, e.g. 150018.
    :param system_identifier: identity of the cluster; equal on two hosts = one shared database.
    :param size_bytes: of this database.
    :param schema: sorted rows of ``alembic_version``; empty where the table is missing or empty.
    :param free_bytes: free where the data directory lies; ``disk``: its name.
    :param counts: exact rows of every table, by ``schema.table`` (``public.`` left out).
    :param prepared: names of prepared transactions (they block a rename).
    :param put_aside: databases that runs of any deployment put aside: name to bytes, -1 where that is not known;
        ``kept_schemas``: schemas of this one in which runs keep rows.
    :param subscriptions: names of enabled subscriptions (their workers write, and come back when they are ended).
    """

    container: str
    version: int
    system_identifier: str
    size_bytes: int
    schema: tuple[str, ...]
    free_bytes: int
    counts: Mapping[str, int] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()
    prepared: tuple[str, ...] = ()
    is_superuser: bool = True
    databases: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    disk: str = ""
    put_aside: Mapping[str, int] = field(default_factory=dict)
    kept_schemas: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOwner:
    """Who holds the host's lock, as written by the holder; times are the host's clock."""

    run_id: str
    operator: str
    laptop: str
    task: str
    reason: str
    taken_at: str
    heartbeat_age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """All that a plan is made from.

    :param database: None where it cannot be reached; ``database_problem`` then says why.
    :param backups: of the live database of this deployment, newest first; ``others`` lie in the same folder and are of
        another deployment, or of a database that a run put aside: each with what it is of.
    :param images: image ids and pin tags that are on the host, tag to id.
    :param compose_images: service to the image reference that the current compose file starts.
    :param backup_free_bytes: free where backups are written; ``docker_free_bytes`` where Docker keeps its data on the
        host that serves the database, 0 where that is not known. Two disks that are called alike are one.
    :param is_healthy: what the health URL says now.
    :param unfinished: run ids whose journal has no end.
    :param clock_skew: seconds that the host's clock is ahead of the laptop's.
    :param identity: equal under two names = one deployment, named twice.
    :param is_in_builds: an image that is built from the checkout may get the tool's own files, backups among them.
    """

    host: str
    tools: Tools
    git: GitFacts
    containers: tuple[Container, ...] = ()
    database: DatabaseFacts | None = None
    database_problem: str = ""
    ledger: tuple[Release, ...] = ()
    backups: tuple[Backup, ...] = ()
    others: tuple[tuple[Backup, str], ...] = ()
    bases: tuple[BaseBackup, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    compose_images: Mapping[str, str] = field(default_factory=dict)
    compose_problem: str = ""
    backup_free_bytes: int = 0
    docker_free_bytes: int = 0
    backup_disk: str = ""
    docker_disk: str = ""
    is_healthy: bool = False
    health_detail: str = ""
    lock: LockOwner | None = None
    unfinished: tuple[str, ...] = ()
    clock_skew: float = 0.0
    identity: str = ""
    is_in_builds: bool = False

    def service_containers(self, service: str) -> tuple[Container, ...]:
        """The containers of one compose service."""
        return tuple(container for container in self.containers if container.service == service)

    def up(self, services: tuple[str, ...]) -> tuple[Container, ...]:
        """The containers of compose services that somebody wants to run."""
        return tuple(c for c in self.containers if c.service in services and c.is_up)

    def running_images(self, services: tuple[str, ...]) -> dict[str, str]:
        """Service to image id, for the services that have a container."""
        return {c.service: c.image for c in self.containers if c.service in services}
