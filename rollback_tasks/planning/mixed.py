"""A release that was put together of two: recorded as what it is, so that nobody takes it for one that was deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollback_tasks.drivers import ledger
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning.planner import release_id


def mix(request: RollbackRequest, current: Release, of: str, images: Mapping[str, str]) -> Release:
    """Return the release that runs ``images`` on the checkout of ``current``.

    :param of: what of another release is in it, e.g. ``images of v5``.
    """
    return Release(
        id=f"{release_id(current.commit, request.now)}-mixed",
        commit=current.commit,
        images=dict(images),
        schema=current.schema,
        names=(f"{current.label} with the {of}",),
        mixed=of,
    )


def ledger_lines(request: RollbackRequest, current: Release, reached: Release, label: str) -> tuple[str, ...]:
    """Return what the ledger learns: both releases, what is left marked bad, the step back itself.

    :param reached: as ``mix`` made it; ``label`` is what the operator calls where it goes.
    """
    at = stamp(request.now)
    reason = request.reason or f"rolled back to {label}"
    lines = []
    left = current
    if not current.recorded_at:
        left = replace(current, id=release_id(current.commit, request.now))
        lines.append(ledger.recorded(left, at=at, run_id=request.run_id))
    by, run = request.operator, request.run_id
    return (
        *lines,
        ledger.recorded(reached, at=at, run_id=run),
        ledger.marked(left.id, ReleaseStatus.BAD, at=at, by=by, reason=reason, run_id=run),
        ledger.rolled_back(left.id, reached.id, at=at, by=by, reason=reason, run_id=run),
    )
