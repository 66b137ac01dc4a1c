"""Images that the operator names himself: for a host without a ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.drivers.compose import Service
from rollback_tasks.errors import UsageError
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project


def named_images(
    texts: Sequence[str], project: Project, facts: HostFacts, services: Mapping[str, Service]
) -> dict[str, str] | Blocker:
    """Return app service to image id, or why there is no such image.

    :param texts: ``IMAGE`` or ``SERVICE=IMAGE``; an image is an id, the beginning of one, or a name.
    :raises UsageError: a service is none of the application's, or nobody can say which one is meant.
    """
    found: dict[str, str] = {}
    for text in texts:
        service, sign, reference = text.partition("=")
        if not sign:
            service, reference = "", text
        elif service not in project.app_services:
            raise UsageError(
                f"--image {text}: {service!r} is none of the application's services",
                details="nothing was changed",
                hint=f"they are {', '.join(project.app_services)}.",
                host=facts.host,
            )
        matches = _matches(reference, facts)
        if len(matches) != 1:
            what = "means several images" if matches else "is no image of this host: it was pruned, or never was here"
            return Blocker(
                f"{reference} {what}",
                f"`docker image ls --all --no-trunc` on {facts.host} shows what is there; `docker load` or "
                f"`docker pull` brings one back, `inv rollback.full --host {facts.host} --to COMMIT` builds one.",
            )
        for name in [service] if service else _meant(matches[0], text, project, facts, services):
            found[name] = matches[0]
    return found


def _matches(reference: str, facts: HostFacts) -> list[str]:
    exact = image_driver.find(facts.images, reference)
    if exact is not None:
        return [exact]
    digits = reference.removeprefix("sha256:").lower()
    if len(digits) < 6 or not set(digits) <= set("0123456789abcdef"):
        return []
    return sorted({image for image in facts.images.values() if image.startswith(f"sha256:{digits}")})


def _meant(
    image: str, text: str, project: Project, facts: HostFacts, services: Mapping[str, Service]
) -> tuple[str, ...]:
    """Return the services that an image is for: all where they share a name, else those that ran it once."""
    ours = project.app_services
    if len({services[name].image for name in ours if name in services}) <= 1:
        return ours
    knew = tuple(
        name
        for name in ours
        if any(release.images.get(name) == image for release in facts.ledger)
        or image_driver.pin_name(project.name, name, image) in facts.images
    )
    if not knew:
        raise UsageError(
            f"--image {text}: the application has several images; nothing says which service this one is for",
            details="nothing was changed",
            hint=f"name it: --image {ours[0]}={text}.",
            host=facts.host,
        )
    return knew
