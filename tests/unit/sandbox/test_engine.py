"""Which engine is taken, and the one sentence where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.machine import need
from rollback_tasks.shell import Effect

Machine = Callable[[Mapping[str, Completed]], Any]

YES, NO = Completed(0), Completed(1)


@pytest.fixture
def engine_on(machine_that_answers: Machine, notes: Any, tmp_path: Path) -> Callable[..., tuple[Engine, Any]]:
    def make(answers: Mapping[str, Completed], *, state: Path = tmp_path / "state") -> tuple[Engine, Any]:
        machine = machine_that_answers(answers)
        return Engine(machine, state=str(state), key="1234abcd", events=notes), machine

    return make


def test_an_engine_that_answers_is_taken_as_it_is(engine_on: Callable[..., tuple[Engine, Any]], notes: Any) -> None:
    told = Completed(0, b"Debian GNU/Linux 12 (bookworm) [name=seccomp,profile=default]\n")
    engine, machine = engine_on({"version": YES, "info": told})
    engine.start()
    engine.stop()
    assert [command.argv[1] for command in machine.ran] == ["version", "info"]
    assert (engine.is_own, notes.texts) == (False, [])


@pytest.mark.parametrize("told", [b"Docker Desktop [name=seccomp]\n", b"Debian [name=seccomp name=rootless]\n"])
def test_an_engine_whose_containers_have_no_address_here_is_refused(
    engine_on: Callable[..., tuple[Engine, Any]], told: bytes
) -> None:
    engine, _ = engine_on({"version": YES, "info": Completed(0, told)})
    with pytest.raises(UsageError) as caught:
        engine.start()
    assert caught.value.brief == (
        "the hosts are reached by their containers' addresses, which this engine does not give to the machine"
    )


@pytest.mark.parametrize("code", [1, 127], ids=["nothing answers", "no client"])
def test_without_an_engine_and_without_root_one_sentence_says_so(
    engine_on: Callable[..., tuple[Engine, Any]], code: int
) -> None:
    engine, machine = engine_on({"debian_version": NO, "version": Completed(code)})
    with pytest.raises(UsageError) as caught:
        engine.start()
    assert (caught.value.brief, caught.value.hint) == (
        "no Docker engine answers, and only root on Debian or Ubuntu can start one for the sandbox",
        "Start Docker, or become root, and then type: inv sandbox.up",
    )
    assert {command.effect for command in machine.ran} == {Effect.READ}


def test_a_state_folder_that_is_too_deep_for_a_socket_is_refused_before_anything_is_started(
    engine_on: Callable[..., tuple[Engine, Any]], tmp_path: Path
) -> None:
    state = tmp_path / ("deep" * 20)
    engine, _ = engine_on({"debian_version": YES, "command -v": YES, "version": NO}, state=state)
    with pytest.raises(UsageError) as caught:
        engine.start()
    assert caught.value.brief == f"the state folder's path is too long for a socket: {state}/engine"
    assert not state.exists()


def test_an_own_engine_is_spoken_to_by_its_own_socket(
    engine_on: Callable[..., tuple[Engine, Any]], tmp_path: Path
) -> None:
    (tmp_path / "state" / "engine").mkdir(parents=True)
    engine, machine = engine_on({"version": YES})
    assert engine.answers()
    assert dict(machine.ran[0].env)["DOCKER_HOST"] == f"unix://{tmp_path}/state/engine/docker.sock"


def test_missing_programs_are_named_with_their_packages(machine_that_answers: Machine, notes: Any) -> None:
    machine = machine_that_answers({"debian_version": NO, "command -v": Completed(0, b"mmdebstrap\nssh\n")})
    with pytest.raises(UsageError) as caught:
        need(machine, ("mmdebstrap", "ssh"), events=notes, purpose="to make the base images")
    assert caught.value.brief == (
        "mmdebstrap, ssh are needed to make the base images, "
        "and only root on Debian or Ubuntu can install what is missing"
    )
    assert caught.value.hint == "Install mmdebstrap, openssh-client and then type: inv sandbox.up"
