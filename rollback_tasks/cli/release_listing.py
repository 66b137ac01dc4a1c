"""What is said of one release."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, error_fields, release_fields
from rollback_tasks.errors import ExitCode
from rollback_tasks.flows.releases import HostRelease
from rollback_tasks.model.release import ReleaseStatus
from rollback_tasks.reporting.tables import table


def shown(found: Sequence[HostRelease]) -> Answer:
    """Return what hosts know of one release. One that is marked bad decides the exit code."""
    rows = []
    hosts = []
    for host in found:
        known = host.release
        images = [
            f"{service} {image[7:19]}{' (gone)' if service in host.missing else ''}"
            for service, image in (known.images if known else {}).items()
        ]
        rows.append(
            (
                host.host,
                "*" if host.is_running else "",
                known.label if known else host.name,
                "" if host.error else known.status.value if known else "never recorded",
                known.commit[:12] if known else "",
                ", ".join(images),
                ", ".join(known.schema) if known else "",
                known.recorded_at if known else "",
                known.id if known else "",
                known.reason if known else "",
            )
        )
        hosts.append(
            {
                "host": host.host,
                "runs": host.is_running,
                "release": release_fields(known) if known else None,
                "missing_images": list(host.missing),
                **error_fields(host.error),
            }
        )
    columns = ("host", "runs", "release", "status", "commit", "images", "schema", "recorded", "id", "reason")
    is_bad = any(host.release is not None and host.release.status is ReleaseStatus.BAD for host in found)
    code = ExitCode.PROBLEMS if is_bad else ExitCode.DONE
    return answer(table(columns, rows), hosts, [host.error for host in found], code=code)
