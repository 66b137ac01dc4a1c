"""The sandbox's own hosts.yaml and known_hosts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollback_tasks.sandbox.fleet import DATABASE_HOST
from rollback_tasks.sandbox.project import PUBLISHED_FILE, Project
from rollback_tasks.sandbox.status import HostStatus, Role

_TEMPLATE = """\
# Written by inv sandbox.up; gone after inv sandbox.down.
version: 1
defaults:
  user: deploy
  identity_file: {identity}
  known_hosts_file: {known_hosts}
  project_dir: {directory}
  compose_files: [docker-compose.yml]
  compose_project: {project}
  app_services: [app]
  db_service: db
  database: {{name: comicpile, user: comicpile}}
  migrations: {{service: app, command: [alembic]}}
  health: {{url: {health}, timeout: 60, interval: 0.2, soak: 2}}
  endpoints: [/counts]
  smoke_command: [pytest, -q]
  backups: {{remote_dir: .rollback/backups, local_dir: {backups}, keep: 10}}
  git: {{remote: origin, protected_branches: [main]}}
hosts:
{hosts}
groups:
  prod: [{names}]
contacts:
  - {{role: On-call engineer, name: Alex Example, phone: "+1 555 0100", slack: "@alex"}}
  - {{role: Database administrator, name: Sam Example, phone: "+1 555 0101", slack: "@sam"}}
"""

_OF_ROLE = {
    Role.WHOLE: "",
    Role.APP: f", database: {{name: comicpile, user: comicpile, host: {DATABASE_HOST}}}",
    Role.DATABASE: f", compose_files: [docker-compose.yml, {PUBLISHED_FILE}]",
}


def hosts_yaml(hosts: Sequence[HostStatus], project: Project, *, state: Path) -> str:
    """Return the inventory's text: group ``prod`` with every host that runs the application.

    :param state: the sandbox's folder, with its keys.
    """
    return _TEMPLATE.format(
        identity=_word(state / "id_ed25519"),
        known_hosts=_word(state / "known_hosts"),
        directory=_word(project.directory),
        project=_word(project.name),
        health=_word(project.health_url),
        backups=_word(state / "backups"),
        hosts="\n".join(f"  {host.name}: {{hostname: {_word(host.address)}{_OF_ROLE[host.role]}}}" for host in hosts),
        names=", ".join(host.name for host in hosts if host.role is not Role.DATABASE),
    )


def known_hosts(keys: Mapping[str, bytes]) -> bytes:
    """Return the text of a known_hosts file.

    :param keys: address to the public key as ``ssh-keygen`` wrote it.
    """
    lines = (f"{address} {b' '.join(key.split()[:2]).decode()}\n" for address, key in keys.items())
    return "".join(lines).encode()


def _word(value: str | Path) -> str:
    return json.dumps(str(value))  # every JSON string is a YAML string
