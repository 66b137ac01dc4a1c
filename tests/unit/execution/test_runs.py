"""What a host remembers, read by its own script from real folders."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from rollback_tasks.execution.runs import AT_MOST, PastRun, RunState, read, reading
from tests.builders import a_project


def remembered(folder: Path, *, is_whole: bool = True) -> tuple[PastRun, ...]:
    """Ask as the product does."""
    done = subprocess.run(reading(a_project(str(folder)), is_whole=is_whole).argv, capture_output=True, check=True)
    return read(done.stdout.decode())


def a_run(folder: Path, run_id: str, *files: str, task: str = "rollback.full", plan: str | None = None) -> None:
    """Lay a run's folder."""
    run = folder / ".rollback" / "runs" / run_id
    run.mkdir(parents=True)
    (run / "plan.json").write_text(plan if plan is not None else json.dumps({"task": task}))
    lines = [{"event": "opened", "at": "2026-01-01T00:00:00Z"}, {"event": "settled", "at": "2026-01-01T00:01:00Z"}]
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in files:
        (run / name).touch()


def test_a_host_without_runs_remembers_none(tmp_path: Path) -> None:
    assert remembered(tmp_path) == ()


def test_runs_come_newest_first_and_tell_how_they_ended(tmp_path: Path) -> None:
    a_run(tmp_path, "20260101T000000Z-aaaa", "settled", "committed")
    a_run(tmp_path, "20260102T000000Z-aaaa", "settled", "decided-laptop")
    a_run(tmp_path, "20260103T000000Z-aaaa", "settled", "decided-undo")
    a_run(tmp_path, "20260104T000000Z-aaaa", "undecided")
    (tmp_path / ".rollback" / "runs" / "20260105T000000Z-aaaa").mkdir()  # was never opened
    found = remembered(tmp_path)
    assert [run.state for run in found] == [
        RunState.UNFINISHED,
        RunState.UNDONE,
        RunState.RESTORED,
        RunState.DONE,
    ]
    assert found[-1] == PastRun(
        run_id="20260101T000000Z-aaaa",
        state=RunState.DONE,
        plan={"task": "rollback.full"},
        opened_at="2026-01-01T00:00:00Z",
        ended_at="2026-01-01T00:01:00Z",
    )


def test_a_torn_plan_hides_no_run(tmp_path: Path) -> None:
    a_run(tmp_path, "20260101T000000Z-aaaa", "settled", "committed", plan='{"task": "roll')
    (run,) = remembered(tmp_path)
    assert (run.task, run.state) == ("?", RunState.DONE)


def test_backups_by_the_hour_do_not_hide_the_rollback_before_them(tmp_path: Path) -> None:
    a_run(tmp_path, "20260101T000000Z-aaaa", task="rollback.full")
    for number in range(AT_MOST):
        a_run(tmp_path, f"20260102T0000{number:02}Z-aaaa", task="backup.create")
    assert {run.task for run in remembered(tmp_path)} == {"backup.create"}
    assert [run.task for run in remembered(tmp_path, is_whole=False)] == ["rollback.full"]
