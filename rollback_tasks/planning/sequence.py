"""The order of a full rollback, and only that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.drivers import images as image_driver
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.steps.await_healthy import AwaitHealthy
from rollback_tasks.steps.backup_database import BackupDatabase
from rollback_tasks.steps.checkout_release import CheckoutRelease
from rollback_tasks.steps.copy_database import CopyDatabase
from rollback_tasks.steps.downgrade_schema import DowngradeSchema
from rollback_tasks.steps.meet_others import MeetOthers
from rollback_tasks.steps.prepare_images import PrepareImages
from rollback_tasks.steps.prove_backup import DropScratch, ProveBackup
from rollback_tasks.steps.pull_backup import PullBackup
from rollback_tasks.steps.record_release import RecordRelease
from rollback_tasks.steps.rehearse_downgrade import RehearseDowngrade
from rollback_tasks.steps.save_checkout import SaveCheckout
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.start_services import StartServices
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.switch_images import SwitchImages
from rollback_tasks.steps.verify_release import VerifyRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Where the target's images come from.

    :param left: pin to the image id that runs now.
    :param reached: pin to the image id of the target, where it is on the host.
    :param builds: pin to the ``build`` part of the compose file, for what must be built.
    :param pins: service to its pin.
    :param references: service to the reference in the target's compose file.
    :param is_pulled_now: the compose file asks for a pull; ``is_pulled_then``: the target's does.
    """

    left: Mapping[str, str] = field(default_factory=dict)
    reached: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    is_pulled_now: bool = False
    is_pulled_then: bool = False

    def wanted(self, service: str) -> str:
        """Return the image of a service: its id where it is known, else the pin that it is built under."""
        pin = self.pins[service]
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


def full(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    target: Release,
    verdict: Verdict,
    images: Images,
    deployed: Deployed | None,
    settings: Settings,
    accepted: frozenset[str],
    ledger_lines: tuple[str, ...],
    share: Share | None = None,
) -> tuple[Step, ...]:
    """Return the steps of a full rollback (SPEC: order of a full rollback).

    All that can be done while the application serves comes first; the backup is proven and off the host before
    anything is taken away; the schema goes back before the code does, by the deployed image.
    """
    assert facts.database is not None
    changes_database = share is None or share.leads
    size = facts.database.size_bytes
    backup = f"{project.database}-{run_id}"
    marker = f"{project.database_site.run_folder(run_id)}/schema-changed"
    old = tuple(c for c in facts.containers if c.service in project.app_services)
    running = {service: images.wanted(service) for service in project.app_services}
    before_images = meant(facts, images.references)
    movable = {service: name for service, name in images.references.items() if not image_driver.is_fixed(name)}

    def meet(point: str, *, is_down: bool) -> list[Step]:
        return [] if share is None else [MeetOthers(point=point, others=share.others, is_down=is_down)]

    steps: list[Step] = [
        SaveEvidence(project_=project, run_id=run_id),
        PrepareImages(
            project_=project,
            run_id=run_id,
            commit=target.commit,
            left=images.left,
            reached=images.reached,
            builds=images.builds,
        ),
    ]
    save = SaveCheckout(project_=project, run_id=run_id, target=target.commit, changed=len(facts.git.dirty))
    if changes_database:
        local = settings.local_backups
        steps += [
            BackupDatabase(project_=project, run_id=run_id, name=backup, commit=current.commit, size_bytes=size),
            PullBackup(project_=project, name=backup, local_folder=local),
            save,
            ProveBackup(project_=project, run_id=run_id, name=backup, local_folder=local, size_bytes=size),
        ]
        if verdict.commands and deployed is not None:
            steps.append(
                RehearseDowngrade(
                    project_=project,
                    run_id=run_id,
                    deployed=deployed,
                    commands=verdict.commands,
                    live=verdict.current,
                    after=verdict.target,
                    accepted=accepted,
                )
            )
        steps.append(DropScratch(project_=project, run_id=run_id))
    else:
        steps.append(save)
    steps += meet("prepared", is_down=False)
    steps.append(StopServices(project_=project, old=old, is_pulled=images.is_pulled_now))
    steps += meet("stopped", is_down=True)
    if changes_database and verdict.commands and deployed is not None:
        steps += [
            CopyDatabase(project_=project, run_id=run_id, marker=marker, size_bytes=size),
            DowngradeSchema(
                project_=project,
                run_id=run_id,
                deployed=deployed,
                commands=verdict.commands,
                before=verdict.current,
                after=verdict.target,
                marker=marker,
            ),
        ]
    steps += meet("changed", is_down=True)
    steps += [
        CheckoutRelease(
            project_=project,
            run_id=run_id,
            before=facts.git.commit,
            branch=facts.git.branch,
            after=target.commit,
            is_dirty=bool(facts.git.dirty),
        ),
        SwitchImages(
            project_=project,
            before={name: before_images[service] for service, name in movable.items() if service in before_images},
            after={name: images.pins[service] for service, name in movable.items()},
            before_images=before_images,
            after_images=running,
        ),
        StartServices(
            project_=project,
            run_id=run_id,
            old_ids=tuple(c.id for c in old),
            images=running,
            is_pulled=images.is_pulled_then,
        ),
        AwaitHealthy(
            project_=project,
            url=settings.health_url,
            timeout=settings.health_timeout,
            interval=settings.health_interval,
            soak=settings.health_soak,
        ),
        VerifyRelease(project_=project, commit=target.commit, images=images.pins, schema=verdict.target),
        *meet("healthy", is_down=True),
        RecordRelease(project_=project, run_id=run_id, left=current.label, lines=ledger_lines),
    ]
    return tuple(steps)
