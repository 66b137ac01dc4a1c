"""Which ``alembic downgrade`` arguments lead from some heads to others, and what Alembic then leaves.

Alembic takes one target a call. ``downgrade t`` undoes all that stands on ``t``, on every branch; ``downgrade x@t``
only the child of ``t`` that leads to ``x`` (with what stands on it); both also undo what depends on those. Rules and
rows are those of ``RevisionMap._collect_downgrade_revisions`` and ``HeadMaintainer`` in Alembic 1.20; the tests
hold them against the real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rollback_tasks.drivers.alembic import ScriptGraph


@dataclass(frozen=True, slots=True)
class Path:
    """A way down.

    :param commands: arguments of ``alembic downgrade``, in order.
    :param rows: sorted rows that ``alembic_version`` holds afterwards.
    """

    commands: tuple[str, ...]
    rows: tuple[str, ...]


def downgrade_commands(graph: ScriptGraph, live: Iterable[str], target: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments of ``alembic downgrade`` that lead from ``live`` to ``target``, in order."""
    return downgrade_path(graph, live, target).commands


def downgrade_path(graph: ScriptGraph, live: Iterable[str], target: Iterable[str]) -> Path:
    """Return the fewest commands found that undo exactly what is above ``target``.

    :param live: rows of ``alembic_version``, all of them in ``graph``.
    :param target: revisions at or below ``live``; none for base.
    """
    rows = set(live)
    active = graph.ancestors(rows)
    left = active - graph.ancestors(target)
    if not left:
        return Path((), tuple(sorted(rows)))
    index = _Index(graph)
    # Where a revision names a parent twice over, the order decides which rows Alembic leaves: one at a time, then.
    if any(index.has_redundant_parent(revision) for revision in left):
        return _one_by_one(index, graph.newest_first(left), rows)
    commands: list[str] = []
    while left:
        command, undone = min(
            _candidates(index, active, left), key=lambda found: (-len(found[1]), "@" in found[0], found[0])
        )
        commands.append(command)
        for revision in graph.newest_first(undone):
            _undo(index, revision, rows)
        left -= undone
        active -= undone
    return Path(tuple(commands), tuple(sorted(rows)))


@dataclass(slots=True, init=False)
class _Index:
    """The graph, the way Alembic looks at it."""

    graph: ScriptGraph
    children: dict[str, set[str]]
    dependents: dict[str, set[str]]

    def __init__(self, graph: ScriptGraph) -> None:
        self.graph = graph
        self.children = {revision: set() for revision in graph.scripts}
        self.dependents = {revision: set() for revision in graph.scripts}
        for revision, script in graph.scripts.items():
            for parent in script.down:
                self.children.get(parent, set()).add(revision)
            for parent in graph.parents[revision]:
                self.dependents.get(parent, set()).add(revision)

    @property
    def bases(self) -> set[str]:
        return {revision for revision, script in self.graph.scripts.items() if not script.down}

    def parents(self, revision: str) -> tuple[str, ...]:
        """What Alembic goes to from ``revision``: dependencies that a script below already names are left out."""
        script = self.graph.scripts[revision]
        below = self._line(revision) - {revision}
        named = {parent for other in below for parent in self._dependencies(other)}
        dependencies = tuple(parent for parent in self._dependencies(revision) if parent not in named)
        return tuple(dict.fromkeys((*script.down, *dependencies)))

    def _dependencies(self, revision: str) -> tuple[str, ...]:
        down = len(self.graph.scripts[revision].down)
        declared = self.graph.scripts[revision].depends_on
        return self.graph.parents[revision][down:] if declared else ()

    def _line(self, revision: str) -> set[str]:
        """``revision`` and all below it along down_revision alone."""
        seen: set[str] = set()
        todo = [revision]
        while todo:
            here = todo.pop()
            if here not in seen and here in self.graph.scripts:
                seen.add(here)
                todo.extend(self.graph.scripts[here].down)
        return seen

    def above(self, roots: Iterable[str], active: frozenset[str]) -> frozenset[str]:
        """``roots`` and all that stands on or depends on them, of what is applied."""
        seen: set[str] = set()
        todo = [root for root in roots if root in active]
        while todo:
            here = todo.pop()
            if here not in seen:
                seen.add(here)
                todo.extend(child for child in self.dependents[here] if child in active)
        return frozenset(seen)

    def has_redundant_parent(self, revision: str) -> bool:
        parents = self.parents(revision)
        return any(parent in self.graph.ancestors(set(parents) - {parent}) for parent in parents)

    def undo_alone(self, revision: str) -> tuple[str, frozenset[str]]:
        """Return the argument that undoes ``revision`` and what stands on it, and the roots that it picks."""
        down = self.graph.scripts[revision].down
        siblings = self.bases
        target = "base"
        if down:
            # A parent below another parent would also undo that other one.
            target = next(
                parent
                for parent in sorted(down)
                if not any(parent != other and parent in self._line(other) for other in down)
            )
            siblings = self.children[target]
        return (target if siblings == {revision} else f"{revision}@{target}"), frozenset({revision})


def _candidates(index: _Index, active: frozenset[str], left: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Every argument that undoes some of ``left`` and nothing else, with what it undoes."""
    lowest = [revision for revision in sorted(left) if not left & (set(index.graph.parents[revision]))]
    plain: dict[str, set[str]] = {}
    for revision in lowest:
        down = index.graph.scripts[revision].down
        for parent in down:
            plain[parent] = index.children[parent]
        if not down:
            plain["base"] = index.bases
        command, roots = index.undo_alone(revision)
        yield command, index.above(roots, active)
    for target, roots_there in plain.items():
        undone = index.above(roots_there, active)
        if undone <= left:
            yield target, undone


def _one_by_one(index: _Index, order: Iterable[str], rows: set[str]) -> Path:
    commands: list[str] = []
    for revision in order:
        commands.append(index.undo_alone(revision)[0])
        _undo(index, revision, rows)
    return Path(tuple(commands), tuple(sorted(rows)))


def _undo(index: _Index, revision: str, rows: set[str]) -> None:
    """Change ``rows`` as Alembic does after one downgrade."""
    rows.discard(revision)
    parents = index.parents(revision)
    if rows:
        covered = index.graph.ancestors(rows)
    else:
        covered = frozenset(below for parent in parents for below in index.graph.ancestors({parent}) if below != parent)
    rows.update(set(parents) - covered)
