"""Which heads an operator means by ``--to``: a revision, a part of one, a label, ``-2``, ``base``."""

from __future__ import annotations

import re

from rollback_tasks.drivers.alembic import ScriptGraph
from rollback_tasks.errors import UsageError


def named_heads(graph: ScriptGraph, live: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Return the heads that the database has once it is down at ``name``; none for ``base``.

    As in ``alembic downgrade NAME``: all that stands on it goes, other branches stay.

    :param graph: the scripts of the deployed release.
    :param live: rows of ``alembic_version``.
    :param name: a revision or at least four characters of one, a branch label, ``-N``, ``base`` or ``heads``.
    :raises UsageError: it names nothing that is applied, or more than one thing.
    """
    if name == "base":
        return ()
    if name in ("head", "heads"):
        return graph.heads
    steps = re.fullmatch(r"-(\d{1,5})", name)
    revision = _steps_down(graph, live, int(steps[1])) if steps else _resolve(graph, name)
    if revision is None:
        return ()
    active = graph.ancestors(live)
    if revision not in active:
        # Behind or on another branch: the verdict says so.
        return (revision,)
    above = {child for child in active if revision in graph.scripts[child].down}
    gone = {other for other in active if above & graph.ancestors({other})}
    return graph.tips(active - gone)


def _steps_down(graph: ScriptGraph, live: tuple[str, ...], steps: int) -> str | None:
    here = graph.tips(graph.ancestors(live))
    for _ in range(steps):
        if not here:
            raise UsageError(f"there are fewer than {steps} revisions to undo", hint=_hint(graph, live))
        if len(here) > 1:
            raise UsageError(
                f"-{steps} could mean several revisions: {', '.join(sorted(here))}", hint=_hint(graph, live)
            )
        here = graph.scripts[here[0]].down
    if len(here) > 1:
        raise UsageError(f"-{steps} ends at a merge of {', '.join(sorted(here))}", hint=_hint(graph, live))
    return here[0] if here else None


def _resolve(graph: ScriptGraph, name: str) -> str:
    if name in graph:
        return name
    labelled = [script.revision for script in graph.scripts.values() if name in script.labels]
    found = labelled or ([known for known in graph.scripts if known.startswith(name)] if len(name) >= 4 else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} could mean {', '.join(sorted(found)[:8])}", hint="Give more of the revision.")
    raise UsageError(f"the deployed release has no revision {name!r}", hint="inv db.migrations lists them.")


def _hint(graph: ScriptGraph, live: tuple[str, ...]) -> str:
    below = graph.newest_first(graph.ancestors(live))[:5]
    return f"Name the revision with --to; the newest ones are {', '.join(below)}." if below else "Nothing is applied."
