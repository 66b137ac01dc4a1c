"""What going on with a run asks of the host."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from rollback_tasks.execution.record import Record
from rollback_tasks.flows.resume import _deployed_container

STEPS = [
    {"kind": "save_evidence"},
    {"kind": "rehearse_downgrade", "deployed": {"container": "old"}},
    {"kind": "downgrade_schema", "deployed": {"container": "old"}},
    {"kind": "start_services"},
]


@pytest.mark.parametrize(
    ("done", "needed"),
    [
        ((), "old"),
        (("001-save_evidence", "002-rehearse_downgrade"), "old"),
        (("002-rehearse_downgrade", "003-downgrade_schema"), None),
    ],
)
def test_only_the_steps_that_are_left_need_the_container_that_was_deployed(
    done: Collection[str], needed: str | None
) -> None:
    record = Record(plan={"steps": STEPS}, done=frozenset(done), begun="", state="undecided", seconds_left=0)
    assert _deployed_container(record) == needed
