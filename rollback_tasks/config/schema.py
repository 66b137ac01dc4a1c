"""The values that hosts.yaml becomes: checked, complete, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollback_tasks.shell import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig:
    """The application's database inside the ``db_service`` container.

    :param host: inventory name of the host whose container serves it; None = the host itself.
    """

    name: str
    user: str
    host: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationsConfig:
    """Where alembic is found.

    :param service: the compose service whose image carries it.
    :param command: the words that start it there.
    :param directory: script folder in the checkout; None = what alembic.ini says at each commit.
    """

    service: str
    command: tuple[str, ...] = ("alembic",)
    directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """What "the application is well" means, asked from the host itself. All times are seconds."""

    url: str
    timeout: float = 60.0
    interval: float = 0.2
    soak: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupsConfig:
    """Where dumps lie.

    :param remote_dir: folder on the host; relative to ``project_dir``, or absolute.
    :param local_dir: absolute folder on the laptop.
    :param keep: proven backups that a prune leaves.
    :param wal_archive: folder inside the database's container that its write-ahead log is archived to.
    """

    remote_dir: str = ".rollback/backups"
    local_dir: str
    keep: int = 10
    wal_archive: str = "/wal_archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitConfig:
    """The remote, and the branches that are never pushed to by force."""

    remote: str = "origin"
    protected_branches: tuple[str, ...] = ("main",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """The dead-man guard on the host.

    :param lease: seconds without a sign of life after which the host undoes an unfinished run by itself.
    """

    lease: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """One deployment host. None means "as ~/.ssh/config has it" for the keys of the connection, and
    "what compose itself would choose" for ``compose_project``.

    :param name: the name in the inventory.
    :param hostname: what is connected to; the name itself where the file says nothing.
    :param identity_file: absolute path on the laptop.
    :param known_hosts_file: absolute path on the laptop of the only file that host keys are looked up in.
    :param project_dir: absolute path of the checkout on the host.
    :param compose_files: paths in the checkout, in the order that compose gets them.
    :param app_services: compose services that a rollback stops, switches and starts.
    :param endpoints: paths of the health URL's server, or whole URLs, that have to answer 2xx or 3xx.
    :param smoke_command: words to run inside the first app service that goes on running; empty = none.
    :param tables: tables that reports count; empty = every table.
    """

    name: str
    hostname: str
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None
    proxy_jump: str | None = None
    known_hosts_file: str | None = None
    project_dir: str
    compose_files: tuple[str, ...] = ("docker-compose.yml",)
    compose_project: str | None = None
    app_services: tuple[str, ...]
    db_service: str = "db"
    database: DatabaseConfig
    migrations: MigrationsConfig
    health: HealthConfig
    endpoints: tuple[str, ...] = ()
    smoke_command: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    backups: BackupsConfig
    git: GitConfig = field(default_factory=GitConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)

    @property
    def words(self) -> tuple[str, ...]:
        """Names and folders, which are no secrets."""
        named = (self.name, self.hostname, self.user or "", self.project_dir, self.compose_project or "")
        services = (*self.app_services, self.db_service, self.migrations.service)
        return (*named, *services, *self.compose_files, self.database.name, self.database.user)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody to call; printed by ``emergency.contacts`` and in every failed report."""

    role: str
    name: str = ""
    phone: str = ""
    slack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All of hosts.yaml.

    :param path: the file that it was read from.
    :param hosts: in the order of the file.
    :param groups: group name to host names, in the order of ``hosts``.
    :param webhook: where reports are sent to; a secret, because such addresses carry their own key.
    """

    path: str
    hosts: Mapping[str, HostConfig]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
    webhook: Secret | None = None
