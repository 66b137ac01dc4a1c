"""Ctrl-C, a laptop that dies, and two operators at once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_tasks.sandbox.sandbox import Sandbox
from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage, laptop, until

pytestmark = pytest.mark.timeout(600, func_only=True)

FULL = ("rollback.full", "--host", "prod1", "--yes", "--json")


@pytest.fixture
def stage(plugin_host: Stage) -> Iterator[Stage]:
    yield plugin_host
    plugin_host.disarm()


def stop_at(process: subprocess.Popen[str], mark: str, number: signal.Signals) -> Ended:
    """Send a signal as soon as stderr says ``mark``; return how it ended."""
    assert process.stderr is not None
    said = ""
    while mark not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    return Ended(code=process.returncode, out=out, err=said + err)


def as_before(stage: Stage, before: Seen, release: str) -> None:
    stage.await_behaviour(release)
    now = stage.look()
    assert now.without_traces() == before.without_traces()
    assert stage.root(f"ls {FOLDER}/.rollback/lock 2>&1 || true").startswith("ls: ")


@pytest.mark.long
@pytest.mark.parametrize(
    ("release", "mark"),
    [("bad-migration", "prove the backup"), ("bad-migration", "stop app ("), ("bad-code", "start app (")],
    ids=["while it serves", "stopped", "started"],
)
def test_ctrl_c_puts_the_host_back(stage: Stage, operator: Laptop, release: str, mark: str) -> None:
    before = stage.play(release)
    process = operator.start(*FULL)
    # What is said before is the plan; the line of a step that is done has its number in front.
    ended = stop_at(process, f"/{17 if release == 'bad-migration' else 14} {mark}", signal.SIGINT)
    assert (ended.code, ended.document["outcome"]) == (4, "restored"), ended.err
    assert "interrupted" in ended.host["error"]
    if mark.startswith("start"):
        now = stage.look()
        assert (now.running, now.rows, now.files) == (before.running, before.rows, before.files)
        assert stage.health() == (500, release)
        return
    as_before(stage, before, release)


def test_another_laptop_puts_back_what_a_dead_one_left(
    stage: Stage, operator: Laptop, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = stage.play("bad-migration")
    ended = stop_at(operator.start(*FULL), "/17 stop app (", signal.SIGKILL)
    assert ended.code == -signal.SIGKILL
    other = laptop(tmp_path / "other", sandbox.inventory)
    refused = other.inv(*FULL)
    assert (refused.code, refused.document["outcome"]) == (6, "locked"), refused.err
    assert "inv rollback.abort --host prod1" in refused.host["hint"]
    settled = other.inv("rollback.abort", "--host", "prod1", "--yes", "--json")
    assert (settled.code, settled.document["outcome"]) == (0, "done"), settled.err
    as_before(stage, before, "bad-migration")
    again = other.inv("rollback.abort", "--host", "prod1", "--yes", "--json")
    assert (again.code, again.document["outcome"]) == (0, "noop")


@pytest.mark.long
def test_a_second_operator_is_told_who_holds_the_host(
    stage: Stage, operator: Laptop, sandbox: Sandbox, tmp_path: Path
) -> None:
    stage.play("bad-code")
    stage.when_docker("stop *", "until [ -s /run/fault.go ]; do sleep 0.05; done")
    stage.root("rm -f /run/fault.go")
    first = operator.start(*FULL, "--reason", "users see errors")
    until(stage.was_sprung, seconds=60)
    before = stage.look()
    second = laptop(tmp_path / "other", sandbox.inventory).inv(*FULL)
    assert (second.code, second.document["outcome"]) == (6, "locked"), second.err
    assert "rollback.full" in second.host["error"]
    assert "users see errors" in second.host["error"]
    assert "prod1: locked: " in second.err
    during = stage.look()
    stage.root("echo go >/run/fault.go")
    _, err = first.communicate(timeout=300)
    assert first.returncode == 0, err
    assert (during.app, during.rows, during.files) == (before.app, before.rows, before.files)
    assert stage.health() == (200, "v6")
