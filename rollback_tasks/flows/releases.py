"""The ledger of releases: what is recorded, and judging a release good or bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git, images, ledger
from rollback_tasks.errors import PlanRefused, RollbackError, UsageError
from rollback_tasks.execution.asking import ask
from rollback_tasks.execution.gate import pass_gate
from rollback_tasks.flows import choosing
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.session import Session, close_all, open_all
from rollback_tasks.flows.world import World
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import target
from rollback_tasks.planning.planner import release_id
from rollback_tasks.steps.await_healthy import gate


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReleases:
    """The ledger of one host; ``current`` is what runs, recorded or not."""

    host: str
    current: Release | None = None
    releases: tuple[Release, ...] = ()
    damaged: int = 0
    error: RollbackError | None = None


def listed(configs: Sequence[HostConfig], world: World) -> list[HostReleases]:
    """Return every host's ledger, in the order of the inventory."""
    found = everywhere(
        configs,
        world,
        lambda session: HostReleases(
            host=session.config.name,
            current=target.current_release(session.facts, session.project),
            releases=session.facts.ledger,
            damaged=session.gathered.damaged,
        ),
    )
    return [each.found or HostReleases(host=each.host, error=each.error) for each in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRelease:
    """One release as one host knows it.

    :param release: None where it was never recorded there.
    :param missing: services whose image of that release is no longer on the host.
    """

    host: str
    name: str
    release: Release | None = None
    is_running: bool = False
    missing: tuple[str, ...] = ()
    error: RollbackError | None = None


def shown(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> list[HostRelease]:
    """Return what every host knows of the release that ``request.to`` names, or of the one that runs. Where a commit
    was recorded more than once, the last time counts.

    :raises UsageError: the name means nothing on a host, and is no whole id.
    """
    sessions, errors = open_all(configs, world, to=request.to)
    try:
        found = {session.config.name: _shown(session, request.to) for session in sessions}
    finally:
        close_all(sessions)
    return [found.get(c.name) or HostRelease(host=c.name, name="", error=errors[c.name]) for c in configs]


def _shown(session: Session, name: str | None) -> HostRelease:
    facts, current = session.facts, target.current_release(session.facts, session.project)
    release: Release | None = current
    if name is not None:
        matching = target.matching(facts, name, session.gathered.resolved)
        release = matching[-1] if matching else None
        if release is None and session.gathered.resolved is None and not target.is_whole_name(name):
            _meant(session, name, current)
    missing = [service for service, image in (release.images if release else {}).items() if image not in facts.images]
    return HostRelease(
        host=facts.host,
        name=name or current.label,
        release=release,
        is_running=release is not None and release.id == current.id,
        missing=tuple(missing),
    )


def mark(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    status: ReleaseStatus,
) -> list[HostReleases]:
    """Judge a release on every host: the running one, or the one that ``request.to`` names.

    The running release is recorded first where the ledger does not know it, and its images are pinned. Good means
    proven: a running release has to be healthy for it.

    :raises RollbackError: of the first host where it does not work; the hosts before it are marked.
    """
    sessions, errors = open_all(configs, world, to=request.to)
    try:
        for error in errors.values():
            raise error
        return [_mark(session, request, world, status) for session in sessions]
    finally:
        close_all(sessions)


def _mark(session: Session, request: RollbackRequest, world: World, status: ReleaseStatus) -> HostReleases:
    facts, project = session.facts, session.project
    current = target.current_release(facts, project)
    release = _meant(session, request.to, current)
    is_running = (release.commit, dict(release.images)) == (current.commit, dict(current.images))
    if is_running and status is ReleaseStatus.GOOD:
        _prove_healthy(session, world)
    at = stamp(world.clock.now())
    lines: list[str] = []
    if not release.recorded_at:
        if not is_running:
            raise UsageError(
                f"{release.label} does not run here and was never recorded",
                details="nothing was changed",
                hint=f"`inv release.list --host {facts.host}` shows what is recorded.",
                host=facts.host,
            )
        release = replace(release, id=release_id(release.commit, request.now), recorded_at=at)
        lines.append(ledger.recorded(release, at=at))
    lines.append(ledger.marked(release.id, status, at=at, by=request.operator, reason=request.reason))
    if request.is_dry_run:
        shown = replace(release, status=status)
        return HostReleases(host=facts.host, current=shown if is_running else current, releases=(shown,))
    pins = {
        images.pin_name(project.name, service, image): image
        for service, image in release.images.items()
        if image in facts.images
    }
    commands = [git.exclude(project.folder, ".rollback/")]
    commands += [images.tag(pins)] if pins else []
    commands.append(ledger.append(project.state_folder, lines))
    answers = ask(session.host, commands)
    if len(answers) < len(commands) or answers[-1].exit_code != 0:
        raise PlanRefused(
            "the mark could not be written", details=answers[-1].error_text.strip()[-500:], host=facts.host
        )
    marked = replace(release, status=status, reason=request.reason)
    return HostReleases(host=facts.host, current=marked if is_running else current, releases=(marked,))


def _meant(session: Session, name: str | None, current: Release) -> Release:
    if name is None:
        return current
    return choosing.named(session, current, name)


def _prove_healthy(session: Session, world: World) -> None:
    health = session.config.health
    proof = gate(session.project, url=health.url, timeout=health.timeout, interval=health.interval, soak=0)
    try:
        pass_gate(proof, world.read_only(session.host), world.clock)
    except RollbackError as error:
        raise PlanRefused(
            f"what runs is not healthy, so it is not marked good: {error.brief}",
            details="nothing was changed",
            hint=f"`inv release.mark --bad --host {session.facts.host}` marks it bad.",
            host=session.facts.host,
        ) from error
