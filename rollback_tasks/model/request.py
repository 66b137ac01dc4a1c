"""What the operator asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """One command line, decided.

    :param task: e.g. ``rollback.full``; stands in lock, journal and report.
    :param run_id: e.g. ``20261122T031501Z-4f2a``.
    :param now: seconds since the epoch when the command was typed.
    :param to: a release as the operator named it; None = the last good one.
    :param accepted_losses: names (``table`` or ``table.column``) that may be lost.
    :param is_confirmed: ``--yes``.
    :param is_dry_run: ``--dry-run`` or ``inv --dry``.
    :param canary: hosts that go first, alone.
    :param batch: hosts at once after the canary: a number, or a share like ``25%``.
    :param max_failures: failed hosts after which no further host starts.
    :param parallel: hosts that are worked on at the same moment.
    :param undoes_on_failure: hosts already switched are put back once the fleet stops.
    """

    task: str
    run_id: str
    now: float
    operator: str
    laptop: str
    to: str | None = None
    accepted_losses: frozenset[str] = frozenset()
    reason: str = ""
    is_confirmed: bool = False
    is_dry_run: bool = False
    canary: int = 1
    batch: str = "100%"
    max_failures: int = 0
    parallel: int = 8
    undoes_on_failure: bool = False
