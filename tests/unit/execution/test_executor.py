"""The crash matrix: whatever breaks wherever, a host ends as planned, as it was, or stranded and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from rollback_tasks.errors import ConnectionLost, Unreachable
from rollback_tasks.execution.executor import Executor
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.journal import Lead
from rollback_tasks.execution.reconnection import Reconnection
from rollback_tasks.execution.settling import Performed
from rollback_tasks.model import events
from rollback_tasks.model.moments import stamp
from rollback_tasks.model.outcome import Outcome, StepState
from rollback_tasks.model.plan import Compensation, HostPlan
from rollback_tasks.planning.planner import plan_host
from rollback_tasks.planning.target import choose, current_release
from rollback_tasks.ports import Host
from rollback_tasks.shell import standalone
from rollback_tasks.steps.await_healthy import gate
from tests.builders import RUN, a_project, a_request, a_verdict, details, some_facts, some_settings
from tests.fakes import FakeClock, KeptEvents, MemoryLaptop
from tests.simulated import Fault, SimulatedHost, World

PROJECT = a_project()
MIRROR = f"runs/{RUN}/prod1.jsonl"


def a_plan() -> HostPlan:
    """A full rollback with a downgrade: every kind of step is in it."""
    facts = some_facts(3)
    current = current_release(facts, PROJECT)
    choice = choose(facts, current, None, None)
    plan = plan_host(a_request(), PROJECT, some_settings(), facts, current, choice, details(a_verdict(3, 2)))
    assert plan.blockers == ()
    return plan


PLAN = a_plan()
NAMES = [f"{number:03d}-{step.kind}" for number, step in enumerate(PLAN.steps, 1)]
UNDOABLE = [n for n, step in zip(NAMES, PLAN.steps, strict=True) if isinstance(step.compensation(), Compensation)]


@dataclass(slots=True, kw_only=True)
class Trial:
    """One run on one simulated host."""

    fault: Fault | None = None
    comes_back: bool = True
    broken: frozenset[str] = frozenset()
    is_target_sick: bool = False
    is_never_healthy_again: bool = False
    interruption: Interruption = field(default_factory=Interruption)
    plan: HostPlan = PLAN
    laptop: MemoryLaptop = field(default_factory=MemoryLaptop)
    sink: KeptEvents = field(default_factory=KeptEvents)
    clock: FakeClock = field(default_factory=FakeClock)
    world: World = field(init=False)

    def run(self) -> Performed:
        assert self.plan.start is not None
        lead = Lead(project=PROJECT, run_id=RUN, holder="me", lease=30)
        self.world = World(
            self.plan,
            lead,
            self.plan.start,
            fault=self.fault,
            broken_undos=self.broken,
            is_target_sick=self.is_target_sick,
            is_never_healthy_again=self.is_never_healthy_again,
        )
        executor = Executor(
            plan=self.plan,
            host=SimulatedHost(self.world),
            reconnect=Reconnection(name="prod1", dial=self._reconnect, clock=self.clock, sink=self.sink, lease=30),
            laptop=self.laptop,
            clock=self.clock,
            sink=self.sink,
            lead=lead,
            stamp=stamp,
            mirror=MIRROR,
            health_after=gate(PROJECT, url="http://localhost/health", timeout=5, interval=0.2, soak=0),
            interruption=self.interruption,
        )
        return executor.perform()

    def _reconnect(self) -> Host:
        if not self.comes_back:
            raise Unreachable("no route")
        return SimulatedHost(self.world)

    def ends(self, performed: Performed) -> str:
        """Check what must hold of every end; return the outcome's word."""
        world, start, end = self.world, self.plan.start, self.plan.end
        assert start is not None
        assert end is not None
        assert performed.bug is None, performed.bug
        match performed.outcome:
            case Outcome.DONE:
                assert world.standing == "committed"
                assert world.state == end
            case Outcome.RESTORED:
                assert world.state.without_kept() == start.without_kept()
                assert world.standing in ("unopened", "decided-laptop", "decided-guard")
                assert world.is_settled or world.standing == "unopened"
                assert world.undo == {}
                assert performed.problem
            case Outcome.STRANDED:
                assert performed.problem
                assert "inv " in performed.hint
                failed = {r.kind for r in performed.steps if r.state is StepState.COMPENSATION_FAILED}
                tried = {e.kind for e in self.sink.events if isinstance(e, events.Compensated) and not e.is_done}
                if self.comes_back:
                    assert tried == {name.partition("-")[2] for name in self.broken & set(NAMES) if name in world.undo}
                    assert failed <= tried
            case other:
                raise AssertionError(other)
        self._check_journal(performed)
        return str(performed.outcome.value)

    def _check_journal(self, performed: Performed) -> None:
        """What the host's journal has of the laptop's lines stands in the mirror, in the same order."""
        mirror = self.laptop.journal(MIRROR)
        rest = iter(mirror)
        for line in self.world.journal:
            assert line in rest, f"{line} is not mirrored in its place"
        begun = [line["step"] for line in self.world.journal if line["event"] == "started"]
        done = [line["step"] for line in self.world.journal if line["event"] == "done"]
        assert list(dict.fromkeys(begun)) == NAMES[: len(set(begun))]
        assert set(done) <= set(begun)
        for name in self.world.acted:
            assert name in begun
        written = {name for name in begun if name in UNDOABLE}
        undone = {e.kind for e in self.sink.events if isinstance(e, events.Compensated) and e.is_done}
        if performed.outcome is not Outcome.DONE and self.comes_back and self.world.standing == "decided-laptop":
            assert undone == {name.partition("-")[2] for name in written - set(self.world.undo)}


def exits(code: int) -> Callable[[], int]:
    return lambda: code


def loses() -> int:
    raise ConnectionLost("the connection broke", host="prod1")


def interrupts() -> int:
    raise KeyboardInterrupt


# name: role of the command, what happens there, after its effect or before, what may come of it
FAULTS: dict[str, tuple[str, Callable[[], int], bool, set[str]]] = {
    "fenced": ("begin", exits(75), False, {"restored"}),
    "disk full at its begin": ("begin", exits(1), False, {"restored"}),
    "lost before its begin": ("begin", loses, False, {"restored", "done"}),
    "lost after its begin": ("begin", loses, True, {"restored", "done"}),
    "precondition false": ("pre", exits(1), False, {"restored"}),
    "refused": ("forward", exits(1), False, {"restored"}),
    "failed after its effect": ("forward", exits(1), True, {"restored"}),
    "ran too long": ("forward", exits(124), False, {"restored"}),
    "lost before its effect": ("forward", loses, False, {"restored", "done"}),
    "lost after its effect": ("forward", loses, True, {"done"}),
    "postcondition false": ("post", exits(1), False, {"restored"}),
    "lost at its postcondition": ("post", loses, False, {"done", "restored"}),
    "disk full at its end": ("done", exits(1), False, {"restored"}),
    "lost after its end": ("done", loses, True, {"done", "restored"}),
    "killed by Ctrl-C before its effect": ("forward", interrupts, False, {"restored"}),
    "killed by Ctrl-C after its effect": ("forward", interrupts, True, {"restored"}),
}


def has(name: str, role: str) -> bool:
    step = PLAN.steps[NAMES.index(name)]
    given = {"pre": step.precondition(), "forward": step.forward(), "post": step.postcondition()}
    return role not in given or any(not hasattr(each, "path") and not hasattr(each, "url") for each in given[role])


MATRIX = [(name, fault) for name in NAMES for fault in FAULTS if has(name, FAULTS[fault][0])]


def test_nothing_breaks_and_the_host_is_the_target() -> None:
    trial = Trial()
    performed = trial.run()
    assert trial.ends(performed) == "done"
    assert [record.state for record in performed.steps] == [StepState.DONE] * len(NAMES)
    assert [line.get("step", line["event"]) for line in trial.laptop.journal(MIRROR)] == [
        "opened",
        *(name for name in NAMES for _ in "sd"),
        "settled",
    ]
    assert performed.downtime is not None
    assert sorted(trial.laptop.files) == [
        f"/home/ann/backups/prod1/comicpile-{RUN}.dump",
        f"/home/ann/backups/prod1/comicpile-{RUN}.manifest.json",
        MIRROR,
    ]


@pytest.mark.parametrize(("name", "fault"), MATRIX, ids=[f"{name}, {fault}" for name, fault in MATRIX])
def test_a_host_ends_as_planned_or_as_it_was(name: str, fault: str) -> None:
    role, how, is_late, allowed = FAULTS[fault]
    trial = Trial(fault=Fault(name, role, how, is_late))
    performed = trial.run()
    assert trial.world.fault is not None
    assert trial.world.fault.has_struck
    assert trial.ends(performed) in allowed


@pytest.mark.parametrize(("name", "fault"), MATRIX, ids=[f"{name}, {fault}" for name, fault in MATRIX])
def test_whichever_compensation_fails_all_others_are_tried_and_it_is_named(name: str, fault: str) -> None:
    role, how, is_late, allowed = FAULTS[fault]
    begun = [each for each in UNDOABLE if each <= name]
    for broken in {*begun[:1], *begun[len(begun) // 2 :]}:
        trial = Trial(fault=Fault(name, role, how, is_late), broken=frozenset({broken}))
        performed = trial.run()
        outcome = trial.ends(performed)
        if outcome == "stranded":
            assert set(trial.world.undo) == {broken}
            assert "not every step could be undone" in performed.details
        elif outcome == "restored":
            assert broken not in [line.get("step") for line in trial.world.journal]
        else:
            assert "done" in allowed


LOSSES = [(name, fault) for name, fault in MATRIX if FAULTS[fault][1] is loses]


@pytest.mark.parametrize(("name", "fault"), LOSSES, ids=[f"{name}, {fault}" for name, fault in LOSSES])
def test_a_host_that_does_not_come_back_is_stranded_and_its_guard_undoes_the_run(name: str, fault: str) -> None:
    role, how, is_late, _ = FAULTS[fault]
    trial = Trial(fault=Fault(name, role, how, is_late), comes_back=False)
    performed = trial.run()
    assert trial.ends(performed) == "stranded"
    assert "the connection is gone" in performed.details
    assert trial.world.standing == "undecided"
    assert trial.world.unwind("guard")[0] == 0
    assert PLAN.start is not None
    assert trial.world.state.without_kept() == PLAN.start.without_kept()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
def test_a_wish_to_stop_ends_at_a_safe_point_with_the_host_as_it_was(name: str, is_late: bool) -> None:
    interruption = Interruption()

    def asks() -> None:
        interruption.request()

    trial = Trial(fault=Fault(name, "begin", asks, is_late), interruption=interruption)
    performed = trial.run()
    if name == NAMES[-1]:
        assert trial.ends(performed) == "done"  # nothing is left to stop
        return
    assert trial.ends(performed) == "restored"
    assert performed.was_interrupted
    assert performed.problem == "interrupted by the operator"


def test_a_target_that_is_not_healthy_is_put_back() -> None:
    trial = Trial(is_target_sick=True)
    performed = trial.run()
    assert trial.ends(performed) == "restored"
    assert "was not healthy within 60 s: HTTP 503 not yet" in performed.problem
    assert performed.downtime is not None
    assert [record.kind for record in performed.steps if record.state is StepState.FAILED] == ["await_healthy"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before the decision", "after the decision"])
def test_a_connection_that_breaks_at_the_decision_does_not_undo_what_was_verified(is_late: bool) -> None:
    trial = Trial(fault=Fault("commit", "commit", loses, is_late))
    performed = trial.run()
    assert (trial.ends(performed), performed.problem) == ("done", "")


def test_a_guard_that_decided_while_the_connection_was_gone_is_told_of() -> None:
    def decides() -> int:
        trial.world.unwind("guard")
        return loses()

    trial = Trial(fault=Fault("commit", "commit", decides))
    performed = trial.run()
    assert (trial.ends(performed), performed.problem) == ("restored", "another decision was taken on the host")
    assert {record.state for record in performed.steps if record.kind == "stop_services"} == {StepState.COMPENSATED}


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_connection_that_breaks_while_the_host_is_put_back(is_late: bool, comes_back: bool) -> None:
    trial = Trial(fault=Fault("unwind", "unwind", loses, is_late), is_target_sick=True, comes_back=comes_back)
    performed = trial.run()
    assert trial.ends(performed) == ("restored" if comes_back else "stranded")
    if not comes_back:
        trial.world.unwind("guard")
        assert PLAN.start is not None
        assert trial.world.state.without_kept() == PLAN.start.without_kept()


def test_a_host_whose_restored_application_does_not_answer_is_stranded() -> None:
    trial = Trial(is_target_sick=True, is_never_healthy_again=True)
    performed = trial.run()
    assert trial.ends(performed) == "stranded"
    assert "everything was undone, but the application does not answer" in performed.details
    assert performed.hint == "see `inv host.logs --host prod1`."


@pytest.mark.parametrize("name", NAMES)
def test_a_bug_of_ours_still_puts_the_host_back(name: str) -> None:
    def breaks() -> int:
        raise ZeroDivisionError("a bug")

    trial = Trial(fault=Fault(name, "begin", breaks, is_late=True))
    performed = trial.run()
    assert PLAN.start is not None
    assert (performed.outcome, type(performed.bug)) == (Outcome.RESTORED, ZeroDivisionError)
    assert trial.world.state.without_kept() == PLAN.start.without_kept()


def test_every_way_back_can_be_run_by_the_host_alone() -> None:
    for step in PLAN.steps:
        undo = step.compensation()
        if isinstance(undo, Compensation):
            text = standalone(undo.command)
            assert text.startswith("#!/bin/sh\n")
            assert "pw" not in text.split()


def test_a_run_that_cannot_be_opened_changed_nothing() -> None:
    trial = Trial()

    class Refusing(SimulatedHost):
        def run(self, command: object) -> object:  # type: ignore[override]
            raise ConnectionLost("gone", host="prod1")

    assert PLAN.start is not None
    lead = Lead(project=PROJECT, run_id=RUN, holder="me", lease=30)
    trial.world = World(PLAN, lead, PLAN.start)
    performed = Executor(
        plan=PLAN,
        host=Refusing(trial.world),  # type: ignore[arg-type]
        reconnect=trial._reconnect,
        laptop=trial.laptop,
        clock=trial.clock,
        sink=trial.sink,
        lead=lead,
        stamp=stamp,
        mirror=MIRROR,
        health_after=None,
        interruption=trial.interruption,
    ).perform()
    assert trial.ends(performed) == "restored"
