"""Images where the compose file changes, or is only read again, and the code stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.planning.parts import Images
from rollback_tasks.planning.pictures import builder, clashing, is_pulled, left_pictures, one_shots


def file_pictures(
    project: Project, facts: HostFacts, now: Mapping[str, Service], then: Mapping[str, Service]
) -> tuple[Images, tuple[Blocker, ...]]:
    """Return the images that the services of ``then`` start with: what runs, wherever the file asks for nothing else.

    :param now: services of the compose file in the work tree; empty where compose refuses it.
    """
    case = _Case(project, facts, now, then)
    for name in project.app_services:
        case.add(name)
    images = Images(
        left=left_pictures(project, facts),
        reached=case.reached,
        builds=case.builds,
        aliases=case.aliases,
        pulls=case.pulls,
        pins=case.pins,
        references={name: then[name].image for name in project.app_services if name in then},
        is_pulled_now=is_pulled(project, now),
        is_pulled_then=is_pulled(project, then),
        replicas={name: service.replicas for name, service in then.items()},
        one_shots=one_shots(project, then),
    )
    return images, (*dict.fromkeys(case.problems), *clashing(images))


class _Case:
    def __init__(
        self, project: Project, facts: HostFacts, now: Mapping[str, Service], then: Mapping[str, Service]
    ) -> None:
        self.project, self.facts, self.now, self.then = project, facts, now, then
        self.reached: dict[str, str] = {}
        self.builds: dict[str, Mapping[str, object]] = {}
        self.aliases: dict[str, str] = {}
        self.pulls: dict[str, str] = {}
        self.pins: dict[str, str] = {}
        self.problems: list[Blocker] = []

    def add(self, name: str) -> None:
        service = self.then.get(name)
        if service is None:
            self.problems.append(Blocker(f"the compose file has no service {name}"))
            return
        owner = builder(self.project, self.then, name)
        if owner != name:
            self._follow(name, owner)
            return
        if image_driver.is_fixed(service.image):
            found = image_driver.find(self.facts.images, service.image)
        else:
            found = self._running(name, service) or self._built(name, service)
        if found is None and not service.build:
            found = image_driver.find(self.facts.images, service.image)
        if found is not None:
            self.pins[name] = image_driver.pin_name(self.project.name, name, found)
            self.reached[self.pins[name]] = found
        elif service.build and not image_driver.is_fixed(service.image):
            self._build(name, service)
        else:
            self.pins[name] = image_driver.pin_name(self.project.name, name, _digest(service.image))
            self.pulls[self.pins[name]] = service.image

    def _follow(self, name: str, owner: str) -> None:
        """Start a service with what is built under its name for another one."""
        if owner not in self.pins:
            self.add(owner)
        of_owner = self.pins.get(owner, "")
        if of_owner in self.reached:
            found = self.reached[of_owner]
            self.pins[name] = image_driver.pin_name(self.project.name, name, found)
            self.reached[self.pins[name]] = found
        elif of_owner in self.builds:
            self.pins[name] = self._pin(name, self.then[owner])
            self.aliases[self.pins[name]] = of_owner

    def _running(self, name: str, service: Service) -> str | None:
        """Return what runs, where the file asks for nothing else than that."""
        running = next((c for c in self.facts.service_containers(name)), None)
        if running is None or running.image not in self.facts.images:
            return None
        now = self.now.get(name)
        if service.build:
            return running.image if now is None or now.build == service.build else None
        return running.image if running.image_ref == service.image else None

    def _built(self, name: str, service: Service) -> str | None:
        """Return what was built before from this commit in this way, or what the name means where nothing runs."""
        if not service.build:
            return None
        if not self.facts.service_containers(name):
            return image_driver.find(self.facts.images, service.image)
        return self.facts.images.get(self._pin(name, service))

    def _pin(self, name: str, service: Service) -> str:
        by_commit = image_driver.pin_name(self.project.name, name, self.facts.git.commit)
        said = json.dumps(service.build, sort_keys=True, default=str)
        return f"{by_commit}-{_digest(said).removeprefix('sha256:')[:8]}"

    def _build(self, name: str, service: Service) -> None:
        problem = image_driver.build_problem(service.build, self.project.folder)
        pin = self._pin(name, service)
        if problem:
            what = f"the image of service {name} cannot be built as that compose file says: {problem}"
            self.problems.append(Blocker(what, f"build it on {self.facts.host} as {pin}, then plan again."))
            return
        self.pins[name] = pin
        self.builds[pin] = service.build


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def left_alone(project: Project, now: Mapping[str, Service], then: Mapping[str, Service]) -> list[str]:
    """Say which services of the file are not touched although they differ."""
    said = []
    before, after = now.get(project.db_service), then.get(project.db_service)
    if before and after and before.image != after.image:
        said.append(
            f"the database's image differs ({before.image}, then {after.image}); the database service is left alone"
        )
    others = [
        name
        for name in sorted({*now, *then})
        if name not in project.app_services
        and now.get(name) != then.get(name)
        and not (name == project.db_service and before and after and before.image != after.image)
    ]
    if now and others:
        said.append(f"services that differ and are left alone, being none of the application's: {', '.join(others)}")
    return said
