"""The least that ends connection trouble: end who is in the way, start the application anew, or nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rollback_tasks.drivers.logs import Line
from rollback_tasks.drivers.sessions import Connections, Root
from rollback_tasks.model.facts import HostFacts, ran
from rollback_tasks.model.plan import Step
from rollback_tasks.model.project import Project
from rollback_tasks.planning import parts
from rollback_tasks.planning.connection_trouble import count, described, is_scarce
from rollback_tasks.planning.images_only import settle
from rollback_tasks.planning.parts import Settings
from rollback_tasks.steps.end_sessions import EndSessions
from rollback_tasks.steps.resume_services import ResumeServices
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.verify_release import VerifyRelease

# As pools and drivers say that they get no connection. That a server is away is another matter: then nothing that is
# done to the application helps.
_POOL = re.compile(
    r"QueuePool limit|too many clients|too many connections|remaining connection slots|PoolTimeout"
    r"|[Cc]onnection pool (?:is )?exhausted|pool exhausted|couldn't get a connection after|Timed out fetching a new "
    r"connection|timeout exceeded when trying to connect"
)


class Remedy(Enum):
    """What is done."""

    END = "end sessions"
    RESTART = "restart the application"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was found on one host.

    :param now: None where the server takes no more clients.
    :param holders: who has its slots: rows with ``sessions``, ``user`` and ``address``.
    :param lines: what the application has said lately.
    """

    facts: HostFacts
    project: Project
    now: Connections | None
    holders: tuple[Mapping[str, Any], ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def apps(self) -> tuple[str, ...]:
        """Addresses of the application's containers."""
        services = self.project.app_services
        return tuple(ip for c in self.facts.containers if c.service in services for ip in c.networks.values() if ip)

    @property
    def complaints(self) -> tuple[Line, ...]:
        """Lines in which the application says that it gets no connection."""
        return tuple(line for line in self.lines if _POOL.search(line.text))

    @property
    def endable(self) -> tuple[Root, ...]:
        """Clients' sessions that others wait for."""
        return tuple(root for root in (self.now.roots if self.now else ()) if root.is_endable)


def found(case: Case) -> Iterator[str]:
    """Yield what the connections are, as sentences."""
    now = case.now
    if now is None:
        yield "the server takes no more clients: every slot is taken"
    else:
        slots = now.slots
        yield (
            f"{slots.used} of {slots.limit} slots used, {slots.free} free for the application; {slots.active} active, "
            f"{slots.idle} idle, {slots.idle_in_transaction} idle in transaction, {slots.waiting} waiting for a lock"
        )
    held, used = _held(case)
    if used and (now is None or is_scarce(now.slots)):
        yield f"the application holds {held} of {count(used, 'session')}"
        yield from (f"{row['sessions']} held by {_who(row)}" for row in _strangers(case)[:3])
    for root in now.roots if now else ():
        waits = "waits" if root.waiting == 1 else "wait"
        yield f"{count(root.waiting, 'session')} {waits} for {described(root)}; its last statement: {root.query}"
    if case.complaints:
        last = case.complaints[-1]
        yield f"{count(len(case.complaints), 'line')} of {last.container} tell of it, at last: {last.text[:160]}"


def choose(case: Case) -> tuple[Remedy, str]:
    """Return the least that helps, and why."""
    facts, now = case.facts, case.now
    up = facts.up(case.project.app_services)
    if case.endable:
        return Remedy.END, f"{count(len(case.endable), 'session')} that the others wait for; nothing is started anew"
    held, used = _held(case)
    if now is None or (is_scarce(now.slots) and not facts.is_healthy):
        if up and held * 2 >= used:
            return Remedy.RESTART, f"the application holds {held} of {count(used, 'session')}"
        names = "; ".join(_who(row) for row in _strangers(case)[:3]) or "nobody who can be told"
        return Remedy.NOTHING, f"the slots are held by others than the application ({names}): they have to let go"
    if not up:
        name = facts.host
        return (
            Remedy.NOTHING,
            f"the application does not run: `inv scenario.failed-deployment --host {name}` is for that",
        )
    if not facts.is_healthy and case.complaints:
        return Remedy.RESTART, "the server has room, and the application's own pool gives no connection"
    if now.roots:
        return Remedy.NOTHING, "what the others wait for is no client's session, and is left alone"
    if is_scarce(now.slots):
        return Remedy.NOTHING, "few slots are left, and the application is healthy: raise max_connections, or use less"
    if not facts.is_healthy:
        return Remedy.NOTHING, "the application is not healthy, and its connections are not why"
    return Remedy.NOTHING, "nothing is wrong with the connections"


def costs(case: Case) -> tuple[str, ...]:
    """Return what is lost when the sessions in the way are ended."""
    return tuple(f"what {described(root)} did not commit" for root in case.endable)


def steps(case: Case, remedy: Remedy, settings: Settings, run_id: str, *, is_pulled: bool) -> tuple[Step, ...]:
    """Return the steps of a remedy.

    :param is_pulled: the compose file asks for a pull, which is held back.
    """
    project, facts = case.project, case.facts
    evidence = SaveEvidence(project_=project, run_id=run_id)
    match remedy:
        case Remedy.NOTHING:
            return ()
        case Remedy.END:
            return (
                evidence,
                EndSessions(
                    project_=project,
                    sessions=tuple((root.pid, root.started) for root in case.endable),
                    who=tuple(described(root) for root in case.endable),
                ),
            )
        case Remedy.RESTART:
            old = tuple(c for c in facts.containers if c.service in project.app_services)
            schema = facts.database.schema if facts.database else None
            # A server that was full answers again once its clients are gone.
            waits = settle(project, settings, facts) if facts.database else parts.await_healthy(project, settings)
            return (
                evidence,
                StopServices(project_=project, old=old, is_pulled=is_pulled),
                ResumeServices(project_=project, old=old, is_pulled=is_pulled),
                waits,
                VerifyRelease(project_=project, commit="", images=ran(old), schema=schema),
            )


def _rows(case: Case) -> Sequence[Mapping[str, Any]]:
    return case.now.users if case.now else case.holders


def _held(case: Case) -> tuple[int, int]:
    """Return the sessions that the application holds, and all of them."""
    rows = _rows(case)
    ours = sum(int(row["sessions"]) for row in rows if row.get("address") in case.apps)
    return ours, sum(int(row["sessions"]) for row in rows)


def _strangers(case: Case) -> list[Mapping[str, Any]]:
    return [row for row in _rows(case) if row.get("address") not in case.apps]


def _who(row: Mapping[str, Any]) -> str:
    words = (row.get("user"), row.get("application"), row.get("service"), row.get("address"))
    return ", ".join(str(word) for word in words if word)
