"""What is wrong with a deployment, in sentences, and which way back fits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum

from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Diagnosis, HostPlan
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import VerdictKind


def with_diagnosis(plan: HostPlan, found: Sequence[str], way: str, why: str = "") -> HostPlan:
    """Return the plan with what it was chosen for; where it does nothing, the reason of that stands there.

    :param way: the procedure, e.g. ``rollback.full to v6``; ``why`` that one.
    """
    therefore = f"{way}: {why}" if why else way
    if plan.blockers:
        therefore = f"{way}, which is blocked"
    elif plan.is_noop:
        therefore = f"nothing is to be done: {plan.noop_reason}"
    return replace(plan, diagnosis=Diagnosis(found=tuple(found), therefore=therefore))


def symptoms(facts: HostFacts, project: Project) -> Iterator[str]:
    """Yield how the application is."""
    well = "the application is healthy" if facts.is_healthy else "the application is not healthy"
    yield f"{well}: {facts.health_detail}" if facts.health_detail else well
    for service in project.app_services:
        there = facts.service_containers(service)
        if not there:
            yield f"{service} has no container"
        for container in there:
            again = f", started again {container.restarts} times" if container.restarts else ""
            if container.state == "exited":
                yield f"{container.name} has ended with exit code {container.exit_code}{again}"
            elif not container.is_running or container.restarts:
                yield f"{container.name} is {container.state}{again}"
    if facts.compose_problem:
        yield f"compose refuses its file: {facts.compose_problem}"
    if facts.database is None:
        yield f"the database cannot be reached: {facts.database_problem}"


def schema(plan: HostPlan) -> Iterator[str]:
    """Yield how the schema of the database stands to the release that a plan goes to."""
    verdict, release = plan.verdict, plan.target
    if verdict is None or release is None:
        return
    now, then = (", ".join(heads) or "no revision" for heads in (verdict.current, verdict.target))
    match verdict.kind:
        case VerdictKind.CODE_ONLY:
            yield f"the database is at {now}, as {release.label}: no migration is to blame"
        case VerdictKind.SCHEMA_AHEAD:
            yield f"the database is at {now}, {release.label} is at {then}"
        case VerdictKind.DOWNGRADE | VerdictKind.DOWNGRADE_LOSSY:
            undone = ", ".join(verdict.undone)
            yield f"the database is at {now}, {release.label} is at {then}: {undone} came since"
        case VerdictKind.BEHIND | VerdictKind.DIVERGED | VerdictKind.IMPOSSIBLE:
            yield f"the database is at {now}, {release.label} is at {then}: {verdict.explanation}"


def of_migration(facts: HostFacts, project: Project, full: HostPlan) -> HostPlan:
    """Return the full rollback of a host as the way back from a bad migration."""
    label = full.target.label if full.target else "an earlier release"
    what = "code, images and compose file go back, the schema stays"
    if full.verdict is not None and full.verdict.undone:
        what = "the schema first, with the image that is deployed, then code, images and compose file"
    return with_diagnosis(full, [*symptoms(facts, project), *schema(full)], f"rollback.full to {label}", what)


class CodeWay(Enum):
    """How bad code goes, with the database left as it is."""

    FULL = "full"
    IMAGES = "images"


def way_of_code(full: HostPlan, *, is_shared: bool) -> tuple[CodeWay, str]:
    """Return how the code goes back without touching the database, and why that way.

    :param full: the full rollback of the host.
    :param is_shared: other hosts of the run share the database: each has to go its way without waiting for them.
    """
    if is_shared:
        return CodeWay.IMAGES, "other hosts share the database, so each puts its images back by itself"
    if full.target is None or full.is_noop:
        return CodeWay.FULL, ""
    verdict = full.verdict
    if verdict is None:
        return CodeWay.IMAGES, "nobody can say how the schema stands, so images alone go back"
    if verdict.kind is not VerdictKind.CODE_ONLY:
        return CodeWay.IMAGES, "the schema is another one and stays with its data, so images alone go back"
    if full.blockers:
        return CodeWay.IMAGES, f"a full rollback is blocked ({full.blockers[0].brief}), so images alone go back"
    return CodeWay.FULL, "code, images and compose file go back, the schema stays"


class FailureWay(Enum):
    """How a failed deployment goes."""

    FULL = "full"
    COMPOSE = "compose"
    CONFIG = "config"
    NONE = "none"


def way_of_failure(
    facts: HostFacts,
    project: Project,
    current: Release,
    full: HostPlan,
    differing: Sequence[str],
    *,
    is_same: bool,
    is_shared: bool,
) -> tuple[FailureWay, str]:
    """Return the smallest way that brings everything back that differs, and why that one.

    :param full: the full rollback; not looked at where ``is_same``.
    :param differing: files of the work tree that are not the target's.
    :param is_same: the target is the release that runs: nothing else was deployed over it.
    :param is_shared: hosts of the run share the database: those that go back wait for each other, and go the same way.
    """
    files = [name for name in differing if name in project.files and not is_shared]
    if is_same:
        if files:
            return FailureWay.COMPOSE, f"{', '.join(files)} was changed in the work tree, and nothing was deployed"
        if not facts.is_healthy or facts.compose_problem:
            return FailureWay.CONFIG, f"nothing differs from {current.label}, so its containers are made anew"
        return FailureWay.NONE, f"{current.label} is marked good, runs and is healthy"
    if full.target is None or full.is_noop:
        return FailureWay.FULL, ""
    has_images = bool(full.target.images) and dict(full.target.images) == dict(current.images)
    has_schema = full.verdict is None or full.verdict.kind is VerdictKind.CODE_ONLY
    if files and len(files) == len(differing) and has_images and has_schema:
        return FailureWay.COMPOSE, f"{', '.join(files)} is all that differs from {full.target.label}"
    parts = {"files": differing, "images": not has_images, "the schema": not has_schema}
    return FailureWay.FULL, f"{', '.join(name for name, differs in parts.items() if differs) or 'containers'} differ"
