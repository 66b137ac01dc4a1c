"""What a host says of its undoing, in words for a person."""

from __future__ import annotations

import pytest

from rollback_tasks.execution.record import Undone, not_undone, undone
from rollback_tasks.model.outcome import StepState

PORT = "Error response from daemon: Bind for 0.0.0.0:8000 failed: port is already allocated"


def test_what_was_undone_is_read_with_the_last_words_of_what_failed() -> None:
    found = undone(f"compensated switch_images \ncompensation_failed stop_services {PORT}\ncompensation_failed x\n")
    assert found == [
        Undone("switch_images", is_done=True),
        Undone("stop_services", is_done=False, why=PORT),
        Undone("x", is_done=False),
    ]
    assert [each.state for each in found[:2]] == [StepState.COMPENSATED, StepState.COMPENSATION_FAILED]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], ["not every step could be undone"]),
        ([Undone("a", is_done=True), Undone("b", is_done=False)], ["not every step could be undone: b"]),
        (
            [Undone("b", is_done=False, why="it fell"), Undone("c", is_done=False, why=PORT)],
            [f"not every step could be undone: b: it fell; c: {PORT}", "systemctl restart docker"],
        ),
    ],
)
def test_what_could_not_be_undone_is_named_with_its_reason_and_what_helps(found: list[Undone], says: list[str]) -> None:
    lines = not_undone(found).splitlines()
    assert len(lines) == len(says)
    assert [words in line for words, line in zip(says, lines, strict=True)] == [True] * len(says)
