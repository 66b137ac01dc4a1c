"""Faults are chosen by a number, and every one of them ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.faults import LONGEST, SAYS, Fault, Faults, Kind, drawn, kind_of
from rollback_tasks.sandbox.fleet import Node
from rollback_tasks.sandbox.status import Flavour, HostState
from rollback_tasks.transport.local import LocalHost

Machine = Callable[[Mapping[str, Completed]], Any]

NODE = Node(
    name="prod1",
    container="net-prod1",
    address="172.17.0.11",
    flavour=Flavour.PLUGIN,
    state=HostState.UP,
    recipe="cafe",
)


def test_a_number_always_stands_for_the_same_fault_and_numbers_stand_for_all_of_them() -> None:
    assert drawn(7, "prod1", steps=17) == drawn(7, "prod1", steps=17)
    assert drawn(7, "prod1", steps=17) == Fault(host="prod1", kind=Kind.SSHD, seconds=10.0, step=3, inside=1.64)
    many = [drawn(seed, "prod1", steps=17) for seed in range(500)]
    assert {fault.kind for fault in many} == set(Kind)
    assert {fault.step for fault in many} == set(range(1, 18))
    assert all(0 < fault.seconds <= LONGEST and 0 <= fault.inside <= 2 for fault in many)


def test_every_kind_is_explained_and_found_by_its_name() -> None:
    assert set(SAYS) == set(Kind)
    assert [kind_of(kind.value) for kind in Kind] == list(Kind)
    with pytest.raises(UsageError) as refused:
        kind_of("flood")
    assert refused.value.details == "there are cut, hang, kill, engine, sshd, disk, slow, clock"


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST + 1, float("nan")])
def test_a_fault_without_an_end_is_refused_before_anything_happens(
    machine_that_answers: Machine, notes: Any, tmp_path: Path, seconds: float
) -> None:
    machine = machine_that_answers({})
    engine = Engine(machine, state=str(tmp_path), key="1234abcd", events=notes)
    faults = Faults(engine, state=str(tmp_path), network="net")
    with pytest.raises(UsageError):
        faults.inflict(Fault(host="prod1", kind=Kind.CUT, seconds=seconds), NODE)
    assert machine.ran == []


def test_the_timer_of_a_fault_that_was_ended_early_leaves_the_next_one_alone(
    tmp_path: Path, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, docker = tmp_path / "log", tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$1" >>{log}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    engine = Engine(LocalHost(), state=str(tmp_path), key="1234abcd", events=notes)
    faults = Faults(engine, state=str(tmp_path), network="net")
    faults.inflict(Fault(host="prod1", kind=Kind.HANG, seconds=0.5), NODE)
    faults.end(Kind.HANG, NODE)
    faults.inflict(Fault(host="prod1", kind=Kind.HANG, seconds=9), NODE)
    faults.inflict(Fault(host="prod1", kind=Kind.KILL, seconds=1), NODE)  # over when the first timer surely is
    faults.await_end(Kind.KILL, NODE)
    assert log.read_text().split() == ["pause", "unpause", "pause", "kill", "start"]
    faults.end(Kind.HANG, NODE)
    assert log.read_text().split()[-1] == "unpause"
