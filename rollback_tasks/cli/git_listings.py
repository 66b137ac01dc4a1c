"""What the tasks say that read a checkout's history."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.listings import answer, error_fields
from rollback_tasks.flows.git_reading import HostHistory
from rollback_tasks.model.moments import stamp
from rollback_tasks.reporting.tables import Column, table


def log(found: Sequence[HostHistory]) -> Answer:
    """Return commits, newest first; ``*`` stands at HEAD, and what the ledger says at a release."""
    rows = []
    hosts = []
    for host in found:
        marks = {release.commit: release.status.value for release in host.releases}
        rows += [
            (
                host.host,
                "*" if commit.commit == host.head else "",
                commit.commit[:12],
                stamp(commit.at),
                commit.author,
                marks.get(commit.commit, ""),
                ", ".join(commit.names),
                commit.subject,
            )
            for commit in host.commits
        ]
        hosts.append(
            {
                "host": host.host,
                "head": host.head or None,
                "commits": [
                    {
                        "commit": commit.commit,
                        "parents": list(commit.parents),
                        "at": stamp(commit.at),
                        "author": commit.author,
                        "names": list(commit.names),
                        "subject": commit.subject,
                        "release": marks.get(commit.commit),
                    }
                    for commit in host.commits
                ],
                **error_fields(host.error),
            }
        )
    columns = ("host", "head", "commit", "at", "author", "release", "names", "subject")
    return answer(table(columns, rows), hosts, [host.error for host in found])


def reflog(found: Sequence[HostHistory]) -> Answer:
    """Return moves of HEAD, newest first."""
    rows = []
    hosts = []
    for host in found:
        rows += [
            (host.host, f"HEAD@{{{entry.number}}}", entry.commit[:12], stamp(entry.at), entry.action, entry.subject)
            for entry in host.entries
        ]
        hosts.append(
            {
                "host": host.host,
                "entries": [
                    {
                        "name": f"HEAD@{{{entry.number}}}",
                        "commit": entry.commit,
                        "at": stamp(entry.at),
                        "action": entry.action,
                        "subject": entry.subject,
                    }
                    for entry in host.entries
                ],
                **error_fields(host.error),
            }
        )
    columns: tuple[Column | str, ...] = ("host", "name", "commit", "at", "action", "subject")
    return answer(table(columns, rows), hosts, [host.error for host in found])
