"""The deployed application as its drivers address it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a project's database is served.

    :param place: inventory name of that host; empty = the project's own host.
    :param project: compose project there, and ``service`` its database service.
    :param folder: absolute path of the checkout there.
    """

    place: str
    project: str
    service: str
    folder: str

    def run_folder(self, run_id: str) -> str:
        """The folder of one run there."""
        return f"{self.folder}/.rollback/runs/{run_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One compose project on one host.

    :param folder: absolute path of the checkout that holds the compose files.
    :param compose: the words that start compose, ``docker compose`` or ``docker-compose``.
    :param name: compose project name; always passed, so that both generations agree on it.
    :param backup_folder: absolute path on the host that serves the database.
    :param site: the other host that serves the database; None where this one does.
    :param wal_archive: folder inside the database's container that its write-ahead log is archived to.
    :param migrations_folder: where the inventory says that the migration scripts are; empty = alembic.ini says it.
    """

    folder: str
    compose: tuple[str, ...]
    name: str
    files: tuple[str, ...]
    app_services: tuple[str, ...]
    db_service: str
    database: str
    database_user: str
    migrations_service: str
    migrations_command: tuple[str, ...]
    migrations_folder: str
    backup_folder: str
    remote: str
    site: Site | None = None
    wal_archive: str = "/wal_archive"

    @property
    def database_site(self) -> Site:
        """Where the database is served: another host, or this one."""
        return self.site or Site(place="", project=self.name, service=self.db_service, folder=self.folder)

    @property
    def side_database(self) -> str:
        """A database of the server to work on the application's from; nobody can shut or rename the one he is in."""
        return "template1" if self.database == "postgres" else "postgres"

    @property
    def state_folder(self) -> str:
        """Where the tool keeps its own files on the host."""
        return f"{self.folder}/.rollback"

    def run_folder(self, run_id: str) -> str:
        """The folder of one run."""
        return f"{self.state_folder}/runs/{run_id}"

    def backup_name(self, run_id: str) -> str:
        """The name of the backup that a run makes: one file name, whatever the database is called."""
        return f"{self.backup_prefix}{run_id}"

    def put_aside_backup_name(self, name: str) -> str:
        """The name of the backup of a database that a run put aside as ``name``: ``PREFIX-RUN-before`` or ``-left``."""
        role, _, run_id = name.rpartition("__")[2].partition("_")
        return f"{self.backup_name(run_id)}-{role}"

    @property
    def backup_prefix(self) -> str:
        """What the names of this database's backups begin with; other databases may use the same folder."""
        return re.sub(r"^[.-]|[^\w.-]", "_", self.database) + "-"

    def compose_words(self, *words: str, files: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a compose command line. ``files`` are relative to the folder that it runs in."""
        named = [word for file in (files or self.files) for word in ("-f", file)]
        return (*self.compose, "-p", self.name, *named, *words)
