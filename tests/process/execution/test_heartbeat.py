"""Signs of life: they come four times in a lease, end at once, and leave no thread behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.errors import CommandFailed, ConnectionLost, RollbackError
from rollback_tasks.execution.heartbeat import Heartbeat
from rollback_tasks.execution.journal import Lead
from rollback_tasks.model.project import Project
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command
from rollback_tasks.transport.local import LocalHost

PROJECT = Project(
    folder="/srv/app",
    compose=("docker", "compose"),
    name="app",
    files=("docker-compose.yml",),
    app_services=("app",),
    db_service="db",
    database="app",
    database_user="app",
    migrations_service="app",
    migrations_command=("alembic",),
    migrations_folder="",
    backup_folder="/srv/app/.rollback/backups",
    remote="origin",
)


def lead(lease: float, *, project: Project = PROJECT) -> Lead:
    return Lead(project=project, run_id="20261122T031501Z-4f2a", holder="first", lease=lease)


class Listener:
    """A host that counts beats. ``fails`` is raised at the beat of that number."""

    name = "prod1"

    def __init__(self, fails: RollbackError | None = None, at: int = 0) -> None:
        self.beats: list[float] = []
        self.pushes = 0
        self.fails = fails
        self.at = at
        self.heard = threading.Semaphore(0)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        self.pushes += 1
        if self.fails is not None and self.at == 0:
            raise self.fails
        for beat in source:
            assert beat == b"\n"
            self.beats.append(time.monotonic())
            self.heard.release()
            if self.fails is not None and len(self.beats) == self.at:
                raise self.fails
        return Completed(0)

    def run(self, command: Command) -> Completed:
        raise AssertionError("a heartbeat only pushes")

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        raise AssertionError("a heartbeat only pushes")

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        raise AssertionError("a heartbeat only pushes")

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        raise AssertionError("a heartbeat only pushes")

    def close(self) -> None:
        raise AssertionError("the connection is not the heartbeat's")


def beating() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat of")]


def test_four_beats_fit_into_a_lease() -> None:
    host = Listener()
    began = time.monotonic()
    heartbeat = Heartbeat(host, lead(0.4))
    for _ in range(4):
        assert host.heard.acquire(timeout=5)
    heartbeat.stop()
    assert host.beats[0] - began >= 0.09
    assert all(later - earlier >= 0.09 for earlier, later in zip(host.beats, host.beats[1:], strict=False))
    assert host.pushes == 1
    assert beating() == []


def test_it_stops_at_once_however_long_the_lease_is() -> None:
    host = Listener()
    heartbeat = Heartbeat(host, lead(3600))
    assert len(beating()) == 1
    began = time.monotonic()
    heartbeat.stop()
    assert time.monotonic() - began < 2
    assert beating() == []
    heartbeat.stop()
    assert host.beats == []


def test_nothing_is_renewed_any_more_once_stop_returned() -> None:
    for _ in range(20):
        host = Listener()
        heartbeat = Heartbeat(host, lead(0.02))
        assert host.heard.acquire(timeout=5)
        heartbeat.stop()
        count = len(host.beats)
        time.sleep(0.012)
        assert len(host.beats) == count
    assert beating() == []


@pytest.mark.parametrize(
    "error",
    [
        ConnectionLost("the connection is gone", host="prod1"),
        CommandFailed(("sh",), 75, "", host="prod1"),
        CommandFailed(("sh",), 1, "no space left on device", host="prod1"),
    ],
    ids=["lost", "fenced", "full disk"],
)
@pytest.mark.parametrize("at", [0, 2])
def test_losing_it_is_no_failure_and_leaves_no_thread(error: RollbackError, at: int) -> None:
    host = Listener(error, at)
    heartbeat = Heartbeat(host, lead(0.04))
    deadline = time.monotonic() + 5
    while beating():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    heartbeat.stop()
    assert (host.pushes, len(host.beats)) == (1, at)
    assert heartbeat.is_refused == (isinstance(error, CommandFailed) and error.exit_code_seen == 75)


def test_stop_does_not_wait_for_ever_for_a_host_that_hangs() -> None:
    class Hanging(Listener):
        def push(self, command: Command, source: Iterable[bytes]) -> Completed:
            self.freed = threading.Event()
            self.heard.release()
            self.freed.wait(30)
            return Completed(0)

    host = Hanging()
    heartbeat = Heartbeat(host, lead(0.2))
    assert host.heard.acquire(timeout=5)
    began = time.monotonic()
    heartbeat.stop()
    assert time.monotonic() - began < 5
    host.freed.set()
    deadline = time.monotonic() + 5
    while beating():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_real_script_renews_and_its_process_is_gone_after_stop(tmp_path: Path) -> None:
    project = replace(PROJECT, folder=str(tmp_path))
    leader = lead(1.0, project=project)
    host = LocalHost(name="prod1")
    lock = tmp_path / ".rollback" / "lock"
    lock.mkdir(parents=True)
    (lock / "run_id").write_text(f"{leader.run_id}\n")
    host.run(leader.open_run("{}", "{}"))
    run = tmp_path / ".rollback" / "runs" / leader.run_id
    try:
        before = (run / "lease").stat().st_mtime_ns
        (lock / "heartbeat").unlink()
        heartbeat = Heartbeat(host, leader)
        deadline = time.monotonic() + 15
        while (run / "lease").stat().st_mtime_ns == before or not (lock / "heartbeat").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        heartbeat.stop()
        assert beating() == []
        renewing = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                said = each.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(run).encode() in said and b"read -r beat" in said:
                renewing.append(each.parent.name)
        assert renewing == []
    finally:
        (run / "settled").touch()
