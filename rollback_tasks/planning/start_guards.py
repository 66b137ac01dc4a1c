"""What speaks against starting containers anew from the compose file as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.model.verdict import Verdict, VerdictKind


class Starting(Protocol):
    """What a start would do (``execution.gather_start``)."""

    @property
    def drifted(self) -> Mapping[str, str]:
        """Service to what its containers were made with and the compose file does not say now."""

    @property
    def made_from(self) -> Mapping[str, str]:
        """Service to the compose files that its containers were made from, where the inventory names others."""

    @property
    def unset(self) -> tuple[str, ...]:
        """Variables that the compose file uses and nobody sets."""

    @property
    def upgrades(self) -> str:
        """What upgrades the schema at start."""

    @property
    def last_words(self) -> Mapping[str, str]:
        """Service to the end of its log."""


def ports_taken(
    facts: HostFacts, project: Project, now: Mapping[str, Service], then: Mapping[str, Service]
) -> Iterator[Blocker]:
    """Yield a blocker for each port that the application takes at the target, and that a service keeps which is left
    running: a proxy that is no part of the target, say.

    :param now: services of the compose file as it is; ``then``: as it is at the target.
    """
    wanted = {port: name for name in project.app_services for port in (then[name].ports if name in then else ())}
    running = {container.service for container in facts.containers if container.is_up}
    for name in sorted(now.keys() & running - set(project.app_services)):
        for port in sorted(wanted.keys() & set(now[name].ports)):
            stop = " ".join(project.compose_words("stop", name))
            yield Blocker(
                f"port {port} is taken by {name}, which stays, and {wanted[port]} takes it at the target",
                f"stop it: `cd {project.folder} && {stop}` on {facts.host}, then plan again.",
            )


def drift(start: Starting) -> Iterator[str]:
    """Yield in sentences what a start from the compose file would change besides what was asked for."""
    unset = f"; {', '.join(start.unset)} is set nowhere now" if start.unset else ""
    for service, what in start.drifted.items():
        files = start.made_from.get(service)
        others = f"; they were made from {files}, and hosts.yaml names other files" if files else ""
        made = f"the containers of {service} were not made from the compose file as it is now"
        yield f"{made}: {what} differ{unset}{others}"


def drift_blockers(start: Starting, facts: HostFacts, *, is_accepted: bool) -> Iterator[Blocker]:
    """Yield a blocker for each such sentence. What stood only in the deployer's shell cannot be brought back, not even
    by an undo: with other variables the application may well be healthy, and write to another database."""
    if is_accepted:
        return
    way = f"write what the deployer had in his shell to .env on {facts.host}"
    if start.made_from:
        way = "name all of those files in compose_files of hosts.yaml"
    for sentence in drift(start):
        yield Blocker(sentence, f"{way}; or, where the file is right, add --accept-config to start from it.")


def schema_blockers(verdict: Verdict | None, start: Starting, facts: HostFacts, label: str) -> Iterator[Blocker]:
    """Yield why images of ``label`` cannot run on the schema as it is."""
    full = f"`inv rollback.full --host {facts.host} --to {label}` takes the schema back as well."
    if verdict is None:
        return
    if verdict.kind is VerdictKind.SCHEMA_AHEAD and start.upgrades:
        yield Blocker(
            f"the schema is ahead ({', '.join(verdict.current)}, {label} is at {', '.join(verdict.target) or 'base'}), "
            f"and {start.upgrades} upgrades it at start: older code cannot even start there",
            full,
        )
    elif not verdict.is_possible:
        yield Blocker(f"{verdict.kind.value}: {verdict.explanation}", full)


def warnings(
    verdict: Verdict | None,
    start: Starting,
    facts: HostFacts,
    project: Project,
    services: Mapping[str, Service],
    problem: str,
) -> Iterator[str]:
    """Yield what the operator should know before containers are started on a database that is left alone."""
    if facts.database is None:
        yield (
            f"the database cannot be reached ({facts.database_problem}): nobody can say whether the schema fits, nor "
            "whether the application is healthy afterwards"
        )
    elif verdict is None:
        yield f"nobody can say whether the schema fits: {problem or 'the scripts of that image are not known'}"
    if verdict is not None and verdict.kind is VerdictKind.SCHEMA_AHEAD:
        yield "an application that upgrades the schema at start in a hidden way will not start, and is put back then"
    for name in project.app_services:
        if services.get(name) and services[name].is_pulled:
            yield f"service {name} asks for a pull at each start, which is held back"
    for name, text in start.last_words.items():
        yield f"{name} said last: {text}"
    if abs(facts.clock_skew) > 30:
        yield f"the host's clock is {abs(facts.clock_skew):.0f} s {'ahead' if facts.clock_skew > 0 else 'behind'}"
    if not facts.is_healthy:
        yield f"the application is not healthy now: {facts.health_detail}"
