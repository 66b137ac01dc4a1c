"""Ctrl-C: a wish that every thread sees at its next safe point, and that cuts at once what may be cut."""

from __future__ import annotations

import threading
import time

import pytest

from rollback_tasks.execution.interruption import Interrupted, Interruption


def test_nobody_is_stopped_before_somebody_asks() -> None:
    interruption = Interruption()
    interruption.check()
    states = [interruption.is_requested]
    interruption.request()
    states.append(interruption.is_requested)
    assert states == [False, True]
    with pytest.raises(Interrupted, match="interrupted by the operator"):
        interruption.check()


def test_a_request_cuts_what_is_under_way_once_and_nothing_that_has_ended() -> None:
    interruption = Interruption()
    cut: list[str] = []
    was_cut = threading.Event()

    def end(name: str) -> None:
        cut.append(name)
        was_cut.set()

    with interruption.may_cut(lambda: end("ended before")):
        pass
    with interruption.may_cut(lambda: end("under way")):
        interruption.request()
        assert was_cut.wait(5)
        interruption.request()
    assert cut == ["under way"]


def test_what_begins_after_the_request_does_not_begin() -> None:
    interruption = Interruption()
    interruption.request()
    began = []
    with pytest.raises(Interrupted), interruption.may_cut(lambda: began.append("cut")):
        began.append("body")
    assert began == []


def test_a_request_never_waits_for_a_cut_that_hangs_and_cuts_the_others() -> None:
    """The handler of a signal runs in the main thread: it must not wait for a host that does not answer."""
    interruption = Interruption()
    hangs, was_cut = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.wait(20)

    with interruption.may_cut(hang), interruption.may_cut(was_cut.set):
        began = time.monotonic()
        interruption.request()
        assert time.monotonic() - began < 2
        assert was_cut.wait(5)
    hangs.set()


def test_what_fails_inside_is_not_hidden_and_is_not_cut_later() -> None:
    interruption = Interruption()
    cut: list[str] = []
    with pytest.raises(ValueError, match="the step failed"), interruption.may_cut(lambda: cut.append("late")):
        raise ValueError("the step failed")
    before = set(threading.enumerate())
    interruption.request()
    assert set(threading.enumerate()) <= before
    assert cut == []


def test_a_request_at_any_moment_either_cuts_a_step_or_lets_it_not_begin() -> None:
    """Two threads race 300 times; the step waits for its cut as a remote command does, so a lost cut would hang."""
    for _ in range(300):
        interruption = Interruption()
        ready = threading.Barrier(2)
        ends: list[str] = []

        def step(
            interruption: Interruption = interruption, ready: threading.Barrier = ready, ends: list[str] = ends
        ) -> None:
            was_cut = threading.Event()
            ready.wait()
            try:
                with interruption.may_cut(was_cut.set):
                    ends.append("cut" if was_cut.wait(5) else "lost")
            except Interrupted:
                ends.append("not begun")

        thread = threading.Thread(target=step)
        thread.start()
        ready.wait()
        interruption.request()
        thread.join()
        assert ends in (["cut"], ["not begun"])


def test_two_that_ask_at_once_cut_once() -> None:
    for _ in range(100):
        interruption = Interruption()
        count: list[int] = []
        counted = threading.Event()

        def cut(count: list[int] = count, counted: threading.Event = counted) -> None:
            count.append(1)
            counted.set()

        with interruption.may_cut(cut):
            threads = [threading.Thread(target=interruption.request) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert counted.wait(5)
        assert count == [1]


def test_the_same_cut_may_be_laid_in_again_and_again() -> None:
    """A step that is tried again after a lost connection lays in the same bound method twice."""
    interruption = Interruption()
    done = threading.Semaphore(0)

    def cut() -> None:
        done.release()

    with interruption.may_cut(cut), interruption.may_cut(cut):
        pass
    with interruption.may_cut(cut):
        interruption.request()
        assert done.acquire(timeout=5)
    assert not done.acquire(blocking=False)
