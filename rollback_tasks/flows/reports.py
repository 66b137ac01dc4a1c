"""What flows say of a host, before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model import events
from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import HostPlan, Plan
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest


def backup_of(session: Session, run_id: str, world: World) -> dict[str, Any] | None:
    """Return what the copied manifest says of a run's backup; None where none arrived."""
    name = session.project.backup_name(run_id)
    local = f"{session.settings.local_backups}/{name}"
    manifest = world.laptop.read(f"{local}.manifest.json")
    if manifest is None:
        return None
    said = json.loads(manifest)
    return {
        "path": f"{local}.dump",
        "remote_path": f"{session.project.backup_folder}/{name}.dump",
        "sha256": said["sha256"],
        "bytes": said["bytes"],
        "verified": said["level"],
    }


def described(
    release: Release, *, schema: Sequence[str] | None = None, images: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Return a release as reports show it."""
    return {
        "release": release.label,
        "id": release.id,
        "commit": release.commit,
        "images": {k: v for k, v in (images or release.images).items() if v},
        "schema": list(release.schema if schema is None else schema),
    }


def concluded(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    reports: Mapping[str, HostReport],
    world: World,
    plan: Plan | None = None,
) -> RunReport:
    """Return the run's report, in the order of the inventory, after telling it, and writing it down where hosts were
    touched."""
    hosts = tuple(reports[config.name] for config in configs)
    following = next((host.hint for host in hosts if host.hint), None)
    report = RunReport(task=request.task, run_id=request.run_id, hosts=hosts, next=following)
    if any(host.steps for host in hosts):
        report = replace(report, report=world.save_report(report, plan))
    world.sink.emit(events.RunDone(report))
    return report


def planned(plan: HostPlan) -> HostReport:
    """Return the report of a host that was planned and not touched."""
    outcome = Outcome.BLOCKED if plan.blockers else Outcome.NOOP if plan.is_noop else Outcome.PLANNED
    reached = dict(plan.goal) if plan.goal is not None else None
    if plan.target is not None and reached is None:
        schema = plan.verdict.target if plan.verdict else plan.target.schema
        reached = described(plan.target, schema=schema, images=plan.end.running if plan.end else None)
    return HostReport(
        host=plan.host,
        outcome=outcome,
        verdict=plan.verdict.kind.value if plan.verdict else None,
        left=described(plan.current),
        reached=reached,
        error="\n".join(blocker.brief for blocker in plan.blockers) or None,
        hint=next((blocker.hint for blocker in plan.blockers if blocker.hint), None),
        warnings=plan.warnings,
        extra={
            "noop_reason": plan.noop_reason or None,
            "plan": [
                {"kind": step.kind, "text": step.describe(), "undo": step.compensation().says} for step in plan.steps
            ],
            "losses": [
                {"name": loss.name, "count": loss.count, "revision": loss.revision}
                for loss in (plan.verdict.losses if plan.verdict else ())
            ],
            "costs": list(plan.costs),
            "blockers": [{"brief": blocker.brief, "hint": blocker.hint} for blocker in plan.blockers],
            **diagnosed(plan),
        },
    )


def diagnosed(plan: HostPlan) -> dict[str, Any]:
    """Return what a plan was chosen for, as reports carry it; nothing where the operator chose it."""
    if plan.diagnosis is None:
        return {}
    return {"diagnosis": {"found": list(plan.diagnosis.found), "therefore": plan.diagnosis.therefore}}
