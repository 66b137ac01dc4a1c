"""Backups here and there: what hosts have, what this laptop has of it, and getting what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers.manifests import read_manifest
from rollback_tasks.errors import PlanRefused, UsageError
from rollback_tasks.execution.fetching import fetch
from rollback_tasks.flows.everywhere import OfHost, everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.events import Note
from rollback_tasks.model.plan import Fetch
from rollback_tasks.model.recovery import BaseBackup
from rollback_tasks.model.release import Backup

MANIFEST = ".manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """The backups of one host, newest first: there, and copied to this laptop; base backups stand apart, and ``others``
    with what they are of."""

    there: tuple[Backup, ...] = ()
    others: tuple[tuple[Backup, str], ...] = ()
    here: tuple[Backup, ...] = ()
    bases: tuple[BaseBackup, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What came, and what would come; ``bytes_before`` were there from a copy that was cut."""

    came: tuple[Backup, ...] = ()
    wanted: tuple[Backup, ...] = ()
    bytes_before: int = 0


def copies(session: Session, world: World) -> tuple[Backup, ...]:
    """Return the copies that this laptop has of a host's backups, newest first. A torn manifest is none."""
    folder, laptop = session.settings.local_backups, world.laptop
    found = []
    for name in laptop.names(folder):
        text = laptop.read(f"{folder}/{name}") if name.endswith(MANIFEST) else None
        if text is None:
            continue
        size = laptop.size(f"{folder}/{name.removesuffix(MANIFEST)}.dump")
        known = text.decode("utf-8", "replace")
        backup = read_manifest(known, folder, size=-1 if size is None else size, database=session.project.database)
        if backup is not None and name == f"{backup.name}{MANIFEST}":
            found.append(backup)
    return tuple(sorted(found, key=lambda backup: (backup.taken_at, backup.name), reverse=True))


def listed(configs: Sequence[HostConfig], world: World) -> list[OfHost[Backups]]:
    """Return the backups of every host; nothing is read but names, sizes and manifests."""

    def found(session: Session) -> Backups:
        facts = session.facts
        return Backups(there=facts.backups, others=facts.others, here=copies(session, world), bases=facts.bases)

    return everywhere(configs, world, found)


def named(backups: Sequence[Backup], names: Sequence[str], host: str) -> tuple[Backup, ...]:
    """Return the backups of these names, all for none.

    :raises UsageError: there is none of a name.
    """
    known = {backup.name: backup for backup in backups}
    for name in names:
        if name not in known:
            raise UsageError(
                f"{host} has no backup {name!r}",
                details="nothing was changed",
                hint=f"`inv backup.list --host {host}` shows what it has.",
                host=host,
            )
    return tuple(known[name] for name in names) if names else tuple(backups)


def pull(
    configs: Sequence[HostConfig], world: World, *, names: Sequence[str] = (), is_dry_run: bool = False
) -> list[OfHost[Pulled]]:
    """Copy backups to this laptop: those of ``names``, else every whole one of this deployment that it lacks. The hosts
    stay as they are.

    :raises UsageError: there is none of a name.
    """

    def act(session: Session) -> Pulled:
        host, laptop, folder = session.config.name, world.laptop, session.settings.local_backups
        here = {copy.name: copy for copy in copies(session, world) if not copy.damage}
        wanted = []
        others = tuple(backup for backup, _ in session.facts.others if backup.name in names)
        for backup in named((*session.facts.backups, *others), names, host):
            if backup.damage and names:
                raise PlanRefused(
                    f"{backup.name} is no whole backup: {backup.damage}",
                    details="nothing was copied",
                    hint=f"`inv backup.push --host {host} --backup {backup.name}` mends it from a good copy.",
                    host=host,
                )
            copy = here.get(backup.name)
            is_same = copy is not None and (copy.sha256, copy.level) == (backup.sha256, backup.level)
            if not backup.damage and (names or not is_same):
                wanted.append(backup)
        before = sum(laptop.size(f"{folder}/{backup.name}.dump.partial") or 0 for backup in wanted)
        if is_dry_run:
            return Pulled(wanted=tuple(wanted), bytes_before=before)
        watched = world.read_only(session.host)
        for backup in wanted:
            world.sink.emit(Note(host, f"copying {backup.name} ({backup.size_bytes} bytes) to {folder}"))
            remote = f"{session.project.backup_folder}/{backup.name}"
            fetch(Fetch(remote, f"{folder}/{backup.name}", session.project.database_site.place), watched, laptop)
        return Pulled(came=tuple(wanted), wanted=tuple(wanted), bytes_before=before)

    return everywhere(configs, world, act)
