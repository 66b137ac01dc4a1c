"""Which finished run can be taken back, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollback_tasks.drivers import git_push
from rollback_tasks.drivers.databases import copy_name
from rollback_tasks.drivers.table_rows import schema_name
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan, HostState, Step
from rollback_tasks.model.release import Release
from rollback_tasks.steps.copy_database import CopyDatabase
from rollback_tasks.steps.exchange_volumes import ExchangeVolumes
from rollback_tasks.steps.merge_table import MergeTable
from rollback_tasks.steps.push_ref import PushRef
from rollback_tasks.steps.roll_containers import KeepServing
from rollback_tasks.steps.stop_services import StopServices
from rollback_tasks.steps.swap_database import SwapDatabase
from rollback_tasks.steps.undo import irreversible, undos


def blockers(
    facts: HostFacts,
    current: Release,
    said: Mapping[str, Any],
    steps: tuple[Step, ...],
    missing: Sequence[str],
    protected: tuple[str, ...],
) -> Iterator[Blocker]:
    """Yield why a finished run cannot be taken back.

    :param said: the run's plan as it was written down, ``steps`` its steps.
    :param missing: hosts that share the run's database and that nobody named.
    :param protected: branches that are never overwritten, as the inventory names them now.
    """
    changed = tuple(_changed(facts, current, said.get("target"), steps))
    if changed:
        yield Blocker(
            f"{' and '.join(changed)} changed since that run: taking it back would take that away too",
            f"`inv rollback.plan --host {facts.host}` shows the way to an earlier release instead.",
        )
    if facts.git.unmerged:
        yield Blocker(
            f"the checkout holds an unfinished merge: {', '.join(facts.git.unmerged[:5])}",
            f"finish it or take it back (`git merge --abort` on {facts.host}), then run this again.",
        )
    for step in steps:
        if isinstance(step, PushRef) and not step.is_protected and git_push.is_protected(step.ref, protected):
            yield Blocker(
                f"{step.ref} is protected by now: what was pushed to it is not taken back",
                "undo it by new commits: `inv git.revert`, then `inv git.push`.",
            )
    yield from _gone(facts, steps)
    if missing:
        named = ",".join([facts.host, *missing])
        yield Blocker("the run was one for several hosts that share a database", f"name all of them: --host {named}")


def _gone(facts: HostFacts, steps: tuple[Step, ...]) -> Iterator[Blocker]:
    """Yield what a run put aside in the server for just that, and what is not there any more."""
    database, host = facts.database, facts.host
    if database is None:
        return
    for step in steps:
        if isinstance(step, CopyDatabase | SwapDatabase):
            name = copy_name(step.project_.database, step.run_id)
            if name not in database.databases:
                backup = step.project_.put_aside_backup_name(name)
                kept = [
                    other.name for other, _ in facts.others if re.fullmatch(rf"{re.escape(backup)}(-.+)?", other.name)
                ]
                way = f"`inv rollback.restore --host {host} --foreign --backup {kept[0]}`" if kept else ""
                yield Blocker(
                    f"database {name}, which that run put aside, is not there any more",
                    f"its backup is: {way}" if way else f"`inv backup.list --host {host}` shows what there is.",
                )
        if isinstance(step, MergeTable) and schema_name(step.run_id) not in database.kept_schemas:
            yield Blocker(
                f"schema {schema_name(step.run_id)}, in which that run kept rows, is not there any more",
                f"`inv backup.list --host {host}` shows what there is.",
            )


def _changed(facts: HostFacts, current: Release, reached: object, steps: tuple[Step, ...]) -> Iterator[str]:
    """Yield what is no longer as the run left it, of what its undoing touches. What its plan does not say is not
    compared."""
    if not isinstance(reached, Mapping):
        return
    images = reached.get("images")
    known = {str(k): str(v) for k, v in images.items()} if isinstance(images, Mapping) else {}
    # What the undoing sets is no longer this mark.
    mark = "not touched"
    left = HostState(
        checkout=mark, images=dict.fromkeys(known, mark), running=dict.fromkeys(known, mark), schema=(mark,)
    )
    back = left
    for step in reversed(steps):
        back = step.unproject(back)
    if back.checkout != left.checkout and "commit" in reached and reached["commit"] != facts.git.commit:
        yield "the checkout"
    is_moved = (back.images, back.running) != (left.images, left.running)
    if is_moved and any(v.startswith("sha256:") and current.images.get(k) != v for k, v in known.items()):
        yield "what runs"
    live = facts.database.schema if facts.database else None
    if back.schema != left.schema and "schema" in reached and live not in (None, tuple(reached["schema"])):
        yield "the schema"


def costs(live: Mapping[str, int], then: Mapping[str, int], kept_as: str) -> tuple[str, ...]:
    """Return what leaves the live database when the run is taken back.

    :param live: rows by table now; ``then``: in the database that comes back.
    :param kept_as: the name under which the present one stays.
    """
    more = {name: count - then.get(name, 0) for name, count in live.items() if count > then.get(name, 0)}
    if not more:
        return ()
    rows = ", ".join(f"{count} rows of {name}" for name, count in sorted(more.items()))
    return (f"{rows} are not in the database that comes back; they stay in {kept_as}",)


def needs_containers(facts: HostFacts, steps: tuple[Step, ...]) -> bool:
    """True where compose has to make containers anew, from files that come back, that ran before the run."""
    stops = [step for step in steps if isinstance(step, StopServices)]
    there = {container.id for container in facts.containers}
    is_gone = any(c.is_up and c.id not in there for stop in stops for c in stop.old)
    return is_gone and moves_checkout(steps)


def unstartable(facts: HostFacts, saved: str, said: str) -> Blocker:
    """Return why a run cannot be taken back whose files compose refuses.

    :param saved: the commit that holds them; ``said`` what compose said.
    """
    why = said.strip()[-500:] or "it gives no reason"
    return Blocker(
        f"compose refuses the file that would come back, and the containers that ran then are gone: {why}",
        f"nothing could be started from it; `git show {saved}:FILE` on {facts.host} shows the file.",
    )


def _kept_in_volumes(steps: tuple[Step, ...], run_id: str) -> Iterator[str]:
    """Yield what leaves the live database with a volume: nobody can look into the other one before it is live."""
    for step in steps:
        if isinstance(step, ExchangeVolumes):
            yield f"whatever was changed since that run (it stays in volume {step.volume.aside(run_id)})"


def moves_checkout(steps: tuple[Step, ...]) -> bool:
    """True where the run moved the work tree, and taking it back does so again."""
    return any(step.kind == "save_checkout" for step in steps)


def plan(
    facts: HostFacts,
    current: Release,
    *,
    run_id: str,
    said: Mapping[str, Any],
    steps: tuple[Step, ...],
    found: tuple[Blocker, ...],
    lost: tuple[str, ...],
    database: str,
    saved_as: str,
) -> HostPlan:
    """Return the plan that takes a finished run back.

    :param saved_as: the run that changes of the work tree are saved under before it moves.
    :param said: the run's plan as it was written down, ``steps`` its steps.
    :param found: why it cannot be; ``lost`` what it costs.
    """
    left = said.get("current")
    back = undos(steps)
    lost = (*lost, *_kept_in_volumes(steps, run_id)) if not found else lost
    warnings = [f"{reason} (cannot be taken back)" for reason in irreversible(steps)]
    if back and said.get("was_healthy") is False and any(step.takes_service_away for step in steps):
        warnings.append("the application was not healthy before that run: what was broken then comes back")
    if back and any(each.of in ("copy_database", "swap_database") for each in back):
        warnings.append("what was changed in rows that both databases have goes back too")
    warnings += [
        f"the rows of {step.table} that this changes stay as they are now in {schema_name(run_id)}.changed_since"
        for step in steps
        if isinstance(step, MergeTable)
    ]
    if facts.git.dirty and moves_checkout(steps):
        shown = ", ".join(facts.git.dirty[:5]) + (" ..." if len(facts.git.dirty) > 5 else "")
        where = f"refs/rollback/{saved_as}/worktree"
        warnings.append(f"changes in the work tree are saved as commit {where}, and untracked files stay: {shown}")
    return HostPlan(
        host=facts.host,
        current=current,
        steps=() if found else back,
        blockers=found,
        warnings=tuple(warnings),
        database=database,
        run_id=run_id,
        does=f"take back run {run_id} ({said.get('task')})",
        costs=lost,
        goal=dict(left) if isinstance(left, Mapping) else None,
        noop_reason="" if back or found else "that run left nothing to take back",
        has_gap=not any(isinstance(step, KeepServing) for step in steps),
    )
