"""The steps of a recovery to a moment and of a base backup: their order, what they say, how they are undone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rollback_tasks.drivers import recovery
from rollback_tasks.model.plan import Compensation, Step
from rollback_tasks.model.recovery import BaseBackup, Cluster, Target
from rollback_tasks.planning import recovery_sequence
from rollback_tasks.planning.window import Choice
from rollback_tasks.shell import Command, Effect
from rollback_tasks.steps.codec import from_json, to_json
from rollback_tasks.steps.take_base import TakeBase
from tests.builders import RUN, a_project, a_release, some_facts, some_settings
from tests.folds import assert_reads_and_stands_alone

PROJECT = a_project()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLUSTER = Cluster(
    version=150020,
    data_folder="/var/lib/postgresql/data",
    mount="comicpile_wal_archive",
    mounted_at="/wal_archive",
    settings={"max_connections": "300"},
)
BASE = BaseBackup(
    name="base-1",
    path="/b/base/base-1.tar.gz",
    sha256="0" * 64,
    size_bytes=1,
    unpacked_bytes=1000,
    started_at=NOON,
    stopped_at=NOON,
    timeline=1,
    start_lsn="0/2000028",
    stop_lsn="0/2000100",
    start_wal="000000010000000000000002",
    system="77",
    server_version=150020,
    segment_bytes=16777216,
)


def recovering(target: Target, *, closes: bool = True) -> tuple[Step, ...]:
    return recovery_sequence.recovering(
        project=PROJECT,
        run_id=RUN,
        facts=some_facts(3),
        current=a_release(3),
        cluster=CLUSTER,
        choice=Choice(base=BASE, closes=closes, segments=3),
        wanted=target,
        settings=some_settings(),
    )


TO_NOON = recovering(Target(moment=NOON))
STEPS: dict[str, Step] = {step.kind: step for step in TO_NOON} | {
    "take_base": TakeBase(project_=PROJECT, run_id=RUN, name="base-2", segment_bytes=16777216, cluster_bytes=1_000_000)
}


def test_what_is_written_now_is_archived_first_where_the_moment_needs_it() -> None:
    kinds = ["archive_wal", "recover_beside", "dump_recovered", "pull_backup", "drop_recovery"]
    assert [step.kind for step in TO_NOON] == kinds
    assert [step.kind for step in recovering(Target(moment=NOON), closes=False)] == kinds[1:]
    assert not any(step.takes_service_away for step in TO_NOON)


SAYS = {
    "archive_wal": (
        "finish the current segment of the log and wait until it is in /wal_archive",
        "the segment stays in the archive",
    ),
    "recover_beside": (
        "recover base backup base-1 to 2026-11-22 12:00:00+00 in a container beside, without network",
        "remove the recovery container and its data",
    ),
    "dump_recovered": (
        "make a backup of the recovered database comicpile and read it back",
        "remove what an unfinished dump left; a finished one stays",
    ),
    "drop_recovery": ("remove the recovery container and its data", "nothing was changed"),
    "take_base": (
        "copy the whole cluster while it serves, unpack the copy beside and check every file of it",
        "remove what an unfinished base backup left; a finished one stays",
    ),
}


@pytest.mark.parametrize("kind", SAYS)
def test_a_step_says_what_it_does_and_how_it_is_undone(kind: str) -> None:
    assert (STEPS[kind].describe(), STEPS[kind].compensation().says) == SAYS[kind]


@pytest.mark.parametrize("kind", SAYS)
def test_conditions_only_read_every_way_back_stands_alone_and_travels(kind: str) -> None:
    step = STEPS[kind]
    assert_reads_and_stands_alone(step)
    undo = step.compensation()
    assert not isinstance(undo, Compensation) or undo.command.effect is Effect.WRITE
    assert from_json(json.loads(json.dumps(to_json(step))), ()) == step
    assert all(isinstance(action, Command) for action in step.forward())


def server(target: Target, **changes: object) -> dict[str, str]:
    words = recovery.words(PROJECT, replace(CLUSTER, **changes), target)  # type: ignore[arg-type]
    assert words[:2] == ("-D", "/recovery/data")
    assert words[2::2] == ("-c",) * len(words[3::2])
    return dict(word.split("=", 1) for word in words[3::2])


def test_the_server_that_recovers_cannot_touch_the_archive_and_stops_at_the_target() -> None:
    set_ = server(Target(moment=NOON.replace(microsecond=7)))
    assert set_["archive_mode"] == "off"
    assert set_["recovery_target_timeline"] == "current"
    assert set_["recovery_target_action"] == "pause"
    assert set_["recovery_target_time"] == "2026-11-22 12:00:00.000007+00"
    assert "recovery_target_name" not in set_
    assert set_["restore_command"].endswith("|| exit 255")
    assert set_["max_connections"] == "300"
    assert server(Target(point="it's mine"))["recovery_target_name"] == "it's mine"


def test_the_recovered_server_is_asked_like_the_live_one() -> None:
    there = recovery.recovered(PROJECT, RUN)
    assert there.database == PROJECT.database
    assert (there.database_site.project, there.database_site.service) == (f"rollback-{RUN}", "recovery")
    assert there.backup_folder == PROJECT.backup_folder
