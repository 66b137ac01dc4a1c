"""Which release runs, and which one to go back to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release, ReleaseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The answer of ``choose``.

    :param release: None where there is none; ``problem`` then says why and ``hint`` what to type.
    :param is_unknown: the operator's name means nothing on this host: a usage error, not a refusal.
    :param stays_because: the host already is at its last good release, for this reason.
    """

    release: Release | None = None
    problem: str = ""
    hint: str = ""
    is_unknown: bool = False
    stays_because: str = ""


def current_release(facts: HostFacts, project: Project) -> Release:
    """Return what the host runs: by image digests, HEAD and ``alembic_version``, never by time."""
    images = facts.running_images(project.app_services)
    schema = facts.database.schema if facts.database else ()
    tags = tuple(sorted(name for name, commit in facts.git.tags.items() if commit == facts.git.commit))
    for release in reversed(facts.ledger):
        if release.commit == facts.git.commit and _known_images(release, facts, project) == images:
            return Release(
                id=release.id,
                commit=release.commit,
                images=images,
                schema=schema,
                status=release.status,
                recorded_at=release.recorded_at,
                reason=release.reason,
                names=release.names or tags,
                is_rolled_back_to=release.is_rolled_back_to,
                mixed=release.mixed,
            )
    commit = facts.git.commit
    return Release(id=f"unrecorded-{commit[:7]}", commit=commit, images=images, schema=schema, names=tags)


def _known_images(release: Release, facts: HostFacts, project: Project) -> dict[str, str]:
    """Return service to image of a release. What a rollback built was not there yet when its lines were written: it
    is known by the name that it was built under."""
    pins = {service: image_driver.pin_name(project.name, service, release.commit) for service in project.app_services}
    built = {service: facts.images[pin] for service, pin in pins.items() if pin in facts.images}
    return {**built, **release.images}


def choose(facts: HostFacts, current: Release, to: str | None, resolved: str | None) -> Choice:
    """Return the release to go back to.

    :param to: as the operator named it: id in the ledger, tag, commit, git ref or image id; None = the last good one.
    :param resolved: the commit that git takes ``to`` for; None where it knows none.
    """
    if to is not None:
        return _named(facts, to, resolved)
    if current.is_rolled_back_to and current.status is not ReleaseStatus.BAD and facts.is_healthy:
        return Choice(
            release=current,
            stays_because=f"it was rolled back to {current.label} and is healthy",
        )
    known = [release.id for release in facts.ledger]
    earlier = facts.ledger[: known.index(current.id)] if current.id in known else facts.ledger
    good = [
        release
        for release in earlier
        if release.status is ReleaseStatus.GOOD
        and (release.commit, dict(release.images)) != (current.commit, dict(current.images))
    ]
    if good:
        return Choice(release=good[-1])
    return Choice(
        problem="no earlier release is marked good in the ledger of this host",
        hint=f"name one with --to (a git tag, commit or image id); "
        f"`inv release.list --host {facts.host}` shows what is recorded",
    )


def _named(facts: HostFacts, to: str, resolved: str | None) -> Choice:
    for release in reversed(facts.ledger):
        if to in (release.id, *release.names):
            return Choice(release=release)
    if _is_digest(to):
        wanted = f"sha256:{to.removeprefix('sha256:').lower()}"
        owners = [
            r for r in facts.ledger if not r.mixed and any(image.startswith(wanted) for image in r.images.values())
        ]
        if owners:
            return Choice(release=owners[-1])
    if resolved is not None:
        recorded = [release for release in facts.ledger if release.commit == resolved and not release.mixed]
        if recorded:
            good = [release for release in recorded if release.status is ReleaseStatus.GOOD]
            return Choice(release=(good or recorded)[-1])
        names = tuple(sorted({name for name, commit in facts.git.tags.items() if commit == resolved} | {to}))
        return Choice(release=Release(id=to, commit=resolved, names=names))
    known = [name for release in facts.ledger for name in (release.id, *release.names)] + list(facts.git.tags)
    near = difflib.get_close_matches(to, known, n=1)
    return Choice(
        problem=f"no release, tag, commit or image is called {to!r}",
        hint=(f"did you mean {near[0]!r}? " if near else "")
        + f"`inv release.list --host {facts.host}` shows what is recorded.",
        is_unknown=True,
    )


def matching(facts: HostFacts, name: str, resolved: str | None) -> tuple[Release, ...]:
    """Return every recorded release that ``name`` means, in the order in which each was last deployed.

    :param resolved: the commit that git takes ``name`` for; None where it knows none.
    """
    digest = f"sha256:{name.removeprefix('sha256:').lower()}" if _is_digest(name) else None
    return tuple(
        release
        for release in facts.ledger
        if name in (release.id, *release.names)
        or (not release.mixed and release.commit in (name, resolved))
        or (not release.mixed and digest is not None and any(i.startswith(digest) for i in release.images.values()))
    )


def _is_digest(name: str) -> bool:
    digits = name.removeprefix("sha256:").lower()
    return len(digits) >= 12 and set(digits) <= set("0123456789abcdef")


def is_whole_name(name: str) -> bool:
    """True for a whole commit or image id: it means one thing, also to a host that never met it."""
    return _is_digest(name) and len(name.removeprefix("sha256:")) in (40, 64)


def is_same(left: Release, right: Release, images: Mapping[str, str]) -> bool:
    """True where commit, schema and every app image (``images``: service to the target's id) agree."""
    return left.commit == right.commit and left.schema == right.schema and dict(left.images) == dict(images)
