"""What the database is: is its data whole, how much is in it, and has that become worse?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import consistency, postgres
from rollback_tasks.drivers.consistency import Consistency, Difference
from rollback_tasks.drivers.statements import snapshot
from rollback_tasks.errors import StepFailed, UsageError
from rollback_tasks.flows.everywhere import OfHost, database_of, everywhere
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.release import Backup
from rollback_tasks.ports import Statement
from rollback_tasks.shell import Effect

NEWEST = "newest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    :param against: what it was compared with, in words; empty = with nothing.
    """

    found: Consistency
    difference: Difference | None = None
    against: str = ""

    @property
    def has_problem(self) -> bool:
        """True where something is wrong; compared with an earlier look, only what became worse counts."""
        return bool(self.found.problems if self.difference is None else self.difference.worse)


def checked(
    configs: Sequence[HostConfig],
    world: World,
    *,
    save: str | None = None,
    against: str | None = None,
    is_dry_run: bool = False,
) -> list[OfHost[Checked]]:
    """Check the data of every host's database.

    :param save: keep the answer on the laptop under this name.
    :param against: compare with a check that was saved, with a backup of this name, or with the newest backup.
    :param is_dry_run: nothing is saved, and nothing is borrowed for the time of the check.
    :raises UsageError: a name is none, or nothing is known under it.
    """
    for name in (save, against):
        if name is not None and not _NAME.match(name):
            raise UsageError(
                f"{name!r} is no name of a check", hint='Use letters, digits, ".", "_" and "-", e.g. --save before.'
            )

    def act(session: Session) -> Checked:
        old = _earlier(session, world, against) if against is not None else None
        found = look(session, world, may_borrow=not is_dry_run)
        if save is not None and not is_dry_run:
            document = {"version": 1, **consistency.to_json(found)}
            world.laptop.write(_path(session.config.name, save), json.dumps(document).encode())
        if old is None:
            return Checked(found=found)
        then, words, are_rows_alone = old
        difference = consistency.compare(then, found, then=words, are_rows_alone=are_rows_alone)
        return Checked(found=found, difference=difference, against=words)

    return everywhere(configs, world, act)


def look(session: Session, world: World, *, may_borrow: bool) -> Consistency:
    """Ask one host everything about its data.

    :param may_borrow: amcheck may be made for the time of the check where it is not installed.
    """
    found = _asked(session, world, consistency.WHOLE)
    is_installed = found.amcheck == "installed"
    if not is_installed and not (found.amcheck and may_borrow):
        return replace(found, notes=(*found.notes, "amcheck is not installed: indexes were not looked into"))
    effect = Effect.READ if is_installed else Effect.WRITE
    inside = _asked(session, world, consistency.structure(is_installed=is_installed), effect=effect)
    if not inside.checked:
        why = "; ".join(problem.says for problem in inside.problems) or "it gave no answer"
        return replace(found, notes=(*found.notes, f"indexes were not looked into: amcheck {why}"))
    return consistency.merged(found, inside)


def foreign_keys(session: Session, world: World) -> Consistency:
    """Ask one host for rows that break foreign keys, and for nothing else."""
    return _asked(session, world, consistency.FOREIGN_KEYS)


def _asked(
    session: Session, world: World, statements: Sequence[Statement], *, effect: Effect = Effect.READ
) -> Consistency:
    with database_of(session, world, effect=effect) as database:
        done = database.ask(statements)
    return consistency.read(done.text, done.error_text)


def _earlier(session: Session, world: World, name: str) -> tuple[Consistency, str, bool]:
    """Return an earlier look, words for it, and whether nothing but its rows is known."""
    host = session.config.name
    data = world.laptop.read(_path(host, name))
    if data is not None:
        try:
            return consistency.from_json(json.loads(data)), f"in check {name}", False
        except ValueError as error:
            raise StepFailed(f"the saved check {name} cannot be read", host=host) from error
    backups = session.facts.backups
    meant = [b for b in backups if name == NEWEST or name in (b.name, b.name.removesuffix(".dump"))]
    if not meant:
        known = ", ".join(b.name for b in backups[:5]) or "none"
        raise UsageError(
            f"neither a saved check nor a backup of {host} is called {name!r}",
            details=f"backups: {known}",
            hint=f"`inv db.check --host {host} --save NAME` saves one, `inv backup.list --host {host}` lists backups.",
            host=host,
        )
    return of_backup(session, meant[0])


def of_backup(session: Session, backup: Backup) -> tuple[Consistency, str, bool]:
    """Return what is known of the data of a backup, words for it, and whether nothing but its rows is known."""
    words = f"in backup {backup.name}"
    text = session.host.run(consistency.before(session.project, backup.run_id)).text if backup.run_id else ""
    if text:
        return consistency.read(text), words, False
    return Consistency(rows=backup.counts), words, True


def _path(host: str, name: str) -> str:
    return f"checks/{host}/{name}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Exact rows of one database, all of one moment. ``missing``: tables that the inventory names and nobody has."""

    rows: Mapping[str, int]
    missing: tuple[str, ...] = ()


def counted(configs: Sequence[HostConfig], world: World) -> list[OfHost[Counted]]:
    """Count the rows of the tables that the inventory names; of every table where it names none."""

    def act(session: Session) -> Counted:
        with database_of(session, world) as database:
            done = database.ask(snapshot(Statement(postgres.COUNTS)))
        if not done.text.strip():
            raise StepFailed("the database did not count", details=done.error_text.strip(), host=session.config.name)
        rows = postgres.read_counts(done.text)
        wanted = [name.removeprefix("public.") for name in session.config.tables]
        if not wanted:
            return Counted(rows=rows)
        return Counted(
            rows={name: rows[name] for name in wanted if name in rows},
            missing=tuple(name for name in wanted if name not in rows),
        )

    return everywhere(configs, world, act)
