"""The graph of a release's migrations, read from its files without importing one of them.

Importing would run another commit's code on the operator's machine. Where a value is not literal the file is named as
unreadable, and whoever decides can refuse.
"""

from __future__ import annotations

import ast
import hashlib
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rollback_tasks.drivers.alembic_functions import read_function, read_module
from rollback_tasks.drivers.alembic_operations import FunctionReading, Operation, OperationKind

_FIELDS = ("revision", "down_revision", "branch_labels", "depends_on")
_MAX_SOURCE = 2_000_000
# alembic itself refuses the first four; the words mean something else to it.
_ILLEGAL = frozenset("@-+:")
_WORDS = frozenset({"head", "heads", "base", "current"})
_WARNING_FILTERS = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One migration file.

    :param down: what it stands on; two or more for a merge, none for a base.
    :param depends_on: revisions or branch labels that must be applied as well.
    :param path: its file, as the release names it.
    :param is_double: another file with other text has the same revision.
    """

    revision: str
    down: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    path: str = ""
    source: str = field(default="", repr=False)
    is_double: bool = False

    @property
    def digest(self) -> str:
        """A hash of the file's text, the same for either kind of line end."""
        text = self.source.replace("\r\n", "\n")
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def upgrade(self) -> FunctionReading:
        """What ``upgrade()`` does."""
        return self._reading("upgrade")

    @property
    def downgrade(self) -> FunctionReading:
        """What ``downgrade()`` does."""
        return self._reading("downgrade")

    def _reading(self, function: str) -> FunctionReading:
        try:
            return read_function(read_module(_parse(self.source)), function)
        except _UNREADABLE as error:
            note = f"{function}() of {self.path or self.revision} cannot be read ({type(error).__name__})"
            return FunctionReading(operations=(Operation(kind=OperationKind.UNKNOWN),), notes=(note,))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptGraph:
    """All migrations of a release.

    :param scripts: by revision.
    :param unreadable: a sentence for every file that cannot be placed in the graph.
    :param duplicates: revisions that stand in more than one file (alembic warns and runs one of them).
    :param parents: revision to what it stands on, dependencies included, as alembic follows them.
    """

    scripts: Mapping[str, Script] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, revision: object) -> bool:
        return revision in self.scripts

    @property
    def heads(self) -> tuple[str, ...]:
        """Sorted revisions that nothing stands on or depends on: what ``alembic_version`` holds after
        ``upgrade heads`` (``alembic heads`` also names those that something depends on)."""
        return self.tips(self.scripts)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong with the files, as sentences."""
        doubles = (f"revision {revision} stands in more than one file" for revision in self.duplicates)
        return (*self.unreadable, *doubles, *self.broken)

    @property
    def broken(self) -> tuple[str, ...]:
        """What makes alembic itself refuse the folder: lost parents, circles."""
        lost = tuple(f"revision {child} stands on {parent}, which no file has" for child, parent in self._lost())
        circle = self._circle()
        return (*lost, f"the revisions {', '.join(circle)} form a circle") if circle else lost

    def ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """Return ``ids`` and all below them, along down_revision and depends_on; unknown ids are left out."""
        seen: set[str] = set()
        todo = [revision for revision in ids if revision in self.scripts]
        while todo:
            revision = todo.pop()
            if revision not in seen:
                seen.add(revision)
                todo.extend(parent for parent in self.parents[revision] if parent in self.scripts)
        return frozenset(seen)

    def tips(self, revisions: Collection[str]) -> tuple[str, ...]:
        """Return, sorted, those of ``revisions`` that none of the others stands on."""
        below = {parent for revision in revisions for parent in self.parents[revision]}
        return tuple(sorted(set(revisions) - below))

    def lost_parents(self, revisions: Collection[str]) -> tuple[str, ...]:
        """Return what ``revisions`` stand on and no readable file has."""
        return tuple(sorted({parent for child, parent in self._lost() if child in revisions}))

    def newest_first(self, revisions: Collection[str]) -> tuple[str, ...]:
        """Return ``revisions`` so that each comes before all that it stands on."""
        left = set(revisions)
        children = dict.fromkeys(left, 0)
        for revision in left:
            for parent in self._inner_parents(revision, left):
                children[parent] += 1
        ready = sorted((revision for revision, count in children.items() if not count), reverse=True)
        order: list[str] = []
        while ready:
            revision = ready.pop()
            order.append(revision)
            for parent in sorted(self._inner_parents(revision, left), reverse=True):
                children[parent] -= 1
                if not children[parent]:
                    ready.append(parent)
        return tuple(order)

    def _inner_parents(self, revision: str, within: Collection[str]) -> set[str]:
        return {parent for parent in self.parents[revision] if parent in within}

    def _lost(self) -> Iterator[tuple[str, str]]:
        for child, parents in self.parents.items():
            for parent in parents:
                if parent not in self.scripts:
                    yield child, parent

    def _circle(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.scripts) - set(self.newest_first(self.scripts))))


class NotLiteralError(ValueError):
    """A value that only running the script would tell."""


# What `ast.parse` and walks over its tree raise for hostile text (NUL bytes, deep nesting, lone surrogates).
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_scripts(files: Mapping[str, str]) -> ScriptGraph:
    """Read migration files.

    :param files: path to text; files that set no ``revision`` are left out.
    :returns: the graph, with a sentence for every file that could not be read.
    """
    scripts: dict[str, Script] = {}
    unreadable: list[str] = []
    duplicates: list[str] = []
    for path in sorted(files):
        try:
            script = _read_script(path, files[path])
        except NotLiteralError as error:
            unreadable.append(f"{path}: {error}")
            continue
        except _UNREADABLE as error:
            unreadable.append(f"{path}: is no Python that this machine can read ({type(error).__name__})")
            continue
        if script is None:
            continue
        other = scripts.get(script.revision)
        if other is not None:
            duplicates.append(script.revision)
            if _place(other) != _place(script):
                unreadable.append(f"{path}: revision {script.revision} has another place in {other.path}")
            if other.is_double or other.digest != script.digest:
                script = replace(script, is_double=True)
        scripts[script.revision] = script
    return ScriptGraph(
        scripts=scripts,
        unreadable=tuple(unreadable),
        duplicates=tuple(dict.fromkeys(duplicates)),
        parents=_parents(scripts),
    )


def _place(script: Script) -> tuple[tuple[str, ...], ...]:
    return script.down, script.depends_on, script.labels


def _parents(scripts: Mapping[str, Script]) -> dict[str, tuple[str, ...]]:
    labels = {label: script.revision for script in scripts.values() for label in script.labels}
    return {
        revision: tuple(
            dict.fromkeys(
                (*script.down, *(name if name in scripts else labels.get(name, name) for name in script.depends_on))
            )
        )
        for revision, script in scripts.items()
    }


def _parse(source: str) -> ast.Module:
    if len(source) > _MAX_SOURCE:
        raise ValueError("too long")
    # A script's own "\d" would warn on the operator's terminal. The filters belong to the whole process.
    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source.lstrip("\ufeff"))


def _read_script(path: str, source: str) -> Script | None:
    values: dict[str, ast.expr | None] = {}
    for statement in _parse(source).body:
        values.update(_assigned(statement))
    if "revision" not in values:
        return None
    found = {name: _names(values, name) for name in _FIELDS}
    if len(found["revision"]) != 1 or not isinstance(values["revision"], ast.Constant):
        raise NotLiteralError("revision is not one text")
    return Script(
        revision=found["revision"][0],
        down=found["down_revision"],
        depends_on=found["depends_on"],
        labels=found["branch_labels"],
        path=path,
        source=source,
    )


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """The fields that a statement sets; None for one whose value cannot be read."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name) and target.id in _FIELDS:
                    yield target.id, value
                else:
                    yield from ((name, None) for name in _stored(target))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if name in _FIELDS:
            if value is not None:
                yield name, value
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return
        case _:
            yield from ((name, None) for name in _stored(statement))


def _stored(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        match inner:
            case ast.Name(id=name, ctx=ast.Store()) if name in _FIELDS:
                yield name
            case ast.alias(name=name, asname=asname) if (asname or name) in _FIELDS:
                yield asname or name


def _names(values: Mapping[str, ast.expr | None], field_name: str) -> tuple[str, ...]:
    if field_name not in values:
        return ()
    match values[field_name]:
        case ast.Constant(value=None):
            return ()
        case ast.Constant(value=str(name)):
            names = [name]
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            names = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            if len(names) != len(items):
                raise NotLiteralError(f"{field_name} is not literal")
        case _:
            raise NotLiteralError(f"{field_name} is not literal")
    for name in names:
        if not name or _ILLEGAL & set(name) or name in _WORDS or not name.isprintable() or " " in name:
            raise NotLiteralError(f"{field_name} holds a name that alembic does not take")
    return tuple(names)
