"""What is said of the runs that hosts remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, error_fields
from rollback_tasks.execution.runs import PastRun
from rollback_tasks.flows.everywhere import OfHost
from rollback_tasks.reporting.tables import table


def history(found: Sequence[OfHost[tuple[PastRun, ...]]]) -> Answer:
    """Return the runs that hosts remember, newest first."""
    rows = []
    hosts = []
    for host in found:
        for run in host.found or ():
            left, reached = (_label(run.plan.get(name)) for name in ("current", "target"))
            reason = str(run.plan.get("reason", ""))
            who = str(run.plan.get("operator", ""))
            rows.append((host.host, run.run_id, run.task, run.state.value, left, reached, run.opened_at, who, reason))
        hosts.append(
            {
                "host": host.host,
                "runs": [
                    {
                        "run_id": run.run_id,
                        "task": run.task,
                        "state": run.state.value,
                        "from": run.plan.get("current"),
                        "to": run.plan.get("target"),
                        "opened_at": run.opened_at or None,
                        "ended_at": run.ended_at or None,
                        "operator": run.plan.get("operator"),
                        "reason": run.plan.get("reason"),
                    }
                    for run in host.found or ()
                ],
                **error_fields(host.error),
            }
        )
    columns = ("host", "run", "task", "state", "from", "to", "began", "by", "reason")
    return answer(table(columns, rows), hosts, [host.error for host in found])


def _label(release: object) -> str:
    return str(release.get("release", "")) if isinstance(release, Mapping) else ""
