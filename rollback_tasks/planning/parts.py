"""The steps that every sequence around images and containers is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.steps.await_healthy import AwaitHealthy
from rollback_tasks.steps.prepare_images import PrepareImages
from rollback_tasks.steps.start_services import StartServices
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.switch_images import SwitchImages


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Where the target's images come from.

    :param left: pin to the image id that runs now.
    :param reached: pin to the image id of the target, where it is on the host.
    :param builds: pin to the ``build`` part of the compose file, for what must be built.
    :param aliases: pin to the pin of a service that starts the same name, and whose build is the one of both.
    :param pulls: pin to the reference that is fetched from its registry.
    :param pins: service to its pin.
    :param references: service to the reference in the target's compose file.
    :param is_pulled_now: the compose file asks for a pull; ``is_pulled_then``: the target's does.
    :param replicas: service to the number of containers that the target's compose file asks for.
    :param one_shots: app services that others wait for until they end well.
    """

    left: Mapping[str, str] = field(default_factory=dict)
    reached: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    pulls: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    is_pulled_now: bool = False
    is_pulled_then: bool = False
    replicas: Mapping[str, int] = field(default_factory=dict)
    one_shots: tuple[str, ...] = ()

    def wanted(self, service: str) -> str:
        """Return the image of a service: its id where it is known, else the pin that it is built under."""
        pin = self.aliases.get(self.pins[service], self.pins[service])
        return self.reached.get(pin, pin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the inventory says of waiting and storing; times in seconds."""

    health_url: str
    health_timeout: float
    health_interval: float
    health_soak: float
    local_backups: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A host's part where several share one database.

    :param others: the other hosts of the group.
    :param leads: True for the one host whose plan holds the database's steps.
    """

    others: tuple[str, ...]
    leads: bool


def meant(facts: HostFacts, references: Mapping[str, str]) -> dict[str, str]:
    """Return service to the image id that its reference means on the host now, where it means one."""
    found = {service: image_driver.find(facts.images, name) for service, name in references.items()}
    return {service: image for service, image in found.items() if image is not None}


def scale(project: Project, facts: HostFacts, images: Images) -> dict[str, int]:
    """Return service to the number of its containers, where that is another than the target's file asks for: somebody
    scaled it by hand, and nobody asked for that to change."""
    numbers = {service: len(facts.service_containers(service)) for service in project.app_services}
    now = {service: count for service, count in numbers.items() if count}
    return {service: count for service, count in now.items() if count != images.replicas.get(service, 1)}


def prepare_images(project: Project, run_id: str, commit: str, images: Images) -> PrepareImages:
    """Pin what is left and what is gone back to, and make what is missing."""
    return PrepareImages(
        project_=project,
        run_id=run_id,
        commit=commit,
        left=images.left,
        reached=images.reached,
        builds=images.builds,
        aliases=images.aliases,
        pulls=images.pulls,
    )


def stop_services(project: Project, facts: HostFacts, images: Images, *, commit: str = "") -> StopServices:
    """Stop the containers that are there.

    :param commit: whose compose file they are replaced from; empty where the file stays.
    """
    old = tuple(c for c in facts.containers if c.service in project.app_services)
    # What was made from an older file cannot be made again from one that compose refuses.
    otherwise = commit if facts.compose_problem else ""
    return StopServices(project_=project, old=old, is_pulled=images.is_pulled_now, otherwise=otherwise)


def switch_images(project: Project, facts: HostFacts, images: Images, *, is_down: bool = True) -> SwitchImages:
    """Let the names that compose starts by mean the target's images, but for those that name a digest."""
    before = meant(facts, images.references)
    movable = {service: name for service, name in images.references.items() if not image_driver.is_fixed(name)}
    return SwitchImages(
        project_=project,
        before={name: before[service] for service, name in movable.items() if service in before},
        after={name: images.pins[service] for service, name in movable.items()},
        before_images=before,
        after_images={service: images.wanted(service) for service in project.app_services},
        is_down=is_down,
    )


def start_services(
    project: Project, run_id: str, facts: HostFacts, images: Images, *, is_anew: bool = True
) -> StartServices:
    """Start the target, as many containers as there were.

    :param is_anew: False starts containers again that already are what the file says.
    """
    return StartServices(
        project_=project,
        run_id=run_id,
        old_ids=tuple(c.id for c in facts.containers if c.service in project.app_services),
        images={service: images.wanted(service) for service in project.app_services},
        is_pulled=images.is_pulled_then,
        scale=scale(project, facts, images),
        is_anew=is_anew,
    )


def await_healthy(project: Project, settings: Settings) -> AwaitHealthy:
    """Wait as the inventory says."""
    return AwaitHealthy(
        project_=project,
        url=settings.health_url,
        timeout=settings.health_timeout,
        interval=settings.health_interval,
        soak=settings.health_soak,
    )
