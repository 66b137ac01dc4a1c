"""The release that the operator means."""

from __future__ import annotations

from rollback_tasks.errors import UsageError
from rollback_tasks.flows.session import Session
from rollback_tasks.model.release import Release
from rollback_tasks.planning import target
from rollback_tasks.planning.target import Choice


def choose(session: Session, current: Release, to: str | None) -> Choice:
    """Return where a host goes back to, as ``planning.target.choose`` says.

    :raises UsageError: ``to`` names nothing that the host knows.
    """
    choice = target.choose(session.facts, current, to, session.gathered.resolved)
    if choice.is_unknown:
        raise _unknown(choice, session)
    return choice


def named(session: Session, current: Release, to: str | None) -> Release:
    """Return the release that ``to`` names. Raise UsageError where there is none."""
    choice = target.choose(session.facts, current, to, session.gathered.resolved)
    if choice.release is None:
        raise _unknown(choice, session)
    return choice.release


def _unknown(choice: Choice, session: Session) -> UsageError:
    return UsageError(choice.problem, details="nothing was changed", hint=choice.hint, host=session.facts.host)
