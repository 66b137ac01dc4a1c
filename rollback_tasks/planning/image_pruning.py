"""Which pinned images nobody needs any more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import HostPlan
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.planning.git_moves import Checkout
from rollback_tasks.planning.target import choose
from rollback_tasks.steps.drop_pins import DropPins


def prune(checkout: Checkout, keep: int, needed: Collection[str]) -> HostPlan:
    """Return the plan of ``release.prune``.

    :param keep: newest releases that keep their images.
    :param needed: ids and names of images that containers or the undo of the last run need.
    """
    facts, project = checkout.facts, checkout.project
    pins = _pins(facts, project)
    staying = {facts.images.get(name, name) for name in needed}
    staying |= {container.image for container in facts.containers}
    staying |= {image for name in facts.compose_images.values() if (image := image_driver.find(facts.images, name))}
    for release in kept(facts, checkout.current, keep):
        staying |= _images(facts, project, release)
    gone = {name: image for name, image in pins.items() if image not in staying}
    if not gone:
        return checkout.idle(f"all {len(pins)} pinned images are needed")
    dropped = set(gone.values())
    labels = dict.fromkeys(release.label for release in facts.ledger if _images(facts, project, release) & dropped)
    told = (
        f"{len(gone)} of {len(pins)} pins go; an image that has no other name is deleted, and its release can then "
        "only be built again from its commit"
    )
    return checkout.plan(
        f"unpin images of {', '.join(labels) or 'no recorded release'}",
        (DropPins(project_=project, pins=gone, releases=tuple(labels)),),
        goal={"unpinned": gone},
        warnings=(told,),
    )


def kept(facts: HostFacts, current: Release, keep: int) -> Iterator[Release]:
    """Yield the releases whose images stay: what runs, the newest ones, the last good ones, and those that a backup was
    taken under, as the database comes back with its release."""
    yield current
    yield from facts.ledger[max(0, len(facts.ledger) - keep) :]
    good = [release for release in facts.ledger if release.status is ReleaseStatus.GOOD]
    yield from good[-2:]
    last = choose(facts, current, None, None).release
    if last is not None:
        yield last
    commits = {backup.commit for backup in facts.backups if backup.commit}
    yield from (release for release in facts.ledger if release.commit in commits)


def _pins(facts: HostFacts, project: Project) -> dict[str, str]:
    """Return the pins of this project's services, name to image id."""
    heads = tuple(image_driver.pin_name(project.name, service, "sha256:") for service in project.app_services)
    return {name: image for name, image in facts.images.items() if name.startswith(heads)}


def _images(facts: HostFacts, project: Project, release: Release) -> set[str]:
    """Return the images of a release: as recorded, and as a rollback built them."""
    built = (image_driver.pin_name(project.name, service, release.commit) for service in project.app_services)
    return {*release.images.values(), *(facts.images[name] for name in built if name in facts.images)}
