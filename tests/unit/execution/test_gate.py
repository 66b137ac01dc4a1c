"""The health gate, by a clock that only waiting moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.errors import StepFailed
from rollback_tasks.execution.gate import Passed, describe, pass_gate
from rollback_tasks.execution.interruption import Interrupted, Interruption
from rollback_tasks.model.plan import Gate
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command, Effect
from tests.fakes import FakeClock, ScriptedAnswers

GOOD, BAD, NONE = HttpAnswer(200), HttpAnswer(503, b"starting"), HttpAnswer(0, problem="connection refused")
WATCH = Command(argv=("watch",), effect=Effect.READ, ok_codes=frozenset({0, 1}))
GATE = Gate(url="http://localhost/health", timeout=10, interval=1, soak=3, watch=WATCH)


def passes(*answers: HttpAnswer, gate: Gate = GATE, seconds: float = 0.0) -> tuple[float, float]:
    """Return when the first good answer of the lasting series came, and when the gate opened, in seconds."""
    clock = FakeClock()
    began = clock.monotonic()
    host = ScriptedAnswers(clock, *answers, seconds=seconds)
    passed = pass_gate(gate, host, clock)  # type: ignore[arg-type]
    return round(passed.first_good - began, 3), round(clock.monotonic() - began, 3)


@pytest.mark.parametrize(
    ("answers", "first_good", "opened"),
    [
        pytest.param([GOOD], 0, 3, id="good at once: through the soak"),
        pytest.param([BAD, NONE, GOOD], 2, 5, id="good after a while"),
        pytest.param([GOOD, GOOD, BAD, GOOD], 3, 6, id="a bad answer starts the soak anew"),
        pytest.param([GOOD, GOOD, GOOD, NONE, GOOD], 4, 7, id="also at its very end"),
        pytest.param([*[BAD] * 9, GOOD], 9, 12, id="good before the deadline: the soak may outlast it"),
        pytest.param([HttpAnswer(302), HttpAnswer(404), HttpAnswer(204)], 2, 5, id="only 2xx is good"),
    ],
)
def test_it_opens_when_the_application_is_healthy_and_stays_so(
    answers: list[HttpAnswer], first_good: float, opened: float
) -> None:
    assert passes(*answers) == (first_good, opened)


def test_who_answers_before_he_is_ready_never_passes_a_strict_gate() -> None:
    strict = replace(GATE, is_strict=True)
    assert passes(NONE, NONE, GOOD, gate=strict) == (2, 5)
    early = "it answers before it is ready, which clients would get to see: HTTP 503 starting"
    for answers in ([NONE, BAD, GOOD], [GOOD, BAD, GOOD]):
        with pytest.raises(StepFailed, match=early):
            passes(*answers, gate=strict)


def test_without_a_soak_the_first_good_answer_opens_it() -> None:
    assert passes(BAD, GOOD, gate=replace(GATE, soak=0)) == (1, 1)


def test_the_pause_is_shorter_by_what_the_answer_took() -> None:
    assert passes(BAD, GOOD, gate=replace(GATE, soak=0), seconds=0.25) == (1.25, 1.25)
    assert passes(BAD, GOOD, gate=replace(GATE, soak=0), seconds=4) == (8, 8)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([BAD], "http://localhost/health was not healthy within 10 s: HTTP 503 starting"),
        ([NONE], "http://localhost/health was not healthy within 10 s: connection refused"),
        ([*[GOOD, GOOD, BAD] * 3, GOOD, BAD], "http://localhost/health was not healthy within 10 s: HTTP 503 starting"),
    ],
)
def test_at_the_deadline_it_gives_up_and_says_what_it_saw(answers: list[HttpAnswer], problem: str) -> None:
    clock = FakeClock()
    began = clock.monotonic()
    with pytest.raises(StepFailed) as caught:
        pass_gate(GATE, ScriptedAnswers(clock, *answers), clock)  # type: ignore[arg-type]
    assert (caught.value.brief, caught.value.host) == (problem, "prod1")
    assert round(clock.monotonic() - began, 3) == 10


def test_it_ends_as_soon_as_waiting_is_pointless() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    host = ScriptedAnswers(clock, BAD)
    host.watched = [Completed(0), Completed(0), Completed(1, stderr=b"app keeps dying (3 restarts): boom\n")]
    with pytest.raises(StepFailed) as caught:
        pass_gate(GATE, host, clock)  # type: ignore[arg-type]
    assert caught.value.brief == "app keeps dying (3 restarts): boom"
    assert round(clock.monotonic() - began, 3) == 3


def test_containers_that_die_after_the_last_good_answer_close_it() -> None:
    clock = FakeClock()
    host = ScriptedAnswers(clock, GOOD)
    host.watched = [Completed(1)]
    with pytest.raises(StepFailed, match="the containers do not live"):
        pass_gate(GATE, host, clock)  # type: ignore[arg-type]
    assert host.watches == 1


def test_a_gate_without_a_watch_asks_only_the_url() -> None:
    clock = FakeClock()
    host = ScriptedAnswers(clock, BAD, GOOD)
    began = clock.monotonic()
    assert pass_gate(replace(GATE, watch=None), host, clock) == Passed(began + 1)  # type: ignore[arg-type]
    assert host.watches == 0


def test_a_wish_to_stop_ends_it() -> None:
    clock, interruption = FakeClock(), Interruption()
    interruption.request()
    with pytest.raises(Interrupted):
        pass_gate(GATE, ScriptedAnswers(clock, BAD), clock, interruption.check)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HttpAnswer(0), "no answer"),
        (HttpAnswer(0, problem="refused"), "refused"),
        (HttpAnswer(200), "HTTP 200"),
        (HttpAnswer(500, b" \xff broken \n" + b"x" * 500), "HTTP 500 \N{REPLACEMENT CHARACTER} broken \n" + "x" * 109),
    ],
)
def test_an_answer_in_a_few_words(answer: HttpAnswer, words: str) -> None:
    assert describe(answer) == words
