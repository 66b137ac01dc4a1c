"""Ask a host what a start of its application would do now: drift of the configuration, migrations at start."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollback_tasks.drivers import compose_start, containers
from rollback_tasks.drivers.compose import Service
from rollback_tasks.execution.asking import ask
from rollback_tasks.model.facts import Container, HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Host
from rollback_tasks.shell import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a start would do.

    :param drifted: service to what its containers were made with and the compose file does not say now, in words.
    :param made_from: service to the files that its containers were made from, where the inventory names others.
    :param unset: variables that the compose file uses and nobody sets.
    :param upgrades: what upgrades the schema when the application starts; empty where nothing is seen to.
    :param last_words: service to the end of the log of a container that does not live well.
    """

    drifted: Mapping[str, str] = field(default_factory=dict)
    made_from: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    upgrades: str = ""
    last_words: Mapping[str, str] = field(default_factory=dict)


def look(host: Host, project: Project, facts: HostFacts, services: Mapping[str, Service]) -> Start:
    """Ask, in one round trip, or two where the configuration drifted."""
    ours = [c for c in facts.containers if c.service in project.app_services]
    # What the application waits for at a start is part of that start, also where no rollback stops it.
    names = {*project.app_services, *(name for name, service in services.items() if service.is_one_shot)}
    starting = [c for c in facts.containers if c.service in names]
    scripts = [(c, path) for c in starting for path in compose_start.start_scripts(c)]
    said, *texts, words = ask(
        host,
        [
            compose_start.hashes(project),
            *(compose_start.show(container, path) for container, path in scripts),
            compose_start.last_words(*(c.id for c in ours)),
        ],
    )
    read = [(f"{path} of service {c.service}", text.text) for (c, path), text in zip(scripts, texts, strict=True)]
    named = [(f"the command of service {c.service}", " ".join(c.command)) for c in starting]
    named += [(f"the command of service {name}", s.command) for name, s in services.items() if name in names]
    ends = dict(zip((c.service for c in ours), words.text.split("\0"), strict=False))
    drifted = _drift(host, project, facts, services, compose_start.read_hashes(said.text))
    return Start(
        drifted=drifted,
        made_from={c.service: files for c in ours if c.service in drifted and (files := other_files(project, c))},
        unset=compose_start.read_unset(said.error_text),
        upgrades=next((name for name, text in (*named, *read) if compose_start.upgrades(text)), ""),
        last_words={} if facts.is_healthy else {name: text.strip() for name, text in ends.items() if text.strip()},
    )


def _drift(
    host: Host, project: Project, facts: HostFacts, services: Mapping[str, Service], hashes: Mapping[str, str]
) -> dict[str, str]:
    """Return what differs. Names of variables are told, never their values."""
    found = {}
    for name in project.app_services:
        container = next(iter(facts.service_containers(name)), None)
        if container is None or name not in services or not _differs(project, facts, container, services, hashes):
            continue
        own = dict(containers.read_environment(host.run(containers.environment(container.id)).text))
        names = _differing(own, services[name].environment)
        found[name] = f"variables {', '.join(names)}" if names else "its configuration"
    return found


def other_files(project: Project, container: Container) -> str:
    """Return the files that a container was made from; empty where they are those of the inventory, or not known."""
    made = [posixpath.join(project.folder, file) for file in container.config_files]
    if not made or made == [posixpath.join(project.folder, file) for file in project.files]:
        return ""
    return ", ".join(file.removeprefix(f"{project.folder}/") for file in made)


def _differs(
    project: Project,
    facts: HostFacts,
    container: Container,
    services: Mapping[str, Service],
    hashes: Mapping[str, str],
) -> bool:
    wanted = hashes.get(container.service, "")
    if not wanted or not container.config_hash or wanted == container.config_hash:
        return False
    # The hash of docker-compose holds the image's id as well: it says nothing while the name means another image.
    return project.compose == ("docker", "compose") or container.image == facts.images.get(
        _tagged(services[container.service].image)
    )


def _tagged(reference: str) -> str:
    return reference if ":" in reference.rpartition("/")[2] or "@" in reference else f"{reference}:latest"


def _differing(own: Mapping[str, Secret], said: Mapping[str, Secret]) -> list[str]:
    return sorted(name for name in {*own, *said} if own.get(name) != said.get(name))
