"""Containers as the engine describes them, read as hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import StepFailed
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.fleet import Fleet, Node, names
from rollback_tasks.sandbox.status import Flavour, HostState, Role

Machine = Callable[[Mapping[str, Completed]], Any]

NETWORK = "rollback-sandbox-1234abcd"


def container(name: str, *, running: bool = True, paused: bool = False, connected: bool = True) -> dict[str, Any]:
    return {
        "Name": f"/{NETWORK}-{name}",
        "State": {"Running": running, "Paused": paused},
        "NetworkSettings": {"Networks": {NETWORK: {}} if connected else {}},
        "Config": {
            "Labels": {
                "rollback.sandbox.host": name,
                "rollback.sandbox.address": f"172.17.0.{10 + int(name[4:])}",
                "rollback.sandbox.flavour": "plugin" if int(name[4:]) % 2 else "standalone",
                "rollback.sandbox.recipe": "cafe",
            }
        },
    }


@pytest.fixture
def fleet_of(machine_that_answers: Machine, notes: Any, tmp_path: Path) -> Callable[..., Fleet]:
    def make(*containers: dict[str, Any]) -> Fleet:
        machine = machine_that_answers({"docker inspect": Completed(0, json.dumps(containers).encode())})
        return Fleet(Engine(machine, state=str(tmp_path), key="1234abcd", events=notes), key="1234abcd")

    return make


def node(name: str, flavour: Flavour, state: HostState) -> Node:
    number = int(name[4:])
    return Node(
        name=name,
        container=f"{NETWORK}-{name}",
        address=f"172.17.0.{10 + number}",
        flavour=flavour,
        state=state,
        recipe="cafe",
    )


def test_hosts_are_told_in_the_order_of_their_numbers_with_what_ails_them(fleet_of: Callable[..., Fleet]) -> None:
    fleet = fleet_of(
        container("prod10", running=False, connected=False),
        container("prod2", paused=True),
        container("prod1"),
        container("prod3", connected=False),
    )
    assert fleet.nodes() == (
        node("prod1", Flavour.PLUGIN, HostState.UP),
        node("prod2", Flavour.STANDALONE, HostState.PAUSED),
        node("prod3", Flavour.PLUGIN, HostState.CUT_OFF),
        node("prod10", Flavour.STANDALONE, HostState.DOWN),
    )


def test_a_host_that_is_not_there_is_named(fleet_of: Callable[..., Fleet]) -> None:
    with pytest.raises(StepFailed) as caught:
        fleet_of(container("prod1")).node("prod7")
    assert caught.value.brief == "the sandbox has no host prod7"


def test_a_database_host_comes_last_and_is_known_by_what_it_runs(fleet_of: Callable[..., Fleet]) -> None:
    database, app = container("prod1"), container("prod12")
    database["Config"]["Labels"] |= {"rollback.sandbox.host": "db1", "rollback.sandbox.role": "db"}
    app["Config"]["Labels"]["rollback.sandbox.role"] = "app"
    told = [(one.name, one.role) for one in fleet_of(database, app).nodes()]
    assert told == [("prod12", Role.APP), ("db1", Role.DATABASE)]


def test_hosts_are_alike_unless_they_share_a_database() -> None:
    assert names(2, shared_db=False) == {"prod1": Role.WHOLE, "prod2": Role.WHOLE}
    assert names(2, shared_db=True) == {"prod1": Role.APP, "prod2": Role.APP, "db1": Role.DATABASE}
