"""Where the image of every app service comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.drivers.compose import Service
from rollback_tasks.drivers.git_history import Traits
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning.parts import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What was asked of the host once the target was chosen.

    :param services: of the target's compose file; ``services_problem`` where it cannot be read.
    :param traits: what a switch of the checkout to the target has to mind.
    :param deployed: how to run alembic as the deployed container would; None where there is no container.
    """

    verdict: Verdict | None = None
    verdict_problem: str = ""
    services: Mapping[str, Service] = field(default_factory=dict)
    services_problem: str = ""
    current_services: Mapping[str, Service] = field(default_factory=dict)
    deployed: Deployed | None = None
    traits: Traits = field(default_factory=Traits)


def pictures_of(
    project: Project, facts: HostFacts, current: Release, target: Release, details: TargetFacts
) -> tuple[Images, tuple[Blocker, ...]]:
    """Return where each app service's image comes from: the recorded one by digest, else one built from the
    target's commit under a name that says so."""
    left = left_pictures(project, facts)
    if details.services_problem:
        return Images(left=left), (Blocker(f"the target's compose file: {details.services_problem}"),)
    reached: dict[str, str] = {}
    builds = {}
    pins: dict[str, str] = {}
    references: dict[str, str] = {}
    problems = []
    aliases = {}
    # A service that the record does not have: what it shares its name with decides.
    known = {details.services[name].image: image for name, image in target.images.items() if name in details.services}
    for name in project.app_services:
        service = details.services.get(name)
        if service is None:
            problems.append(Blocker(f"the target's compose file has no service {name}"))
            continue
        references[name] = service.image
        recorded = target.images.get(name) or known.get(service.image, "")
        if not recorded and target.commit == current.commit:
            # What runs was made from that very commit: nothing has to be built again.
            recorded = current.images.get(name, "")
        by_commit = image_driver.pin_name(project.name, name, target.commit)
        owner = builder(project, details.services, name)
        build = details.services[owner].build
        of_owner = image_driver.pin_name(project.name, owner, target.commit)
        found = facts.images.get(recorded) or facts.images.get(by_commit) or facts.images.get(of_owner)
        # What a digest in the compose file names is started, whatever was recorded.
        if image_driver.is_fixed(service.image) or (found is None and not build):
            found = image_driver.find(facts.images, service.image)
        if found is not None and not recorded and _is_unknown(project, facts, details, name, found, target):
            problems.append(
                Blocker(
                    f"nothing says which image of service {name} release {target.label} had: it was never recorded, "
                    f"and {service.image} now means the image that runs",
                    f"tag the right one on {facts.host} (`docker tag IMAGE {by_commit}`), then plan again.",
                )
            )
        elif found is not None:
            pins[name] = image_driver.pin_name(project.name, name, found)
            reached[pins[name]] = found
        elif build and not image_driver.is_fixed(service.image):
            problem = image_driver.build_problem(build, project.folder)
            if problem:
                problems.append(
                    Blocker(
                        f"the image of service {name} cannot be built from commit {target.commit[:12]}: {problem}",
                        f"build it on {facts.host} as {by_commit}, then plan again.",
                    )
                )
                continue
            pins[name] = by_commit
            if owner == name:
                builds[by_commit] = build
            else:
                aliases[by_commit] = of_owner
        else:
            problems.append(
                Blocker(
                    f"image {recorded or service.image} of service {name} is not on the host",
                    f"fetch it first: `docker pull {service.image}` on {facts.host}",
                )
            )
    images = Images(
        left=left,
        reached=reached,
        builds=builds,
        aliases=aliases,
        pins=pins,
        references=references,
        is_pulled_now=is_pulled(project, details.current_services),
        is_pulled_then=is_pulled(project, details.services),
        replicas={name: service.replicas for name, service in details.services.items()},
        one_shots=one_shots(project, details.services),
    )
    return images, (*problems, *clashing(images))


def recorded_pictures(
    project: Project, facts: HostFacts, current: Release, target: Release, services: Mapping[str, Service]
) -> tuple[Images, tuple[Blocker, ...]]:
    """Return the images of a release where only images change: they are recorded and on the host, or there are none.

    :param services: of the compose file, which stays.
    """
    images = Images(
        left=left_pictures(project, facts),
        is_pulled_now=is_pulled(project, services),
        is_pulled_then=is_pulled(project, services),
        replicas={name: service.replicas for name, service in services.items()},
        one_shots=one_shots(project, services),
    )
    reached: dict[str, str] = {}
    pins: dict[str, str] = {}
    references: dict[str, str] = {}
    problems: list[Blocker] = []
    known = {services[name].image: image for name, image in target.images.items() if name in services}
    for name in project.app_services:
        if name not in services:
            problems.append(Blocker(f"the compose file has no service {name}"))
            continue
        reference = services[name].image
        references[name] = reference
        by_commit = facts.images.get(image_driver.pin_name(project.name, name, target.commit), "")
        # A service that the release did not have yet: what it shares its name with decides, else it stays.
        wanted = target.images.get(name) or by_commit or known.get(reference, "")
        if not wanted and target.images:
            wanted = current.images.get(name, "")
        problem = _unreachable(name, reference, wanted, facts, target)
        if problem is not None:
            problems.append(problem)
            continue
        pins[name] = image_driver.pin_name(project.name, name, wanted)
        reached[pins[name]] = wanted
    images = replace(images, reached=reached, pins=pins, references=references)
    return images, (*problems, *clashing(images))


def _unreachable(name: str, reference: str, wanted: str, facts: HostFacts, target: Release) -> Blocker | None:
    """Return why a service cannot get its image; None where it can."""
    builds = f"`inv rollback.full --host {facts.host} --to {target.label}` builds it from its commit"
    if not wanted:
        return Blocker(
            f"nothing says which image of service {name} release {target.label} had: it was never recorded",
            f"name it: --image {name}=ID (`docker image ls --all --no-trunc` on {facts.host}); {builds}.",
        )
    if wanted not in facts.images:
        return Blocker(
            f"image {wanted[:19]} of service {name} is not on the host: it was pruned",
            f"bring it back (`docker load`, or `docker pull` by its digest) on {facts.host}; {builds}.",
        )
    if image_driver.is_fixed(reference) and image_driver.find(facts.images, reference) != wanted:
        return Blocker(
            f"the compose file fixes the image of service {name} by digest: only another file changes it",
            f"`inv rollback.compose --host {facts.host} --to {target.label}`",
        )
    return None


def left_pictures(project: Project, facts: HostFacts) -> dict[str, str]:
    """Return pin to id of the images that run now and are still listed."""
    return {
        image_driver.pin_name(project.name, c.service, c.image): c.image
        for c in facts.containers
        if c.service in project.app_services and c.image in facts.images
    }


def clashing(images: Images) -> Iterator[Blocker]:
    """Yield a blocker for services that compose starts by one name and that had different images."""
    owners: dict[str, str] = {}
    for service, reference in images.references.items():
        other = owners.setdefault(reference, service)
        if {service, other} <= images.pins.keys() and images.wanted(service) != images.wanted(other):
            yield Blocker(
                f"services {other} and {service} both start {reference}, but the release had two images of that name",
                "name another release with --to, or record this one again where both run the same image.",
            )


def _is_unknown(
    project: Project, facts: HostFacts, details: TargetFacts, name: str, found: str, target: Release
) -> bool:
    """True where a name that both commits start by is all that speaks for an image of the application itself."""
    now = details.current_services.get(name)
    is_same_name = now is not None and now.image == details.services[name].image
    by_name = image_driver.find(facts.images, details.services[name].image)
    return (
        name == project.migrations_service
        and target.commit != facts.git.commit
        and is_same_name
        and not image_driver.is_fixed(details.services[name].image)
        and found == by_name
        and image_driver.pin_name(project.name, name, target.commit) not in facts.images
    )


def builder(project: Project, services: Mapping[str, Service], name: str) -> str:
    """Return the app service whose build makes the image that a service starts: the first that builds under its name,
    or the service itself."""
    reference = services[name].image
    builds = (one for one in project.app_services if one in services and services[one].build)
    return next((one for one in builds if services[one].image == reference), name)


def one_shots(project: Project, services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the app services that end well by themselves, and whose end others wait for."""
    return tuple(name for name in project.app_services if name in services and services[name].is_one_shot)


def is_pulled(project: Project, services: Mapping[str, Service]) -> bool:
    """True where the compose file asks for a pull of an app service's image."""
    return any(services[name].is_pulled for name in project.app_services if name in services)
