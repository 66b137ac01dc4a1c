"""A plan and a report of three hosts, as a fleet would have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from rollback_tasks.model.outcome import HostReport, Outcome, RunReport, StepRecord, StepState
from rollback_tasks.model.plan import (
    Action,
    Blocker,
    Check,
    Compensation,
    HostPlan,
    HostState,
    Irreversible,
    Keep,
    Plan,
)
from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from rollback_tasks.shell import Command, Effect

RUN = "20261122T031501Z-4f2a"
NOTHING = Command(argv=("true",), effect=Effect.READ)


@dataclass(frozen=True, slots=True)
class Told:
    """A step that only has words."""

    kind: ClassVar[str] = "told"
    text: str
    undo: Compensation | Keep | Irreversible
    takes_service_away: bool = False

    def describe(self) -> str:
        return self.text

    def precondition(self) -> tuple[Check, ...]:
        return ()

    def forward(self) -> tuple[Action, ...]:
        return ()

    def postcondition(self) -> tuple[Check, ...]:
        return ()

    def project(self, state: HostState) -> HostState:
        return state

    def unproject(self, state: HostState) -> HostState:
        return state

    def compensation(self) -> Compensation | Keep | Irreversible:
        return self.undo


NEW = Release(
    id="20261121T100000Z-9d8e7f6",
    commit="9d8e7f6" + "0" * 33,
    images={"app": "sha256:" + "a1b2c3d4e5f6" + "0" * 52},
    schema=("c3d4e5",),
    names=("v1.4.2",),
)
OLD = Release(
    id="20261114T100000Z-3f2a1bc",
    commit="3f2a1bc" + "0" * 33,
    images={"app": "sha256:" + "0f1e2d3c4b5a" + "0" * 52},
    schema=("b2c3d4",),
)


@pytest.fixture
def plan() -> Plan:
    return Plan(
        task="rollback.full",
        run_id=RUN,
        hosts=(
            HostPlan(
                host="prod1",
                current=NEW,
                target=OLD,
                database="comicpile",
                verdict=Verdict(
                    kind=VerdictKind.DOWNGRADE_LOSSY,
                    current=("c3d4e5",),
                    target=("b2c3d4",),
                    commands=("b2c3d4",),
                    undone=("c3d4e5",),
                    losses=(Loss("users", "nickname", 12, "c3d4e5"),),
                    warnings=("c3d4e5 runs raw SQL in its downgrade",),
                ),
                warnings=("2 files in the work tree were changed",),
                steps=(
                    Told("back up the database comicpile and prove the dump readable", Keep("the dump stays")),
                    Told("stop app", Compensation("start app again with the images it had", NOTHING), True),
                    Told(
                        "downgrade the schema to b2c3d4 with the image that runs now",
                        Irreversible("no copy fits on the disk"),
                        True,
                    ),
                ),
            ),
            HostPlan(host="prod2", current=OLD, noop_reason="runs 20261114T100000Z-3f2a1bc already"),
            HostPlan(
                host="prod3",
                current=NEW,
                target=OLD,
                verdict=Verdict(
                    kind=VerdictKind.DIVERGED,
                    current=("ffff00",),
                    target=("b2c3d4",),
                    explanation="revision ffff00 is in no release",
                ),
                blockers=(
                    Blocker(
                        "the schema cannot be brought to b2c3d4",
                        "restore the newest proven backup: inv rollback.restore --host prod3 --backup 20261121",
                    ),
                    Blocker("the database does not answer"),
                ),
            ),
        ),
        notes=("prod1 and prod3 share one database",),
    )


@pytest.fixture
def report() -> RunReport:
    def state(release: Release) -> dict[str, object]:
        return {"commit": release.commit, "images": dict(release.images), "schema": list(release.schema)}

    return RunReport(
        task="rollback.full",
        run_id=RUN,
        report="/home/olga/.local/state/rollback/report.md",
        next="inv rollback.resume --host prod3",
        hosts=(
            HostReport(
                host="prod1",
                outcome=Outcome.DONE,
                verdict="downgrade",
                left=state(NEW),
                reached=state(OLD),
                steps=(
                    StepRecord("backup_database", StepState.DONE, 3.1),
                    StepRecord("stop_services", StepState.DONE, 0.84),
                ),
                backup={
                    "path": "/srv/app/.rollback/backups/20261122.dump",
                    "sha256": "ab" * 32,
                    "bytes": 1536,
                    "verified": "restored",
                },
                downtime_seconds=2.44,
                warnings=("orphan containers were left alone",),
                extra={"host": "never shadows", "tables": {"users": 3}},
            ),
            HostReport(
                host="prod2",
                outcome=Outcome.NOOP,
                left=state(OLD),
                reached=state(OLD),
            ),
            HostReport(
                host="prod3",
                outcome=Outcome.STRANDED,
                verdict="code-only",
                left=state(NEW),
                steps=(
                    StepRecord("stop_services", StepState.DONE, 1.0),
                    StepRecord("switch_images", StepState.COMPENSATION_FAILED, 200.0),
                ),
                downtime_seconds=203.4,
                error="docker ended with exit code 1\nno space left on device",
                hint="free space on prod3, then type inv rollback.resume --host prod3",
            ),
        ),
    )
