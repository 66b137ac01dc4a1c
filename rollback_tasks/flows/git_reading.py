"""What happened in the checkouts of hosts: log, reflog, lost commits. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git_history
from rollback_tasks.drivers.git_history import Commit, Entry
from rollback_tasks.errors import RollbackError, UsageError
from rollback_tasks.flows.everywhere import everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.release import Release

# How far back lost commits are looked for.
_DEPTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHistory:
    """What one host's checkout says; ``releases`` are those that its ledger knows."""

    host: str
    head: str = ""
    commits: tuple[Commit, ...] = ()
    entries: tuple[Entry, ...] = ()
    releases: tuple[Release, ...] = ()
    error: RollbackError | None = None


def log(configs: Sequence[HostConfig], world: World, *, ref: str, count: int) -> list[HostHistory]:
    """Return the last commits of every host.

    :raises UsageError: a host knows no such ``ref``.
    """

    def read(session: Session) -> HostHistory:
        answer = world.read_only(session.host).run(git_history.log(session.project.folder, ref, count))
        if answer.exit_code:
            raise UsageError(f"--ref: {ref!r} is no commit", host=session.config.name)
        return _history(session, commits=git_history.read_log(answer.stdout))

    return _each(configs, world, read)


def reflog(configs: Sequence[HostConfig], world: World, *, count: int) -> list[HostHistory]:
    """Return where HEAD of every host was, newest first."""

    def read(session: Session) -> HostHistory:
        answer = world.read_only(session.host).run(git_history.reflog(session.project.folder, count))
        return _history(session, entries=git_history.read_reflog(answer.stdout))

    return _each(configs, world, read)


def lost(configs: Sequence[HostConfig], world: World) -> list[HostHistory]:
    """Return the moves of HEAD to commits that nothing leads to any more, each commit once."""

    def read(session: Session) -> HostHistory:
        host, folder = world.read_only(session.host), session.project.folder
        gone = set(host.run(git_history.lost(folder)).text.split())
        entries = git_history.read_reflog(host.run(git_history.reflog(folder, _DEPTH)).stdout)
        first: dict[str, Entry] = {}
        for entry in entries:
            if entry.commit in gone:
                first.setdefault(entry.commit, entry)
        return _history(session, entries=tuple(first.values()))

    return _each(configs, world, read)


def _history(session: Session, *, commits: tuple[Commit, ...] = (), entries: tuple[Entry, ...] = ()) -> HostHistory:
    facts = session.facts
    return HostHistory(host=facts.host, head=facts.git.commit, commits=commits, entries=entries, releases=facts.ledger)


def _each(configs: Sequence[HostConfig], world: World, read: Callable[[Session], HostHistory]) -> list[HostHistory]:
    return [each.found or HostHistory(host=each.host, error=each.error) for each in everywhere(configs, world, read)]
