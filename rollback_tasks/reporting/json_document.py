"""A run as one JSON document (``--json``). Its fields are public API."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Set
from enum import Enum
from typing import Any

from rollback_tasks.model.outcome import HostReport, Outcome, RunReport, StepRecord, StepState
from rollback_tasks.model.plan import HostPlan, Irreversible, Plan, Step
from rollback_tasks.model.release import Release
from rollback_tasks.reporting.lines import Clean

VERSION = 1


def document(report: RunReport, *, clean: Clean = str) -> dict[str, Any]:
    """Given a report, return its document: only mappings, lists, text, numbers, booleans and None.

    ``hint``, ``warnings`` and the top ``error`` stand there only where there is something to say. What a task
    reports beyond that (``extra``) follows behind, and never takes the place of a field of this document.

    :param clean: what hides secrets; it is applied to every text.
    """
    whole: dict[str, Any] = {
        "version": VERSION,
        "task": report.task,
        "run_id": report.run_id,
        "outcome": report.outcome,
        "exit_code": int(report.exit_code),
        "hosts": [_host(host) for host in report.hosts],
        "report": report.report,
        "next": report.next,
    }
    if report.error:
        whole["error"] = report.error
    return {name: _plain(value, clean) for name, value in whole.items()}


def text(whole: Mapping[str, Any]) -> str:
    """Given a document, return it on one line that ends with a newline.

    Only ASCII is used: any terminal, pipe and locale can take it, and no control character is in it.
    """
    return json.dumps(whole, ensure_ascii=True, allow_nan=False) + "\n"


def plan_report(plan: Plan) -> RunReport:
    """Given a plan that goes no further (dry run, blockers, nothing to do), return the report of that."""
    return RunReport(task=plan.task, run_id=plan.run_id, hosts=tuple(_planned(host) for host in plan.hosts))


def _host(host: HostReport) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "host": host.host,
        "outcome": host.outcome,
        "verdict": host.verdict,
        "from": host.left,
        "to": host.reached,
        "steps": [{"kind": step.kind, "state": step.state, "seconds": round(step.seconds, 3)} for step in host.steps],
        "backup": host.backup,
        "downtime_seconds": host.downtime_seconds,
        "error": host.error,
    }
    if host.hint:
        fields["hint"] = host.hint
    if host.warnings:
        fields["warnings"] = host.warnings
    return {**fields, **{name: value for name, value in host.extra.items() if name not in fields}}


def _planned(host: HostPlan) -> HostReport:
    verdict = host.verdict
    outcome = Outcome.BLOCKED if host.blockers else Outcome.NOOP if host.is_noop else Outcome.PLANNED
    losses = () if verdict is None else verdict.losses
    return HostReport(
        host=host.host,
        outcome=outcome,
        verdict=None if verdict is None else verdict.kind.value,
        left=_release(host.current),
        reached=None if host.target is None else _release(host.target),
        steps=tuple(StepRecord(step.kind, StepState.PENDING) for step in host.steps),
        error="; ".join(blocker.brief for blocker in host.blockers) or None,
        hint=next((blocker.hint for blocker in host.blockers if blocker.hint), None),
        warnings=(*(() if verdict is None else verdict.warnings), *host.warnings),
        extra={
            "plan": [_step(step) for step in host.steps],
            "losses": [{"name": loss.name, "count": loss.count, "revision": loss.revision or None} for loss in losses],
            "blockers": [{"brief": blocker.brief, "hint": blocker.hint or None} for blocker in host.blockers],
            "noop_reason": host.noop_reason or None,
        },
    )


def _step(step: Step) -> dict[str, Any]:
    undo = step.compensation()
    return {
        "kind": step.kind,
        "text": step.describe(),
        "undo": undo.says,
        "is_reversible": not isinstance(undo, Irreversible),
        "takes_service_away": step.takes_service_away,
    }


def _release(release: Release) -> dict[str, Any]:
    return {
        "release": release.label,
        "commit": release.commit,
        "images": dict(release.images),
        "schema": list(release.schema),
    }


def _plain(value: Any, clean: Clean) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Enum():
            return _plain(value.value, clean)
        case str():
            return clean(value)
        case Mapping():
            return {str(key): _plain(entry, clean) for key, entry in value.items()}
        case Set():
            return sorted((_plain(entry, clean) for entry in value), key=str)
        case list() | tuple():
            return [_plain(entry, clean) for entry in value]
        case _ if dataclasses.is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name), clean) for field in dataclasses.fields(value)}
        case _:
            return clean(str(value))
