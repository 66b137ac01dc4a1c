"""A signal breaks the waiting, never the work."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from rollback_tasks.transport.shield import shielded


def test_the_result_comes_back() -> None:
    assert shielded(lambda: 42) == 42


def test_an_error_comes_back_as_it_was_raised() -> None:
    def fail() -> None:
        raise LookupError("why")

    with pytest.raises(LookupError, match="why"):
        shielded(fail)


def test_the_work_runs_in_place_outside_the_main_thread() -> None:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(shielded(threading.get_ident)))
    thread.start()
    number = thread.ident
    thread.join()
    assert seen == [number]


def test_ctrl_c_breaks_the_waiting_and_the_work_goes_on_to_its_end() -> None:
    go_on, steps = threading.Event(), []
    over = threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        go_on.wait(10)
        steps.append("packet sent whole")
        over.set()

    with pytest.raises(KeyboardInterrupt):
        shielded(work, on_interrupt=lambda: steps.append("interrupted"))
    go_on.set()
    assert over.wait(10)
    assert steps == ["interrupted", "packet sent whole"]
