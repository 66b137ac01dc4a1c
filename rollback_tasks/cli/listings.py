"""What the tasks that list something say: a table for people, fields for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.drivers.logs import Line
from rollback_tasks.errors import ExitCode, RollbackError
from rollback_tasks.flows import verify
from rollback_tasks.flows.everywhere import OfHost
from rollback_tasks.flows.inspect import Inspected
from rollback_tasks.flows.locks import HostLock
from rollback_tasks.flows.releases import HostReleases
from rollback_tasks.model.outcome import worst
from rollback_tasks.model.release import Backup, Release
from rollback_tasks.reporting.foreign import visible
from rollback_tasks.reporting.tables import table


def answer(
    text: str,
    hosts: Sequence[Mapping[str, Any]],
    errors: Sequence[RollbackError | None],
    *,
    code: ExitCode = ExitCode.DONE,
) -> Answer:
    """Return the answer of all hosts; a host that could not be asked says why.

    :param code: of those that could be asked; the worst decides.
    """
    failed = [error for error in errors if error is not None]
    codes = [code, *(error.exit_code for error in failed)]
    errors_told = "\n".join(str(error) for error in failed)
    return Answer(text=text, errors=errors_told, fields={"hosts": list(hosts)}, exit_code=worst(codes))


def error_fields(error: RollbackError | None) -> dict[str, Any]:
    return {"error": None if error is None else error.brief, "next": error.hint or None if error else None}


def release_fields(release: Release) -> dict[str, Any]:
    """Return a release for programs."""
    return {
        "id": release.id,
        "names": list(release.names),
        "commit": release.commit,
        "images": dict(release.images),
        "schema": list(release.schema),
        "status": release.status.value,
        "recorded_at": release.recorded_at or None,
        "reason": release.reason,
    }


def releases(found: Sequence[HostReleases]) -> Answer:
    """Return the ledgers of hosts, newest release first; ``*`` stands at what runs."""
    rows = []
    hosts = []
    for host in found:
        known = list(reversed(host.releases))
        if host.current is not None and host.current.id not in [release.id for release in known]:
            known.insert(0, host.current)
        for release in known:
            runs = host.current is not None and release.id == host.current.id
            rows.append(
                (
                    host.host,
                    "*" if runs else "",
                    release.label,
                    release.status.value,
                    release.commit[:12],
                    ", ".join(release.schema),
                    release.recorded_at,
                    release.id,
                    release.reason,
                )
            )
        hosts.append(
            {
                "host": host.host,
                "current": release_fields(host.current) if host.current else None,
                "releases": [release_fields(release) for release in reversed(host.releases)],
                "damaged_lines": host.damaged,
                **error_fields(host.error),
            }
        )
    columns = ("host", "runs", "release", "status", "commit", "schema", "recorded", "id", "reason")
    return answer(table(columns, rows), hosts, [host.error for host in found])


def backup_fields(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "path": backup.path,
        "sha256": backup.sha256,
        "bytes": backup.size_bytes,
        "verified": backup.level.value,
        "verified_at": backup.verified_at or None,
        "damage": backup.damage or None,
        "taken_at": backup.taken_at,
        "schema": list(backup.schema),
        "counts": dict(backup.counts),
        "run_id": backup.run_id,
    }


def status(found: Sequence[Inspected]) -> Answer:
    """Return the fleet in one table."""
    rows = []
    hosts = []
    for host in found:
        facts, current = host.facts, host.current
        if facts is None or current is None:
            rows.append((host.host, "unreachable", "", "", "", "", "", ""))
            hosts.append({"host": host.host, **error_fields(host.error)})
            continue
        newest = next(iter(facts.backups), None)
        holder = f"{facts.lock.operator}@{facts.lock.laptop} {facts.lock.run_id}" if facts.lock else ""
        unfinished = ", ".join(facts.unfinished)
        rows.append(
            (
                host.host,
                "healthy" if facts.is_healthy else f"unhealthy ({facts.health_detail[:40]})",
                current.label,
                current.status.value,
                current.commit[:12] + ("+" if facts.git.dirty else ""),
                ", ".join(current.schema) or facts.database_problem[:40],
                f"{newest.taken_at} {newest.level.value}" if newest else "",
                holder or (f"unfinished: {unfinished}" if unfinished else ""),
            )
        )
        hosts.append(
            {
                "host": host.host,
                "healthy": facts.is_healthy,
                "health": facts.health_detail,
                "current": release_fields(current),
                "branch": facts.git.branch,
                "dirty": list(facts.git.dirty),
                "containers": [
                    {"service": c.service, "name": c.name, "state": c.state, "image": c.image, "restarts": c.restarts}
                    for c in facts.containers
                ],
                "database": None
                if facts.database is None
                else {
                    "version": facts.database.version,
                    "bytes": facts.database.size_bytes,
                    "schema": list(facts.database.schema),
                },
                "backup": backup_fields(newest) if newest else None,
                "lock": None if facts.lock is None else facts.lock.run_id,
                "unfinished": list(facts.unfinished),
                "compose": f"{' '.join(facts.tools.compose)} {facts.tools.compose_version}",
                **error_fields(host.error),
            }
        )
    columns = ("host", "health", "release", "status", "commit", "schema", "newest backup", "lock")
    return answer(table(columns, rows), hosts, [host.error for host in found])


def findings(found: Sequence[Inspected]) -> Answer:
    """Return every check of every host; a problem decides the exit code."""
    rows = []
    hosts = []
    for host in found:
        rows += [(host.host, f.check, "PROBLEM" if f.problem else "ok", f.problem or f.says) for f in host.findings]
        hosts.append(
            {
                "host": host.host,
                "checks": [verify.fields(finding) for finding in host.findings],
                **error_fields(host.error),
            }
        )
    has_problem = any(finding.problem for host in found for finding in host.findings)
    code = ExitCode.PROBLEMS if has_problem else ExitCode.DONE
    said = table(("host", "check", "result", "says"), rows)
    return answer(said, hosts, [host.error for host in found], code=code)


def logs(found: Sequence[OfHost[tuple[Line, ...]]]) -> Answer:
    """Return the last lines of logs, as they were said but for what would steer a terminal."""
    text = "".join(
        visible(f"{each.host} {line.container} {line.at[:19]} {line.text}") + "\n"
        for each in found
        for line in each.found or ()
    )
    hosts = [
        {
            "host": each.host,
            "lines": [
                {"container": line.container, "at": line.at, "text": line.text, "error": line.is_error}
                for line in each.found or ()
            ],
            **error_fields(each.error),
        }
        for each in found
    ]
    return answer(text, hosts, [each.error for each in found])


def locks(found: Sequence[HostLock]) -> Answer:
    """Return who holds which host."""
    rows = []
    hosts = []
    for host in found:
        owner = host.owner
        state = "released" if host.released else "free" if owner is None else "stale" if host.is_stale else "held"
        rows.append(
            (
                host.host,
                "unreachable" if host.error else state,
                f"{owner.operator}@{owner.laptop}" if owner else "",
                owner.task if owner else "",
                owner.taken_at if owner else "",
                f"{owner.heartbeat_age:.0f} s ago" if owner else "",
                owner.reason if owner else "",
                ", ".join(host.unfinished),
            )
        )
        hosts.append(
            {
                "host": host.host,
                "state": None if host.error else state,
                "run_id": owner.run_id if owner else None,
                "operator": owner.operator if owner else None,
                "laptop": owner.laptop if owner else None,
                "task": owner.task if owner else None,
                "taken_at": owner.taken_at if owner else None,
                "heartbeat_age": owner.heartbeat_age if owner else None,
                "reason": owner.reason if owner else None,
                "unfinished": list(host.unfinished),
                **error_fields(host.error),
            }
        )
    columns = ("host", "lock", "holder", "task", "since", "alive", "reason", "unfinished run")
    return answer(table(columns, rows), hosts, [host.error for host in found])
