"""Several real hosts at once: what one of them does never harms another, and each one's end is told as it is.

Without ROLLBACK_SANDBOX_ALL_CASES=1 the fleet has four hosts, else eight.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from rollback_tasks.sandbox.sandbox import Sandbox
from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage, laptop

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

SIZE = 8 if os.environ.get("ROLLBACK_SANDBOX_ALL_CASES") == "1" else 4
AT_ONCE = 3  # building and playing hosts: two processors have no more to give
NOBODY = "http://localhost:9/health"


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All hosts, and the laptop of who rolls them back."""

    stages: dict[str, Stage]
    operator: Laptop
    before: dict[str, Seen]

    @property
    def names(self) -> list[str]:
        return list(self.stages)

    def play(self, release: str) -> None:
        self.before = at_once(self.stages, lambda stage: stage.play(release))

    def full(self, *words: str, hosts: str = "prod") -> Ended:
        return self.operator.inv("rollback.full", "--host", hosts, "--yes", *words, timeout=600)

    def make_ill(self, name: str) -> None:
        """From now on nothing on this host ever becomes healthy."""
        health = {"url": NOBODY, "timeout": 8, "interval": 0.5, "soak": 1}
        self.operator.change(lambda document: document["hosts"][name].update(health=health))

    def undo_logs(self, name: str) -> str:
        """What the compensations of a host's runs said."""
        return self.stages[name].root(f"tail -n 20 {FOLDER}/.rollback/runs/*/undo/*.log 2>/dev/null || true")

    def states(self) -> dict[str, str]:
        """What each host truly is: ``before``, ``v6``, or what is wrong with it."""
        return at_once(self.stages, self._state)

    def _state(self, stage: Stage) -> str:
        before, now = self.before[stage.name], stage.look()
        held = stage.root(f"cat {FOLDER}/.rollback/lock/run_id 2>/dev/null || true").strip()
        tail = f", locked by {held}" if held else ""
        same = (now.head, now.running, now.schema, now.rows) == (
            before.head,
            before.running,
            before.schema,
            before.rows,
        )
        if same and now.containers == before.containers:
            return f"before{tail}"
        at_v6 = (now.head, now.running) == (stage.commit_of("v6"), (stage.image_of("v6"),))
        if at_v6 and now.counts == before.counts and stage.health() == (200, "v6"):
            return f"v6{tail}"
        return f"neither: {now.head} {now.running} {stage.health()}{tail}"


def at_once(stages: Mapping[str, Stage], work: Callable[[Stage], Any]) -> dict[str, Any]:
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return dict(zip(stages, pool.map(work, stages.values()), strict=True))


def outcomes(ended: Ended) -> dict[str, str]:
    return {host["host"]: host["outcome"] for host in ended.document["hosts"]}


def order(ended: Ended) -> list[tuple[str, str]]:
    """Each host's first and last word, in the order in which they were said."""
    found = []
    for line in ended.err.splitlines():
        if (step := re.match(r"(\S+): 1/\d+ ", line)) is not None:
            found.append((step[1], "begins"))
        if (end := re.match(r"(\S+): (done|restored|stranded)", line)) is not None:
            found.append((end[1], end[2]))
    return found


@pytest.fixture(scope="module")
def built(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Hosts on which v6 was deployed and marked good."""
    addresses = {host.name: host.address for host in sandbox.up(SIZE).hosts[:SIZE]}
    stages = {name: Stage(sandbox=sandbox, name=name, address=address) for name, address in addresses.items()}
    at_once(stages, lambda stage: stage.build())
    marker = laptop(tmp_path_factory.mktemp("marker"), sandbox.inventory)
    marked = marker.inv("release.mark", "--good", "--host", ",".join(stages), timeout=300)
    assert marked.code == 0, marked.err
    at_once(stages, lambda stage: stage.save_base())
    return stages


@pytest.fixture
def fleet(built: dict[str, Stage], operator: Laptop) -> Fleet:
    """All hosts with bad code on them."""
    operator.change(lambda document: document["groups"].update(prod=list(built)))
    # Applications that start on all hosts at once share two processors.
    operator.change(lambda document: document["defaults"]["health"].update(timeout=240))
    made = Fleet(stages=built, operator=operator, before={})
    made.play("bad-code")
    return made


def hold(stage: Stage, run_id: str) -> None:
    """Lock a host as a living run of somebody else does."""
    owner = {"run_id": run_id, "operator": "kim", "laptop": "elsewhere", "task": "rollback.full", "reason": "mine"}
    body = (
        'mkdir -p "$1/lock" && cat >"$1/lock/owner.json" && echo "$2" >"$1/lock/run_id" && : >"$1/lock/heartbeat" '
        '&& chown -R deploy:deploy "$1/lock"'
    )
    stage.root(body, f"{FOLDER}/.rollback", run_id, stdin=json.dumps({**owner, "taken_at": "now"}).encode())


def test_ill_hung_and_locked_hosts_are_told_apart_and_cost_the_others_nothing(fleet: Fleet) -> None:
    well, ill, hung, held, *more = fleet.names
    fleet.make_ill(ill)
    hold(fleet.stages[held], "somebody-elses-run")
    fleet.stages[hung].sandbox.pause(hung)
    try:
        ended = fleet.full("--max-failures", "3", "--json", "--canary", "1")
    finally:
        fleet.stages[hung].sandbox.unpause(hung)
    told = {well: "done", ill: "restored", hung: "unreachable", held: "locked", **dict.fromkeys(more, "done")}
    assert (outcomes(ended), ended.code) == (told, 4), f"{ended.err}\n{fleet.undo_logs(ill)}"
    truth = {well: "v6", ill: "before", hung: "before", held: "before, locked by somebody-elses-run"}
    assert fleet.states() == {**truth, **dict.fromkeys(more, "v6")}
    hosts = {host["host"]: host for host in ended.document["hosts"]}
    assert ("9" in hosts[ill]["error"], "kim on elsewhere" in hosts[held]["error"]) == (True, True)
    assert all(host["hint"] for name, host in hosts.items() if told[name] in ("unreachable", "locked"))
    table = fleet.operator.inv("rollback.plan", "--host", "prod").out
    assert [name for name in fleet.names if not re.search(rf"^{name} ", table, re.MULTILINE)] == []


def test_a_canary_that_fails_keeps_every_other_host_untouched(fleet: Fleet) -> None:
    canary, *others = fleet.names
    fleet.make_ill(canary)
    ended = fleet.full("--json")
    assert (ended.code, outcomes(ended)[canary]) == (4, "restored"), ended.err
    assert order(ended) == [(canary, "begins"), (canary, "restored")]
    assert fleet.states() == dict.fromkeys(fleet.names, "before")
    left = [host for host in ended.document["hosts"] if host["host"] in others]
    assert all(host["steps"] == [] and "not started" in host["error"] for host in left)
    marks = {
        name: stage.root(f"ls {FOLDER}/.rollback/runs 2>/dev/null | wc -l") for name, stage in fleet.stages.items()
    }
    assert {name: int(count) for name, count in marks.items()} == {canary: 1, **dict.fromkeys(others, 0)}


def test_batches_follow_one_another_behind_the_canary(fleet: Fleet) -> None:
    ended = fleet.full("--json", "--canary", "1", "--batch", "2")
    assert ended.code == 0, ended.err
    waves = [fleet.names[:1], *(fleet.names[start : start + 2] for start in range(1, SIZE, 2))]
    said = order(ended)
    for wave in waves:
        mine, said = said[: 2 * len(wave)], said[2 * len(wave) :]
        assert sorted(mine) == sorted((name, word) for name in wave for word in ("begins", "done"))
    assert fleet.states() == dict.fromkeys(fleet.names, "v6")


def test_hosts_that_were_switched_are_put_back_healthy_where_the_fleet_fails_and_undo_was_asked_for(
    fleet: Fleet,
) -> None:
    fleet.play("v6")
    chosen = fleet.names[:3]
    fleet.make_ill(chosen[-1])
    words = ("--to", "v5", "--json", "--batch", "1", "--on-failure", "undo")
    ended = fleet.full(*words, hosts=",".join(chosen))
    assert (ended.code, outcomes(ended)) == (4, dict.fromkeys(chosen, "restored")), ended.err
    assert order(ended)[:4] == [(name, word) for name in chosen[:2] for word in ("begins", "done")]
    assert fleet.states() == dict.fromkeys(fleet.names, "before")
    assert {fleet.stages[name].health() for name in chosen} == {(200, "v6")}
    again = fleet.full("--to", "v5", "--json", hosts=chosen[0])
    assert (again.code, again.host["outcome"]) == (0, "done"), again.err
    assert fleet.stages[chosen[0]].health() == (200, "v5")


def twice_named(document: dict[str, Any]) -> None:
    document["hosts"]["alias"] = dict(document["hosts"]["prod1"])


def overlapping(document: dict[str, Any]) -> None:
    document["groups"].update(web=["prod1", "prod2"], east=["prod2", "prod1"])


# Flags behind --host prod, what else is in the inventory, and the words that the refusal has to say.
SENSELESS: tuple[tuple[tuple[str, ...], Callable[[dict[str, Any]], object], tuple[str, ...]], ...] = (
    (("--host", "prod", "--batch", "0"), dict, ("--batch",)),
    (("--host", "prod", "--batch", "101%"), dict, ("--batch",)),
    (("--host", "prod", "--canary", "99"), dict, ("--canary 99",)),
    (("--host", "prod", "--canary", "-1"), dict, ("--canary",)),
    (("--host", "prod", "--parallel", "0"), dict, ("--parallel",)),
    (("--host", "prod", "--on-failure", "cry"), dict, ("--on-failure",)),
    (("--host", "prod1,alias"), twice_named, ("prod1", "alias", "same")),
)


def test_what_makes_no_sense_for_a_fleet_is_refused_before_any_host_is_touched(fleet: Fleet) -> None:
    missed = []
    for words, change, says in SENSELESS:
        fleet.operator.change(change)
        ended = fleet.operator.inv("rollback.full", *words, "--yes", "--json")
        missed += [(words, ended.code, word) for word in says if word not in ended.err or ended.code != 2]
    assert missed == []
    assert fleet.states() == dict.fromkeys(fleet.names, "before")


@pytest.mark.parametrize(
    "words", [("--host", "prod1", "--host", "prod1,prod1"), ("--host", "web,east")], ids=["twice", "overlapping groups"]
)
def test_a_host_that_is_named_twice_is_rolled_back_once(fleet: Fleet, words: tuple[str, ...]) -> None:
    fleet.operator.change(overlapping)
    ended = fleet.operator.inv("rollback.full", *words, "--yes", "--json", timeout=300)
    named = ["prod1"] if "prod1" in words else ["prod1", "prod2"]
    assert ([host["host"] for host in ended.document["hosts"]], ended.code) == (named, 0), ended.err
    runs = {name: int(fleet.stages[name].root(f"ls {FOLDER}/.rollback/runs | wc -l")) for name in named}
    assert runs == dict.fromkeys(named, 1)
