"""Can the target release run on the live schema, and which migrations have to be undone for it?

Everything is decided from the rows of ``alembic_version`` and the script graphs of the two releases: the deployed one
alone holds the scripts that can be undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from rollback_tasks.drivers.alembic import Script, ScriptGraph
from rollback_tasks.drivers.alembic_operations import OperationKind
from rollback_tasks.model.verdict import Verdict, VerdictKind
from rollback_tasks.planning.downgrade_path import downgrade_commands, downgrade_path
from rollback_tasks.planning.losses import Count, costs_of, count_targets, unaccepted, with_counts

__all__ = ["count_targets", "decide", "differences", "downgrade_commands", "unaccepted", "with_counts"]

_HURTS_OLDER_CODE = (
    OperationKind.DROP_TABLE,
    OperationKind.DROP_COLUMN,
    OperationKind.RENAME_TABLE,
    OperationKind.RENAME_COLUMN,
    OperationKind.CHANGE_TYPE,
    OperationKind.SET_NOT_NULL,
    OperationKind.UNKNOWN,
)


def decide(
    *,
    live: tuple[str, ...],
    deployed: ScriptGraph,
    target_graph: ScriptGraph,
    target_heads: tuple[str, ...] | None = None,
    counts: Mapping[Count, int] | None = None,
    code_only: bool = False,
    to_base: bool = False,
) -> Verdict:
    """Return the verdict of one host.

    :param live: rows of ``alembic_version``; none for a database without one.
    :param deployed: the scripts of the release that runs now.
    :param target_graph: the scripts of the release to go to.
    :param target_heads: the heads that the ledger recorded for it; None or empty: those of ``target_graph``.
    :param counts: live rows of (table, "") and non-null values of (table, column), as ``count_targets`` asks for
        them; None before they were asked for.
    :param code_only: no downgrade was asked for.
    :param to_base: the operator asked to undo every migration. Never assumed, as it usually drops every table.
    """
    rows = tuple(sorted(set(live)))
    wanted = () if to_base else tuple(sorted(set(target_heads or target_graph.heads)))
    case = _Case(rows=rows, wanted=wanted, deployed=deployed, target=target_graph, counts=counts)
    if not to_base and not target_heads:
        doubt = (*target_graph.unreadable, *target_graph.broken)
        if doubt:
            return case.impossible(f"the heads of the target release cannot be read: {'; '.join(doubt)}")
        if not wanted and rows:
            return case.impossible(
                "the target release has no migrations, so every one would have to be undone, which nobody asked for"
            )
    if rows == wanted:
        return case.verdict(VerdictKind.CODE_ONLY)
    return case.compare(code_only=code_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    rows: tuple[str, ...]
    wanted: tuple[str, ...]
    deployed: ScriptGraph
    target: ScriptGraph
    counts: Mapping[Count, int] | None

    def verdict(self, kind: VerdictKind, explanation: str = "") -> Verdict:
        return Verdict(
            kind=kind, current=self.rows, target=self.wanted, explanation=explanation, warnings=tuple(self._warnings())
        )

    def impossible(self, explanation: str) -> Verdict:
        return self.verdict(VerdictKind.IMPOSSIBLE, explanation)

    def compare(self, *, code_only: bool) -> Verdict:
        """The table of cases, for two sets of heads that are not equal."""
        deployed, rows, wanted = self.deployed, self.rows, self.wanted
        unknown = _missing(rows, deployed)
        if unknown or _missing(wanted, deployed):
            if not _missing((*rows, *wanted), self.target):
                there, here = self.target.ancestors(wanted), self.target.ancestors(rows)
                if here == there:
                    return self._code_only()
                if here < there:
                    return self._behind(there - here)
            if deployed.unreadable:
                names = _names(unknown or _missing(wanted, deployed))
                return self.impossible(
                    f"the deployed release has no readable script for {names}: {'; '.join(deployed.unreadable)}"
                )
            if unknown:
                return self.impossible(
                    f"the live database is at {_names(unknown)}, which the deployed release does not have: "
                    "other code migrated it"
                )
            return self._diverged(
                f"the target is at {_names(_missing(wanted, deployed))}, which the deployed release does not have"
            )
        active, kept = deployed.ancestors(rows), deployed.ancestors(wanted)
        lost = deployed.lost_parents(active | kept)
        if lost:
            files = f" ({'; '.join(deployed.unreadable)})" if deployed.unreadable else ""
            return self.impossible(f"applied migrations stand on {_names(lost)}, which no readable file has{files}")
        if active == kept:
            return self._code_only()
        if active < kept:
            return self._behind(kept - active)
        if not kept < active:
            return self._diverged(
                f"the target has {_names(sorted(kept - active))}, which the live database does not, and lacks "
                f"{_names(sorted(active - kept))}"
            )
        undone = deployed.newest_first(active - kept)
        if code_only:
            ahead = self.verdict(VerdictKind.SCHEMA_AHEAD)
            return replace(ahead, warnings=(*ahead.warnings, *self._risks_ahead(undone)))
        return self._downgrade(undone)

    def _code_only(self) -> Verdict:
        """Other rows, the same applied migrations: Alembic keeps redundant rows in some histories."""
        return replace(self.verdict(VerdictKind.CODE_ONLY), target=self.rows)

    def _behind(self, needed: Collection[str]) -> Verdict:
        return self.verdict(
            VerdictKind.BEHIND, f"the target needs {_names(sorted(needed))}, which the live database does not have yet"
        )

    def _diverged(self, explanation: str) -> Verdict:
        return self.verdict(VerdictKind.DIVERGED, f"{explanation}: no downgrade leads there")

    def _downgrade(self, undone: tuple[str, ...]) -> Verdict:
        if self.deployed.broken and not self.deployed.unreadable:
            return self.impossible(f"alembic refuses the deployed scripts: {'; '.join(self.deployed.broken)}")
        scripts = [self.deployed.scripts[revision] for revision in undone]
        path = downgrade_path(self.deployed, self.rows, self.wanted)
        if self.deployed.ancestors(path.rows) != self.deployed.ancestors(self.wanted):
            return self.impossible("no order of downgrades was found that ends at exactly these heads")
        blockers = tuple(sentence for script in scripts for sentence in _blockers(script))
        costs = costs_of(scripts)
        losses = costs.losses if self.counts is None else with_counts(costs.losses, self.counts)
        if blockers:
            kind = VerdictKind.IMPOSSIBLE
        else:
            kind = VerdictKind.DOWNGRADE_LOSSY if losses else VerdictKind.DOWNGRADE
        return Verdict(
            kind=kind,
            current=self.rows,
            target=path.rows,
            commands=() if blockers else path.commands,
            undone=undone,
            losses=losses,
            explanation="; ".join(blockers),
            warnings=(*self._warnings(), *costs.warnings, *(w for script in scripts for w in _doubts(script))),
        )

    def _warnings(self) -> Iterator[str]:
        if len(self.rows) > 1:
            yield f"the live database has {len(self.rows)} heads: {', '.join(self.rows)}"
        unknown = _missing(self.rows, self.deployed)
        if unknown and self.rows == self.wanted:
            yield f"the deployed release does not have {_names(unknown)}, the target does not need it to"
        for revision in self.deployed.duplicates:
            yield f"revision {revision} stands in more than one file of the deployed release; alembic runs one of them"
        for sentence in self.deployed.unreadable:
            yield f"not taken into account: {sentence}"
        strangers = _missing(self.wanted, self.target)
        if strangers:
            yield f"the target release has no script for {_names(strangers)}: its own alembic cannot start there"
        elif not _missing(self.wanted, self.deployed):
            other = self.deployed.ancestors(self.wanted) ^ self.target.ancestors(self.wanted)
            if other:
                yield f"below the target the two releases differ in {_names(sorted(other))}"

    def _risks_ahead(self, undone: tuple[str, ...]) -> Iterator[str]:
        yield f"the schema stays ahead by {_names(undone)}"
        for revision in undone:
            for operation in self.deployed.scripts[revision].upgrade.operations:
                if operation.kind in _HURTS_OLDER_CODE:
                    what = ".".join(part for part in (operation.table, operation.column) if part) or "something"
                    yield f"revision {revision}: upgrade() did {operation.kind.value} on {what}; older code may need it"


def _missing(revisions: Collection[str], graph: ScriptGraph) -> tuple[str, ...]:
    return tuple(revision for revision in revisions if revision not in graph)


def _names(revisions: Collection[str]) -> str:
    shown = list(revisions)[:8]
    more = len(revisions) - len(shown)
    words = f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)
    return f"revision{'' if len(revisions) == 1 else 's'} {words}"


def _blockers(script: Script) -> Iterator[str]:
    """Why this revision cannot be undone by its own downgrade."""
    reading = script.downgrade
    if not reading.exists:
        yield f"revision {script.revision} has no downgrade()"
    elif reading.raises is not None:
        yield f"revision {script.revision} refuses: its downgrade() raises {reading.raises}"
    elif reading.is_empty and _changes_schema(script):
        yield f"revision {script.revision} has an empty downgrade(): it would leave the schema as it is"


def _changes_schema(script: Script) -> bool:
    upgrade = script.upgrade
    return upgrade.exists and not upgrade.is_empty and (upgrade.changes_schema or not upgrade.operations)


def _doubts(script: Script) -> Iterator[str]:
    reading, upgrade = script.downgrade, script.upgrade
    if reading.is_empty and upgrade.exists and not upgrade.is_empty:
        yield f"revision {script.revision}: downgrade() is empty: what upgrade() did to rows stays"
    elif reading.exists and not reading.is_empty and not reading.operations and _changes_schema(script):
        yield f"revision {script.revision}: nothing that downgrade() does can be read"


def differences(image: ScriptGraph, commit: ScriptGraph) -> tuple[str, ...]:
    """Say, in sentences, how the scripts in the deployed image differ from those of the deployed commit."""
    found = [f"the image has revision {name}, the commit does not" for name in sorted(_missing(image.scripts, commit))]
    found += [f"the commit has revision {name}, the image does not" for name in sorted(_missing(commit.scripts, image))]
    for name in sorted(set(image.scripts) & set(commit.scripts)):
        ours, theirs = image.scripts[name], commit.scripts[name]
        if set(image.parents[name]) != set(commit.parents[name]):
            found.append(f"revision {name} stands on other revisions in the image than in the commit")
        elif ours.digest != theirs.digest:
            found.append(f"revision {name} has another text in the image than in the commit")
    return tuple(found)
