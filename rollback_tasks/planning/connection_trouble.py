"""Are the connections of a server in trouble, and what is to be done about it?"""

from __future__ import annotations

from collections.abc import Iterator

from rollback_tasks.drivers.sessions import Connections, Root, Slots

# Below this share of all slots a burst of requests takes the rest.
_SCARCE = 0.1
_TIMEOUT = "idle_in_transaction_session_timeout"


def troubles(found: Connections, host: str) -> tuple[str, ...]:
    """Return what is wrong, as sentences that name what to do."""
    return tuple(_troubles(found, host))


def _troubles(found: Connections, host: str) -> Iterator[str]:
    slots = found.slots
    if is_scarce(slots):
        yield f"{slots.used} of {slots.limit} slots are used, {slots.free} are free for the application"
    for root in found.roots:
        yield f"{count(root.waiting, 'session')} {'waits' if root.waiting == 1 else 'wait'} for {described(root)}"
    if any(root.is_endable for root in found.roots):
        yield f"to end those that all others wait for: `inv db.connections --host {host} --terminate`"
    if any(root.pid == 0 for root in found.roots):
        yield "a prepared transaction holds locks: end it with COMMIT PREPARED or ROLLBACK PREPARED"
    roots = {root.pid for root in found.roots}
    for row in found.long:
        if str(row["state"]).startswith("idle in transaction") and row["pid"] not in roots:
            yield (
                f"pid {row['pid']} ({row['user']}, {row['application'] or 'no name'}) is idle in a transaction that "
                f"began {row['seconds']} s ago"
            )
    if found.slots.idle_in_transaction and found.timeouts.get(_TIMEOUT, "").startswith("0"):
        yield f"no timeout ends such sessions: set {_TIMEOUT}"


def is_scarce(slots: Slots) -> bool:
    """True where a burst of requests would find no slot."""
    return slots.free < max(3, slots.limit * _SCARCE)


def described(root: Root) -> str:
    """Return who a root is, in a few words."""
    if root.pid == 0:
        return "a prepared transaction"
    who = ", ".join(word for word in (root.user, root.application, root.address) if word)
    return f"pid {root.pid} ({who or root.kind}), {root.state or root.kind} since {root.seconds} s"


def count(number: int, noun: str) -> str:
    """Given 1 or 2 and ``session``, return ``1 session`` or ``2 sessions``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
