"""The laptop dies, or the host is hurt, at every step of a rollback: afterwards the host is fully at the target or
fully as before, nothing is left over, and a new rollback works.

Without ROLLBACK_SANDBOX_ALL_CASES=1 only some cases run, always the same ones.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.sandbox.faults import Fault, Kind
from rollback_tasks.sandbox.followed import FollowedRun
from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.local import LocalHost
from tests.sandbox.stage import CHECKOUT, FOLDER, Ended, Laptop, Seen, Stage, laptop, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]

ALL = os.environ.get("ROLLBACK_SANDBOX_ALL_CASES") == "1"
SEED = 17
LEASE = 6

# About how long a step takes on an idle machine, in seconds: what dies "inside" dies in the middle of that.
DOWNGRADE = (0.8, 0.4, 0.6, 0.2, 0.2, 0.8, 5.0, 0.4, 1.0, 0.5, 3.0, 0.2, 0.2, 1.2, 4.0, 0.4, 0.1)
CODE_ONLY = (0.8, 0.4, 0.6, 0.2, 0.2, 0.8, 0.4, 1.0, 0.2, 0.2, 1.2, 4.0, 0.4, 0.1)
STEPS = {"bad-migration": DOWNGRADE, "bad-code": CODE_ONLY}
HOSTS = {"bad-migration": "plugin_host", "bad-code": "standalone_host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death.

    :param inside: seconds after the step began.
    :param settled_by: ``guard``; or ``resume`` or ``abort`` from another laptop.
    """

    release: str
    step: int
    inside: float
    settled_by: str

    def __str__(self) -> str:
        return f"{self.release}-step{self.step}-{self.inside:g}s-{self.settled_by}"


def every_case() -> list[Case]:
    """Each step's boundary and middle; the three ways to settle take turns, so that each step meets two of them."""
    ways = ("guard", "resume", "abort")
    found = []
    for release, seconds in STEPS.items():
        places = [(step, inside) for step, typical in enumerate(seconds, 1) for inside in (0.0, typical / 2)]
        found += [
            Case(release=release, step=step, inside=inside, settled_by=ways[(number + number // 6) % 3])
            for number, (step, inside) in enumerate(places)
        ]
    return found


def some(cases: list[Any], count: int) -> list[Any]:
    return cases if ALL else random.Random(SEED).sample(cases, count)


@dataclass(slots=True, kw_only=True)
class Scene:
    """One host with a bad release on it, and two laptops."""

    stage: Stage
    first: Laptop
    other: Laptop
    release: str
    before: Seen

    @property
    def record(self) -> str:
        return f"{FOLDER}/.rollback"

    def start(self) -> FollowedRun:
        """Start a rollback on the first laptop."""
        environ = self.first.environ()
        names = ("HOME", "XDG_STATE_HOME", "ROLLBACK_HOSTS_FILE")
        return FollowedRun(
            *(LocalHost(), SystemClock()),
            (sys.executable, "-m", "invoke", "rollback.full", "--host", self.stage.name, "--yes", "--json"),
            cwd=str(CHECKOUT),
            env=tuple((name, environ[name]) for name in names),
            out=str(self.first.folder / "out.json"),
            timeout=500.0,
        )

    def asked(self, task: str) -> Ended:
        """Run a task on the other laptop."""
        return self.other.inv(task, "--host", self.stage.name, "--yes", "--json", timeout=300)

    def unfinished(self) -> list[str]:
        """Runs that nobody has settled."""
        body = 'for run in "$1"/runs/*/; do [ -e "$run/settled" ] || [ ! -e "$run/journal.jsonl" ] || echo "$run"; done'
        return self.stage.root(body, self.record).split()

    def holder(self) -> str:
        """The run that has the lock; empty where the host is free."""
        return self.stage.root('if [ -d "$1/lock" ]; then cat "$1/lock/run_id"; fi', self.record).strip()

    def journal(self) -> list[dict[str, Any]]:
        """The newest run's journal; empty where none was opened."""
        body = 'run=$(ls -d "$1"/runs/*/ 2>/dev/null | tail -n 1); [ -z "$run" ] || cat "$run/journal.jsonl"'
        return [json.loads(line) for line in self.stage.root(body, self.record).splitlines()]

    def kill_guard(self) -> None:
        """End the guard, as a power cut of the host would: it does not come back by itself."""
        for run in self.unfinished():
            # One that was quicker is gone by itself.
            body = (
                'until [ -s "$1/guard.pid" ]; do sleep 0.1; done\n'
                'kill -KILL "$(cat "$1/guard.pid")" 2>/dev/null || [ -e "$1/settled" ]'
            )
            self.stage.root(body, run)

    def ended_as(self) -> str:
        """Say "target" or "before", after proving that it is that and nothing in between, with nothing left over."""
        stage, before = self.stage, self.before
        assert (self.unfinished(), self.holder()) == ([], "")
        now = stage.look()
        if now.head == before.head:
            how, release = "before", self.release
            stage.await_behaviour(release)
            states = sorted(line.split()[1] for line in now.app)
            assert states == sorted(line.split()[1] for line in before.app)
            mine = replace(now.without_traces(), app=(), databases=())
            assert mine == replace(before.without_traces(), app=(), databases=())
        else:
            how, release = "target", "v6"
            assert (now.head, now.running) == (stage.commit_of("v6"), (stage.image_of("v6"),))
            assert stage.health() == (200, "v6")
            assert (now.status, now.worktrees) == (before.status, before.worktrees)
            assert (now.counts, now.schema) == (before.counts, ("0006",))
            assert now.containers == before.containers
        kept = [name for name in now.databases if name != "comicpile"]
        assert [name for name in kept if "__before_" not in name and "__left_" not in name] == []
        return how

    def assert_a_new_run_works(self) -> None:
        """A rollback that starts now ends well, whatever was before."""
        ended = self.asked("rollback.full")
        assert (ended.code, ended.host["outcome"]) in [(0, "done"), (0, "noop")], ended.err
        assert self.ended_as() == "target"


@pytest.fixture(scope="module")
def as_before() -> dict[str, Seen]:
    """Hosts that a case left as they were: the next one's rollback is the new run that has to work."""
    return {}


@pytest.fixture
def scene_of(
    request: pytest.FixtureRequest, sandbox: Any, tmp_path: Path, as_before: dict[str, Seen]
) -> Callable[[str], Scene]:
    def make(release: str) -> Scene:
        stage: Stage = request.getfixturevalue(HOSTS[release])
        laptops = [laptop(tmp_path / name, sandbox.inventory) for name in ("first", "other")]
        for one in laptops:
            one.change(lambda document: document["defaults"].update(guard={"lease": LEASE}))
        first, other = laptops
        before = as_before.pop(stage.name, None) or stage.play(release)
        return Scene(stage=stage, first=first, other=other, release=release, before=before)

    return make


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Say a line for whoever runs every case by hand."""

    def tell(line: str) -> None:
        if ALL:
            with capsys.disabled():
                print(f"\n{line}", end="")  # noqa: T201

    return tell


def settle(scene: Scene, way: str) -> str:
    """End an abandoned run in one of the three ways; return what was said."""
    match way:
        case "guard":
            until(lambda: scene.unfinished() == [], seconds=LEASE + 120)
            said = "guard"
        case "abort":
            ended = scene.asked("rollback.abort")
            assert ended.code == 0, ended.err
            said = f"abort: {ended.host['outcome']}"
        case _:
            scene.kill_guard()
            ended = scene.asked("rollback.resume")
            while ended.code == 6 and scene.unfinished():  # the first laptop's last sign of life still holds
                ended = scene.asked("rollback.resume")
            said = f"resume: {ended.host['outcome']}"
            if ended.code == 3:  # the guard had begun to undo before it was killed: there is no way forward any more
                assert "abort" in ended.host["hint"], ended.err
                return f"{said}, then {settle(scene, 'abort')}"
            assert (ended.code, ended.host["outcome"]) in [(0, "done"), (0, "noop"), (6, "locked")], ended.err
            assert ended.code == 6 or not scene.holder()
    if scene.holder():
        # Nobody was there to give it back: the laptop died before the run began on the host, or after it was over.
        assert [line["event"] for line in scene.journal()][-1:] in ([], ["settled"])
        refused = scene.asked("rollback.full")
        assert (refused.code, "inv rollback.abort" in refused.document["next"]) == (6, True)
        ended = scene.asked("rollback.abort")
        assert ended.code == 0, ended.err
        said += ", lock freed by abort"
    return said


@pytest.mark.parametrize("case", some(every_case(), 3), ids=str)
def test_a_laptop_that_dies_leaves_a_host_that_is_whole(
    scene_of: Callable[[str], Scene], told: Callable[[str], None], as_before: dict[str, Seen], case: Case
) -> None:
    scene = scene_of(case.release)
    run = scene.start()
    is_met = run.await_step(scene.stage.name, case.step, inside=case.inside)
    run.kill()
    lines = scene.journal()
    started = next((line["step"] for line in reversed(lines) if line["event"] == "started"), "no step")
    said = settle(scene, case.settled_by)
    how = scene.ended_as()
    told(f"DEATH {case}: {'in' if is_met else 'OVER BEFORE, in'} {started}, {said}, {how}")
    if ALL and how == "before" and case.step % 4:
        as_before[scene.stage.name] = scene.before
    else:
        scene.assert_a_new_run_works()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurt:
    """A fault of the host in the middle of a rollback.

    :param seconds: after which it ends; None where it only ends when the rollback is over.
    """

    release: str
    kind: Kind
    seconds: float | None
    step: int
    lease: float = LEASE

    def __str__(self) -> str:
        long = "until-it-is-over" if self.seconds is None else f"{self.seconds:g}s"
        return f"{self.release}-{self.kind}-{long}-step{self.step}-lease{self.lease:g}"


def every_hurt() -> list[Hurt]:
    """Steps before the downtime, in it, and at its end, for every kind of fault."""
    faults: tuple[tuple[Kind, float | None, float], ...] = (
        (Kind.CUT, None, LEASE),
        (Kind.CUT, 10.0, LEASE),
        (Kind.CUT, 10.0, 60),
        (Kind.HANG, 30.0, LEASE),
        (Kind.ENGINE, 3.0, LEASE),
        (Kind.DISK, None, LEASE),
        (Kind.SSHD, 3.0, LEASE),
        (Kind.KILL, 5.0, LEASE),
        (Kind.CLOCK, None, LEASE),
        (Kind.SLOW, None, LEASE),
    )
    steps = (3, 7, 11, 14, 15)
    return [
        Hurt(release="bad-migration", kind=kind, seconds=seconds, step=step, lease=lease)
        for kind, seconds, lease in faults
        for step in steps
    ]


@pytest.mark.parametrize("hurt", some(every_hurt(), 2), ids=str)
def test_a_host_that_is_hurt_ends_as_it_is_said_to(
    scene_of: Callable[[str], Scene], told: Callable[[str], None], hurt: Hurt
) -> None:
    scene = scene_of(hurt.release)
    stage = scene.stage
    scene.first.change(lambda document: document["defaults"].update(guard={"lease": hurt.lease}))
    run = scene.start()
    typical = STEPS[hurt.release][hurt.step - 1]
    is_met = run.await_step(stage.name, hurt.step, inside=typical / 3)
    stage.sandbox.inflict(Fault(host=stage.name, kind=hurt.kind, seconds=hurt.seconds or 500))
    try:
        code = run.wait()
    finally:
        if hurt.seconds is None:
            stage.sandbox.end_fault(stage.name, hurt.kind)
        stage.sandbox.await_fault_end(stage.name, hurt.kind)
    stage.await_engine()
    document = json.loads((scene.first.folder / "out.json").read_text())
    (host,) = document["hosts"]
    said = f"{code} {host['outcome']}"
    if code == 5 and hurt.kind is not Kind.KILL:  # a guard does not survive a power cut
        until(lambda: scene.unfinished() == [], seconds=hurt.lease + 150)
        said += ", then the guard"
    if scene.unfinished() or scene.holder():
        ended = scene.asked("rollback.abort")
        if ended.code == 5 and hurt.kind is Kind.KILL and "systemctl restart docker" in (ended.host["error"] or ""):
            # Docker 20.10 may keep a port after a power cut. The tool says what frees it; this is that.
            stage.restart_engine()
            said += ", abort, then the engine started anew"
            ended = scene.asked("rollback.abort")
        assert ended.code == 0, ended.err
        said += f", then abort: {ended.host['outcome']}"
    how = scene.ended_as()
    told(f"HURT {hurt}: {'' if is_met else 'OVER BEFORE, '}{said}, {how}: {(host['error'] or '')[:150]!r}")
    assert code in (0, 4, 5)
    assert {0: "target", 4: "before"}.get(code, how) == how
    scene.assert_a_new_run_works()


@pytest.mark.parametrize("attempt", range(10) if ALL else range(1))
def test_of_two_laptops_that_start_at_once_one_works_and_the_other_is_told_who(
    scene_of: Callable[[str], Scene], told: Callable[[str], None], attempt: int
) -> None:
    scene = scene_of("bad-code")
    words = ("rollback.full", "--host", scene.stage.name, "--yes", "--json")
    processes = [one.start(*words) for one in (scene.first, scene.other)]
    ended = []
    for process in processes:
        out, err = process.communicate(timeout=240)
        ended.append(Ended(code=process.returncode, out=out, err=err))
    told(f"RACE {attempt}: {[(one.code, one.host['outcome'], one.host['error']) for one in ended]}")
    assert sorted(one.code for one in ended) == [0, 6], [one.err for one in ended]
    (locked,) = [one for one in ended if one.code == 6]
    assert (locked.host["outcome"], locked.host["steps"]) == ("locked", [])
    assert scene.ended_as() == "target"
