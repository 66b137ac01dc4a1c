"""The schema alone: in which order, and whether the code that stays can bear it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Step
from rollback_tasks.planning import downgrading
from rollback_tasks.planning.parts import Share
from tests.builders import (
    RUN,
    a_container,
    a_project,
    a_release,
    a_verdict,
    details,
    some_facts,
    some_services,
    some_settings,
)

PROJECT = a_project()
STOPPED = replace(some_facts(3), containers=(a_container("app", 3, "exited"), a_container("db", 9)))


def steps(facts: HostFacts, share: Share | None = None) -> tuple[Step, ...]:
    deployed = details(a_verdict()).deployed
    assert deployed is not None
    return downgrading.sequence(
        project=PROJECT,
        run_id=RUN,
        facts=facts,
        current=a_release(3),
        verdict=a_verdict(),
        deployed=deployed,
        settings=some_settings(),
        accepted=frozenset(),
        share=share,
    )


def test_it_is_proven_and_rehearsed_before_the_application_stops_and_copied_behind_it() -> None:
    assert [step.kind for step in steps(some_facts(3))] == [
        "save_evidence",
        "backup_database",
        "pull_backup",
        "prove_backup",
        "rehearse_downgrade",
        "drop_scratch",
        "stop_services",
        "copy_database",
        "downgrade_schema",
        "resume_services",
        "await_healthy",
        "verify_release",
    ]
    assert [step.kind for step in steps(STOPPED)][-1] == "downgrade_schema"


def test_of_hosts_that_share_a_database_one_downgrades_and_all_stop() -> None:
    kinds = [step.kind for step in steps(some_facts(3), Share(others=("prod2",), leads=False))]
    assert "downgrade_schema" not in kinds
    assert kinds.count("meet_others") == 4
    assert {"stop_services", "resume_services"} <= set(kinds)


def graph(downgrade: str) -> ScriptGraph:
    texts = {"s2": None, "s3": "s2"}
    return parse_scripts(
        {
            f"{name}.py": f"from alembic import op\nrevision = {name!r}\ndown_revision = {below!r}\n"
            f"def upgrade():\n    op.create_index('i', 't', ['c'])\ndef downgrade():\n    {downgrade}\n"
            for name, below in texts.items()
        }
    )


@pytest.mark.parametrize(
    ("downgrade", "command", "brief"),
    [
        ("op.drop_index('i')", (), ""),
        ("op.drop_column('users', 'nickname')", (), "the code that runs was made for what the downgrade takes"),
        ("op.drop_table('users')", (), "the code that runs was made for what the downgrade takes"),
        ("op.drop_index('i')", ("sh", "-c", "alembic upgrade head && run"), "app migrates the database when it starts"),
    ],
)
def test_code_that_cannot_bear_the_older_schema_is_told_with_what_to_type(
    downgrade: str, command: tuple[str, ...], brief: str
) -> None:
    verdict = replace(a_verdict(), undone=("s3",), target=("s2",))
    running = replace(some_facts(3), containers=(a_container("app", 3, command=command), a_container("db", 9)))
    found = list(downgrading.code_stays(running, PROJECT, verdict, some_services(), graph(downgrade)))
    assert [blocker.brief[: len(brief)] for blocker in found] == ([brief] if brief else [])
    assert all("inv rollback.full --host prod1 --to r2" in blocker.hint for blocker in found)
    assert not list(downgrading.code_stays(STOPPED, PROJECT, verdict, some_services(), graph(downgrade)))
