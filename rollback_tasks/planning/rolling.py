"""The plan that exchanges containers without a gap, where the service allows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from rollback_tasks.drivers.answering import Door
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts, grace
from rollback_tasks.model.plan import Blocker, HostPlan, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.model.verdict import VerdictKind
from rollback_tasks.planning import parts
from rollback_tasks.planning.images_only import verify
from rollback_tasks.planning.mixed import ledger_lines
from rollback_tasks.planning.parts import Images, Settings
from rollback_tasks.planning.planner import projected, start_state
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.roll_containers import AwaitBeside, KeepServing, RemoveOthers, RetireOthers, StartBeside
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.try_beside import TryBeside


def blockers(
    project: Project, facts: HostFacts, services: Mapping[str, Service], plan: HostPlan, label: str
) -> Iterator[Blocker]:
    """Yield why containers of two releases cannot serve at once, or nobody could say that they do."""
    hint = f"with a gap of seconds: `inv rollback.docker --host {facts.host} --to {label}`"
    full = f"with a gap, schema and all: `inv rollback.full --host {facts.host} --to {label}`"
    names = rolled(project, services)
    if not names:
        yield Blocker("no service of the application goes on running: there is nothing to exchange", hint)
    for name in names:
        for why in (*_alone(name, services[name]), *_uneven(name, facts)):
            yield Blocker(why, hint)
    if facts.database is None:
        yield Blocker("without the database nobody can say when the new containers serve", hint)
    elif plan.verdict is None:
        yield Blocker(f"nobody can say whether {label} and what runs now can share the schema as it is", hint)
    elif plan.verdict.kind is not VerdictKind.CODE_ONLY:
        yield Blocker(
            f"{plan.verdict}: {label} and what runs now would write to one database at the same time, each for a "
            "schema of its own",
            full,
        )


def _alone(name: str, service: Service) -> Iterator[str]:
    """Yield what the compose file says against two containers at once."""
    if service.container_name:
        yield f"service {name} has the fixed container name {service.container_name}: only one can have it"
    if service.ports:
        ports = ", ".join(service.ports)
        yield (
            f"service {name} takes port {ports} of the host for itself, which two containers cannot share; without a "
            "gap it needs a proxy in front that publishes the port in its place"
        )
    if service.network_mode and service.network_mode != "bridge":
        yield f"service {name} has no network of its own (network_mode: {service.network_mode})"
    if service.is_pulled:
        yield f"service {name} asks for a pull at each start, which would fetch another image than the one gone back to"


def _uneven(name: str, facts: HostFacts) -> Iterator[str]:
    """Yield what is in the way of exchanging the containers that a service has."""
    found = facts.service_containers(name)
    if not found:
        yield f"service {name} has no container: there is nothing to exchange"
    asleep = [c.name for c in found if not c.is_up]
    if asleep:
        yield f"{', '.join(asleep)} of service {name} does not run: nobody can say whether it is meant to"
    if len({c.image for c in found}) > 1:
        yield f"the containers of service {name} run two images: it is half way between two releases"


def rolled(project: Project, services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the services whose containers are exchanged: those that go on running, the one that is asked first."""
    going = [name for name in project.app_services if name in services and not services[name].is_one_shot]
    return tuple(sorted(going, key=lambda name: services[name].listens is None))


def roll(
    request: RollbackRequest,
    whole: Project,
    settings: Settings,
    facts: HostFacts,
    services: Mapping[str, Service],
    reached: Release,
    images: Images,
    plan: HostPlan,
    label: str,
) -> HostPlan:
    """Return the plan with its steps.

    :param reached: the release as it is recorded then.
    """
    run_id = request.run_id
    project = replace(whole, app_services=rolled(whole, services))
    images = replace(images, pins={name: pin for name, pin in images.pins.items() if name in project.app_services})
    old = {name: facts.service_containers(name) for name in project.app_services}
    before = {name: (found[0].image, len(found)) for name, found in old.items()}
    wanted = {name: (images.wanted(name), len(found)) for name, found in old.items()}
    seconds = grace(c for found in old.values() for c in found)
    first = project.app_services[0]
    door = _door(settings, services[first])
    waits = (settings.health_timeout, settings.health_interval, settings.health_soak)
    steps: tuple[Step, ...] = (
        SaveEvidence(project_=project, run_id=run_id),
        parts.prepare_images(project, run_id, facts.git.commit, images),
        KeepServing(
            project_=project,
            run_id=run_id,
            before=before,
            door=door,
            patience=settings.health_timeout if facts.is_healthy else 3,
            grace=seconds,
        ),
        parts.switch_images(project, facts, images, is_down=False),
        TryBeside(
            project_=project,
            run_id=run_id,
            service=first,
            door=door,
            url=settings.health_url,
            timeout=waits[0],
            interval=waits[1],
            soak=waits[2],
        ),
        StartBeside(project_=project, wanted=wanted),
        AwaitBeside(
            project_=project,
            wanted=wanted,
            door=door,
            url=settings.health_url,
            timeout=waits[0],
            interval=waits[1],
            soak=waits[2],
        ),
        RetireOthers(project_=project, wanted=wanted, grace=seconds),
        replace(parts.await_healthy(project, settings), wanted=wanted),
        RemoveOthers(project_=project, run_id=run_id, wanted=wanted),
        verify(project, facts, images, plan.verdict),
        RecordRelease(
            project_=project,
            run_id=run_id,
            left=plan.current.label,
            lines=ledger_lines(request, plan.current, reached, label),
        ),
    )
    start = start_state(project, facts, images)
    return replace(plan, steps=steps, start=start, end=projected(start, steps), has_gap=False)


def _door(settings: Settings, service: Service) -> Door:
    address = urlsplit(settings.health_url)
    standard = 443 if address.scheme == "https" else 80
    return Door(
        port=str(service.listens or ""),
        fallback=str(address.port or standard),
        path=(address.path or "/") + (f"?{address.query}" if address.query else ""),
    )
