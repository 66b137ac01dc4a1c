"""One host during one command: connection, project, facts."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.errors import ExitCode, RollbackError, UsageError
from rollback_tasks.execution.gather import Gathered, default_project_name, first_look, gather
from rollback_tasks.execution.places import Places
from rollback_tasks.flows.world import World
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.outcome import HostReport, Outcome
from rollback_tasks.model.project import Project, Site
from rollback_tasks.planning.parts import Settings
from rollback_tasks.ports import Host

# Handshakes cost the laptop's processor; more at once gains nothing and runs into a jump host's limits.
AT_ONCE = 8


@dataclass(slots=True, kw_only=True)
class Session:
    """A connected host and what it said. ``host`` is replaced where a connection was lost and made again."""

    config: HostConfig
    host: Host
    gathered: Gathered

    @property
    def project(self) -> Project:
        """The deployed application."""
        return self.gathered.project

    @property
    def facts(self) -> HostFacts:
        """What the host is."""
        return self.gathered.facts

    @property
    def settings(self) -> Settings:
        """Waiting and storing."""
        health = self.config.health
        return Settings(
            health_url=health.url,
            health_timeout=health.timeout,
            health_interval=health.interval,
            health_soak=health.soak,
            local_backups=posixpath.join(self.config.backups.local_dir, self.config.name),
        )


def open_session(config: HostConfig, world: World, *, to: str | None = None) -> Session:
    """Connect to a host and gather its facts; nothing is changed.

    :raises Unreachable: no connection.
    :raises PlanRefused: the host lacks a tool.
    """
    host = connected(config, world)
    try:
        return look_again(config, host, world, to=to)
    except BaseException:
        host.close()
        raise


def connected(config: HostConfig, world: World) -> Host:
    """Return a connection to a host, together with one to the host that serves its database where that is another.

    :raises Unreachable: one of them does not answer.
    """
    own = world.connect(config)
    if config.database.host is None:
        return own
    try:
        return Places(own, {config.database.host: world.connect(world.hosts[config.database.host])})
    except BaseException:
        own.close()
        raise


def look_again(config: HostConfig, host: Host, world: World, *, to: str | None = None) -> Session:
    """Gather the facts of a connected host."""
    folder = config.project_dir.rstrip("/") or "/"
    backups = posixpath.join(folder, config.backups.remote_dir)
    beside = posixpath.dirname(posixpath.join(folder, config.compose_files[0]))
    watched = world.read_only(host)
    found = first_look(watched, folder, backups, config.compose_files)
    site = None
    archive = config.backups.wal_archive
    if isinstance(host, Places) and config.database.host is not None:
        there = world.hosts[config.database.host]
        base = there.project_dir.rstrip("/") or "/"
        backups = posixpath.join(base, there.backups.remote_dir)
        archive = there.backups.wal_archive
        seen = first_look(world.read_only(host.at(there.name)), base, backups, there.compose_files)
        found = replace(
            found,
            backup_free_bytes=seen.backup_free_bytes,
            docker_free_bytes=seen.docker_free_bytes,
            backup_disk=seen.backup_disk,
            docker_disk=seen.docker_disk,
        )
        near = posixpath.dirname(posixpath.join(base, there.compose_files[0]))
        name = there.compose_project or default_project_name(near, seen.env_project)
        site = Site(place=there.name, project=name, service=there.db_service, folder=base)
    project = Project(
        folder=folder,
        compose=found.tools.compose,
        name=config.compose_project or default_project_name(beside, found.env_project),
        files=config.compose_files,
        app_services=config.app_services,
        db_service=config.db_service,
        database=config.database.name,
        database_user=config.database.user,
        migrations_service=config.migrations.service,
        migrations_command=config.migrations.command,
        migrations_folder=config.migrations.directory or "",
        backup_folder=backups,
        remote=config.git.remote,
        site=site,
        wal_archive=archive,
    )
    gathered = gather(watched, project, found, health_url=config.health.url, clock=world.clock, to=to)
    return Session(config=config, host=host, gathered=gathered)


def open_all(
    configs: Sequence[HostConfig], world: World, *, to: str | None = None
) -> tuple[list[Session], dict[str, RollbackError]]:
    """Open a session to every host at once; return those that came and the errors of those that did not.

    :raises UsageError: of the first host that has one.
    """

    def attempt(config: HostConfig) -> Session | RollbackError:
        try:
            return open_session(config, world, to=to)
        except RollbackError as error:
            return error

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        results = list(pool.map(attempt, configs))
    sessions = [result for result in results if isinstance(result, Session)]
    errors = {c.name: r for c, r in zip(configs, results, strict=True) if isinstance(r, RollbackError)}
    for error in errors.values():
        if isinstance(error, UsageError):
            close_all(sessions)
            raise error
    return sessions, errors


def close_all(sessions: Sequence[Session]) -> None:
    """End every connection."""
    for session in sessions:
        session.host.close()


_OUTCOMES = {
    ExitCode.REFUSED: Outcome.BLOCKED,
    ExitCode.RESTORED: Outcome.FAILED,
    ExitCode.STRANDED: Outcome.STRANDED,
    ExitCode.LOCKED: Outcome.LOCKED,
    ExitCode.UNREACHABLE: Outcome.UNREACHABLE,
    ExitCode.DECLINED: Outcome.DECLINED,
    ExitCode.PROBLEMS: Outcome.PROBLEMS,
}


def untouched(name: str, error: RollbackError) -> HostReport:
    """Return the report of a host that a command failed on before it changed anything."""
    is_lost = error.exit_code is ExitCode.STRANDED
    outcome = Outcome.UNREACHABLE if is_lost else _OUTCOMES.get(error.exit_code, Outcome.FAILED)
    # Gathering facts changes nothing: what failed there was refused, it was not put back.
    if error.exit_code is ExitCode.RESTORED:
        outcome = Outcome.BLOCKED
    text = f"{error.brief}\n{error.details}" if error.details else error.brief
    return HostReport(host=name, outcome=outcome, error=text, hint=error.hint or None)
