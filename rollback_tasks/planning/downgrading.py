"""``rollback.database``: the schema alone goes back, the code stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollback_tasks.drivers.alembic import ScriptGraph
from rollback_tasks.drivers.alembic_operations import OperationKind
from rollback_tasks.drivers.alembic_run import Deployed
from rollback_tasks.drivers.compose import Service
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.planning import database_parts, restore_sequence
from rollback_tasks.planning.database_parts import meet
from rollback_tasks.planning.parts import Settings, Share
from rollback_tasks.steps.save_evidence import SaveEvidence
from rollback_tasks.steps.stop_services import StopServices


def sequence(
    *,
    project: Project,
    run_id: str,
    facts: HostFacts,
    current: Release,
    verdict: Verdict,
    deployed: Deployed,
    settings: Settings,
    accepted: frozenset[str],
    share: Share | None = None,
    is_pulled: bool = False,
) -> tuple[Step, ...]:
    """Return the steps: backed up, proven and rehearsed while the application serves, copied and downgraded while it
    is stopped, then started again unchanged."""
    assert facts.database is not None
    leads = share is None or share.leads
    old = tuple(c for c in facts.containers if c.service in project.app_services)

    steps: list[Step] = [SaveEvidence(project_=project, run_id=run_id)]
    if leads:
        *proven, drop = database_parts.emergency(project, run_id, facts, current, settings)
        steps += proven
        steps += [database_parts.rehearse(project, run_id, deployed, verdict, accepted), drop]
    steps += meet(share, "prepared", is_down=False)
    steps.append(StopServices(project_=project, old=old, is_pulled=is_pulled))
    steps += meet(share, "stopped", is_down=True)
    if leads:
        steps += database_parts.downgrade(project, run_id, facts, deployed, verdict)
    steps += meet(share, "changed", is_down=True)
    steps += restore_sequence.serving_again(project, facts, settings, verdict.target, is_pulled=is_pulled)
    steps += meet(share, "healthy", is_down=True)
    return tuple(steps)


# What older code was never written for, and newer code was: without it, it fails.
_NEEDED_BY_NEWER_CODE = (
    OperationKind.DROP_TABLE,
    OperationKind.DROP_COLUMN,
    OperationKind.RENAME_TABLE,
    OperationKind.RENAME_COLUMN,
    OperationKind.CHANGE_TYPE,
)


def code_stays(
    facts: HostFacts, project: Project, verdict: Verdict, services: Mapping[str, Service], scripts: ScriptGraph
) -> Iterator[Blocker]:
    """Yield a blocker where the code that stays would undo the downgrade as soon as it starts, or needs what it takes.

    An application that does not run is not started: nothing is asked of it.
    """
    ran = facts.up(project.app_services)
    if not ran:
        return
    stop = f"or stop the application first (`docker stop {ran[0].name}` on {facts.host}): it is then left stopped."
    hint = (
        f"take the code back as well: `inv rollback.full --host {facts.host} --to {_release(facts, verdict)}`; {stop}"
    )
    texts = {c.service: " ".join(c.command) for c in ran}
    texts |= {name: service.command for name, service in services.items() if name not in texts}
    program = project.migrations_command[-1].rpartition("/")[2]
    for name, text in sorted(texts.items()):
        if "upgrade" in text and program in text:
            yield Blocker(
                f"{name} migrates the database when it starts ({text[:80]}): the schema would not stay down", hint
            )
    taken = [
        ".".join(part for part in (operation.table, operation.column) if part) or "something"
        for revision in verdict.undone
        for operation in scripts.scripts[revision].downgrade.operations
        if operation.kind in _NEEDED_BY_NEWER_CODE
    ]
    if taken:
        yield Blocker(
            f"the code that runs was made for what the downgrade takes away or renames: {', '.join(taken[:8])}", hint
        )


def _release(facts: HostFacts, verdict: Verdict) -> str:
    """Return how the release is called whose code has the schema that is gone to."""
    found = [release for release in facts.ledger if set(release.schema) == set(verdict.target)]
    return found[-1].label if found else "RELEASE"


def warnings(facts: HostFacts, project: Project, verdict: Verdict) -> Iterator[str]:
    """Yield what the operator should know of code that stays."""
    ran = facts.up(project.app_services)
    if ran:
        yield (
            f"the code stays: it was made for {', '.join(verdict.current)}; where it does not become healthy, or "
            "migrates the database when it starts, everything is put back"
        )
    else:
        yield f"{', '.join(project.app_services)} does not run now, and is not started"
