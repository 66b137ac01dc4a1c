"""Ask a host everything that a plan needs, in few round trips; nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollback_tasks.drivers import base_backup, compose, containers, git, images, ledger, manifests, postgres
from rollback_tasks.drivers.compose import Service
from rollback_tasks.drivers.posix import Survey, read_survey, survey
from rollback_tasks.errors import CommandFailed, MalformedAnswer, PlanRefused
from rollback_tasks.execution import lock
from rollback_tasks.execution.asking import ask
from rollback_tasks.execution.gate import describe
from rollback_tasks.model.facts import DatabaseFacts, HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Clock, Completed, Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a host said.

    :param services: of the compose file as it lies in the work tree; empty where compose refuses it.
    :param resolved: the commit that the operator's ``--to`` names; None where it names none, or none was asked.
    :param damaged: lines of the ledger that cannot be read.
    """

    project: Project
    facts: HostFacts
    services: Mapping[str, Service]
    resolved: str | None
    damaged: int


def first_look(host: Host, folder: str, backup_folder: str, files: Sequence[str]) -> Survey:
    """Ask which tools and how much room a host has.

    :param files: the compose files, relative to ``folder``.
    :raises PlanRefused: something is missing without which no rollback can work.
    """
    found = read_survey(host.run(survey(folder, backup_folder, files)).text)
    if found.problem:
        raise PlanRefused(
            found.problem,
            details="nothing was changed",
            hint=f"mend it, then try `inv host.status --host {host.name}`.",
            host=host.name,
        )
    return found


def default_project_name(folder: str, env_project: str) -> str:
    """Return the compose project name that compose itself would choose.

    :param folder: the one of the first compose file.
    :param env_project: what `.env` or a compose file says.
    """
    if env_project:
        return env_project
    name = re.sub(r"[^a-z0-9_-]", "", folder.rstrip("/").rpartition("/")[2].lower())
    return name.lstrip("_-") or "default"


def gather(host: Host, project: Project, found: Survey, *, health_url: str, clock: Clock, to: str | None) -> Gathered:
    """Ask a host for all facts.

    :param to: what the operator wants to go back to, as typed; looked up in git.
    :raises StepFailed: a tool failed or answered in an unknown form.
    """
    skew = found.now - clock.now()
    commands = [
        git.state(project.folder),
        lock.reading(project.state_folder),
        ledger.read(project.state_folder),
        images.listing(),
        containers.containers(project.name),
        compose.config(project),
        git.resolve(project.folder, to if to is not None else "HEAD"),
        manifests.manifests(project),
        base_backup.manifests(project),
        postgres.facts(project),
        postgres.free_space(project),
    ]
    answers = ask(host, commands)
    if len(answers) < len(commands) or answers[-1].exit_code not in commands[-1].ok_codes:
        last = answers[-1] if answers else Completed(exit_code=-1)
        words = commands[max(0, len(answers) - 1)].argv[:1]
        raise CommandFailed(words, last.exit_code, last.error_text, host=host.name)
    tree, locked, releases, pictures, running, config, commit, dumps, bases, database, room = answers
    owner, unfinished = lock.read(locked.text)
    record = ledger.parse(releases.text)
    services, compose_problem = _services(config, project)
    found_containers = containers.read_containers(running.text)
    db = next((c for c in found_containers if c.service == project.db_service and c.is_running), None)
    facts_of_database, database_problem = _database(database, room, db.id if db else "")
    known = manifests.read_manifests(dumps.text, project.backup_folder, database=project.database)
    system = facts_of_database.system_identifier if facts_of_database else ""
    of = [(backup, manifests.origin(backup, project, host=host.name, system=system)) for backup in known]
    answer = host.http_get(health_url, timeout=5)
    facts = HostFacts(
        host=host.name,
        tools=found.tools,
        git=git.read_state(tree.stdout),
        containers=found_containers,
        database=facts_of_database,
        database_problem=database_problem,
        ledger=record.releases,
        backups=tuple(backup for backup, other in of if not other),
        others=tuple((backup, other) for backup, other in of if other),
        bases=base_backup.read_manifests(bases.text, project.backup_folder),
        images=images.read_listing(pictures.text),
        compose_images={name: service.image for name, service in services.items()},
        compose_problem=compose_problem,
        backup_free_bytes=found.backup_free_bytes,
        docker_free_bytes=found.docker_free_bytes,
        backup_disk=found.backup_disk,
        docker_disk=found.docker_disk,
        is_healthy=answer.is_ok,
        health_detail=describe(answer),
        lock=owner,
        unfinished=unfinished,
        clock_skew=skew,
        identity=f"{found.engine} {project.folder}",
        is_in_builds=found.is_in_builds,
    )
    resolved = commit.text.strip() if to is not None and commit.exit_code == 0 else None
    return Gathered(project=project, facts=facts, services=services, resolved=resolved or None, damaged=record.damaged)


def _services(answer: Completed, project: Project) -> tuple[dict[str, Service], str]:
    """Return the services of a compose file, or why it cannot be read."""
    if answer.exit_code != 0:
        return {}, answer.error_text.strip()[-500:] or "compose refuses it"
    try:
        return compose.read_config(answer.text, project), ""
    except MalformedAnswer as error:
        return {}, error.brief


def _database(answer: Completed, room: Completed, container: str) -> tuple[DatabaseFacts | None, str]:
    if answer.exit_code != 0:
        lines = answer.error_text.strip().splitlines()
        return None, lines[-1][:300] if lines else "it does not answer"
    return postgres.read_facts(answer.text, room.text if room.exit_code == 0 else "", container), ""
