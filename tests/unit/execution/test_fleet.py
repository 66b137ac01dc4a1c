"""Many hosts at once: waves, the bound, the budget, hosts that hang, and an operator who leaves."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import pytest

from rollback_tasks.execution.fleet import FleetResult, run_fleet, together
from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.settling import Performed
from rollback_tasks.model.outcome import Outcome

Work = Callable[[], Mapping[str, Performed]]


class Hosts:
    """Hosts whose work a test watches: how many at once, in which order, and how each ends."""

    def __init__(self, **ends: Outcome) -> None:
        self.ends = ends
        self.guard = threading.Lock()
        self.now = 0
        self.most = 0
        self.started: list[str] = []
        self.log: list[str] = []
        self.holds: dict[str, threading.Event] = {}

    def work(self, *names: str, seconds: float = 0.0) -> dict[str, Work]:
        def one(name: str) -> Work:
            def perform() -> Mapping[str, Performed]:
                with self.guard:
                    self.started.append(name)
                    self.log.append(f"start {name}")
                    self.now += 1
                    self.most = max(self.most, self.now)
                if name in self.holds:
                    self.holds[name].wait(20)
                elif seconds:
                    time.sleep(seconds)
                with self.guard:
                    self.now -= 1
                    self.log.append(f"end {name}")
                return {name: Performed(outcome=self.ends.get(name, Outcome.DONE))}

            return perform

        return {name: one(name) for name in names}


def run(
    hosts: Hosts,
    waves: Sequence[Sequence[str]],
    *,
    parallel: int = 8,
    max_failures: int = 0,
    failed_before: int = 0,
    interruption: Interruption | None = None,
    ended: Callable[[str, Performed], None] | None = None,
    seconds: float = 0.0,
) -> FleetResult:
    return run_fleet(
        waves,
        hosts.work(*(name for wave in waves for name in wave), seconds=seconds),
        parallel=parallel,
        max_failures=max_failures,
        failed_before=failed_before,
        interruption=interruption or Interruption(),
        ended=ended or (lambda name, performed: None),
    )


@pytest.mark.parametrize("parallel", [1, 2, 3, 8])
def test_never_more_than_the_bound_are_worked_on_and_the_bound_is_used(parallel: int) -> None:
    hosts = Hosts()
    names = [f"h{number}" for number in range(8)]
    result = run(hosts, [names], parallel=parallel, seconds=0.05)
    assert hosts.most == parallel
    assert sorted(result.done) == names
    assert (result.is_stopped, result.is_left) == (False, False)


def test_a_wave_begins_when_the_one_before_has_ended_whole() -> None:
    hosts = Hosts()
    waves = [["canary"], ["a", "b", "c"], ["d", "e"]]
    run(hosts, waves, seconds=0.02)
    for earlier, later in pairwise(waves):
        first = min(hosts.log.index(f"start {name}") for name in later)
        assert all(hosts.log.index(f"end {name}") < first for name in earlier)


@pytest.mark.parametrize(
    ("failing", "max_failures", "failed_before", "started"),
    [
        ((), 0, 0, ["a", "b", "c", "d", "e"]),
        (("a",), 0, 0, ["a"]),
        (("a",), 1, 0, ["a", "b", "c", "d", "e"]),
        (("a", "b"), 1, 0, ["a", "b"]),
        (("a",), 1, 1, ["a"]),
        ((), 0, 1, []),
        (("e",), 0, 0, ["a", "b", "c", "d", "e"]),
        (("c",), 0, 0, ["a", "b", "c"]),
    ],
)
def test_none_starts_after_too_many_failed(
    failing: tuple[str, ...], max_failures: int, failed_before: int, started: list[str]
) -> None:
    hosts = Hosts(**dict.fromkeys(failing, Outcome.RESTORED))
    waves = [["a"], ["b", "c", "d"], ["e"]]
    result = run(hosts, waves, parallel=1, max_failures=max_failures, failed_before=failed_before)
    assert hosts.started == started
    assert list(result.done) == started
    # Also where it was the last one that failed: those before it may have to be put back.
    assert result.is_stopped == (failed_before + len(failing) > max_failures)


@pytest.mark.parametrize("outcome", [Outcome.RESTORED, Outcome.STRANDED, Outcome.FAILED, Outcome.LOCKED])
def test_everything_but_done_counts_as_failed(outcome: Outcome) -> None:
    hosts = Hosts(a=outcome)
    assert list(run(hosts, [["a"], ["b"]]).done) == ["a"]


def test_a_fleet_whose_only_wave_fails_in_part_counts_as_stopped() -> None:
    hosts = Hosts(b=Outcome.RESTORED)
    result = run(hosts, [["a", "b", "c"]])
    assert (sorted(result.done), result.is_stopped) == (["a", "b", "c"], True)


def test_those_under_way_end_in_peace_when_one_beside_them_fails() -> None:
    hosts = Hosts(a=Outcome.STRANDED)
    hosts.holds["b"] = threading.Event()

    def ended(name: str, performed: Performed) -> None:
        if name == "a":
            hosts.holds["b"].set()

    result = run(hosts, [["a", "b", "c"]], parallel=2, ended=ended)
    assert {name: performed.outcome for name, performed in result.done.items()} == {
        "a": Outcome.STRANDED,
        "b": Outcome.DONE,
    }
    assert hosts.started == ["a", "b"]
    assert result.is_stopped


def test_a_host_that_hangs_keeps_nobody_in_its_wave_waiting() -> None:
    hosts = Hosts()
    hosts.holds["hangs"] = threading.Event()
    said: list[str] = []

    def ended(name: str, performed: Performed) -> None:
        said.append(name)
        if len(said) == 5:
            assert said == ["a", "b", "c", "d", "e"]
            hosts.holds["hangs"].set()

    result = run(hosts, [["hangs", "a", "b", "c", "d", "e"]], parallel=2, ended=ended)
    assert said == ["a", "b", "c", "d", "e", "hangs"]
    assert list(result.done) == said


def test_results_are_told_in_the_calling_thread_as_they_come() -> None:
    hosts = Hosts()
    threads = set()
    run(hosts, [["a", "b"], ["c"]], ended=lambda name, performed: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_after_a_wish_to_stop_no_further_host_starts() -> None:
    hosts = Hosts()
    interruption = Interruption()
    result = run(
        hosts,
        [["a"], ["b"]],
        interruption=interruption,
        ended=lambda name, performed: interruption.request(),
    )
    assert (hosts.started, result.is_stopped, result.is_left) == (["a"], True, False)


def test_a_wish_to_stop_before_anything_starts_nothing() -> None:
    hosts = Hosts()
    interruption = Interruption()
    interruption.request()
    result = run(hosts, [["a", "b"]], interruption=interruption)
    assert (hosts.started, result.done, result.is_stopped) == ([], {}, True)


@contextmanager
def second_ctrl_c(when: threading.Event) -> Iterator[None]:
    """Send the main thread a real signal, once ``when`` is set: it has to wake what waits there."""
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        if when.wait(20):
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_leaving_at_once_keeps_what_is_known_and_does_not_wait() -> None:
    hosts = Hosts()
    hosts.holds["hangs"] = threading.Event()
    is_time = threading.Event()
    began = time.monotonic()
    with second_ctrl_c(is_time):
        result = run(
            hosts,
            [["a", "hangs"], ["later"]],
            ended=lambda name, performed: is_time.set(),
        )
    assert time.monotonic() - began < 10
    assert list(result.done) == ["a"]
    assert (result.is_left, result.is_stopped) == (True, True)
    assert sorted(hosts.started) == ["a", "hangs"]
    hosts.holds["hangs"].set()


def test_a_host_that_had_ended_when_the_operator_left_is_not_told_as_left() -> None:
    """The second Ctrl-C comes while the first host's report is written; another one has ended meanwhile."""
    hosts = Hosts()
    hosts.holds["hangs"] = threading.Event()
    told: list[str] = []

    def ended(name: str, performed: Performed) -> None:
        told.append(name)
        if len(told) == 1:
            deadline = time.monotonic() + 10
            while not {"end a", "end b"} <= set(hosts.log):
                assert time.monotonic() < deadline
            time.sleep(0.05)
            raise KeyboardInterrupt

    result = run(hosts, [["a", "b", "hangs"]], parallel=3, ended=ended)
    assert sorted(result.done) == ["a", "b"]
    # The one whose report was cut is told again.
    assert sorted(told) in (["a", "a", "b"], ["a", "b", "b"])
    assert (result.is_left, result.is_stopped) == (True, True)
    hosts.holds["hangs"].set()


def test_hosts_that_go_together_are_told_one_by_one_and_each_counts() -> None:
    said: list[str] = []
    performed = {"a": Performed(outcome=Outcome.RESTORED), "b": Performed(outcome=Outcome.RESTORED)}
    result = run_fleet(
        [["a"], ["c"]],
        {"a": lambda: performed, "c": lambda: {"c": Performed()}},
        parallel=8,
        max_failures=1,
        failed_before=0,
        interruption=Interruption(),
        ended=lambda name, _: said.append(name),
    )
    assert said == ["a", "b"]
    assert (result.done, result.is_stopped) == (performed, True)


def test_hosts_that_wait_for_each_other_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3)

    def one() -> Performed:
        meeting.wait(20)
        return Performed()

    assert together({"c": one, "a": one, "b": one}) == {"c": Performed(), "a": Performed(), "b": Performed()}


def test_a_fleet_of_nobody_is_done() -> None:
    assert run(Hosts(), []) == FleetResult()


def test_a_host_with_problems_afterwards_counts_when_it_comes_to_the_next_ones() -> None:
    hosts = Hosts()

    def ended(name: str, performed: Performed) -> None:
        performed.has_problems = name == "canary"

    result = run(hosts, [("canary",), ("b", "c")], ended=ended)
    assert (hosts.started, result.is_stopped) == (["canary"], True)
    assert run(Hosts(), [("canary",), ("b", "c")], ended=ended, max_failures=1).is_stopped is False
