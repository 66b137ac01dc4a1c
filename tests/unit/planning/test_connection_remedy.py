"""The least that ends connection trouble."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollback_tasks.drivers.logs import Line
from rollback_tasks.drivers.sessions import Connections, Root, Slots
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Keep
from rollback_tasks.planning import connection_remedy
from rollback_tasks.planning.connection_remedy import Case, Remedy
from rollback_tasks.planning.planner import with_steps
from rollback_tasks.steps.end_sessions import EndSessions
from tests.builders import RUN, a_container, a_project, some_facts, some_settings
from tests.folds import assert_undone_from_any_beginning
from tests.unit.planning.test_diagnosis import full

PROJECT = a_project()
APP = "172.18.0.3"
SICK = replace(some_facts(3), is_healthy=False, health_detail="HTTP 500")
DOWN = replace(SICK, containers=(a_container("app", 3, "exited"), a_container("db", 9)))
ROOM = Slots(limit=100, reserved=3, used=10, active=1, idle=9, idle_in_transaction=0, waiting=0)
TIGHT = replace(ROOM, used=95)
ANN = Root(
    pid=7,
    started=1,
    waiting=2,
    kind="client backend",
    user="comicpile",
    application="Ann",
    address="10.0.0.9",
    database="comicpile",
    state="idle in transaction",
    seconds=60,
    query="UPDATE users SET name = 'x'",
)
VACUUM = replace(ANN, pid=8, kind="autovacuum worker", user="", application="", address="")
POOL = Line("comicpile-app-1", "2026-11-22T03:00:00Z", "QueuePool limit of size 5 overflow 10 reached")
OTHER = Line("comicpile-app-1", "2026-11-22T03:00:00Z", "Connection refused")


WHO = "pid 7 (comicpile, Ann, 10.0.0.9), idle in transaction since 60 s"
COUNTS = "1 active, 9 idle, 0 idle in transaction, 0 waiting for a lock"


def row(sessions: int, address: str = APP, user: str = "comicpile") -> dict[str, Any]:
    return {"sessions": sessions, "user": user, "application": "", "address": address}


def case(
    facts: HostFacts = SICK,
    *,
    slots: Slots | None = ROOM,
    roots: tuple[Root, ...] = (),
    held: int = 0,
    strange: int = 0,
    lines: tuple[Line, ...] = (),
) -> Case:
    rows = (row(held), row(strange, "10.0.0.5", "report"))
    now = None if slots is None else Connections(slots=slots, roots=roots, users=rows)
    holders = rows if slots is None else ()
    return Case(facts=facts, project=PROJECT, now=now, holders=holders, lines=lines)


WELL = some_facts(3)


@pytest.mark.parametrize(
    ("case", "remedy", "says"),
    [
        (case(roots=(ANN,)), Remedy.END, "1 session that the others wait for; nothing is started anew"),
        (case(slots=TIGHT, roots=(ANN, VACUUM), held=95), Remedy.END, "1 session"),
        (case(roots=(VACUUM,)), Remedy.NOTHING, "is no client's session, and is left alone"),
        (case(slots=None, held=97), Remedy.RESTART, "the application holds 97 of 97 sessions"),
        (case(WELL, slots=None, held=97), Remedy.RESTART, "the application holds 97 of 97 sessions"),
        (case(slots=TIGHT, held=80, strange=15), Remedy.RESTART, "the application holds 80 of 95 sessions"),
        (case(slots=None, held=10, strange=87), Remedy.NOTHING, "(report, 10.0.0.5)"),
        (case(DOWN, slots=None, held=97), Remedy.NOTHING, "they have to let go"),
        (case(WELL, slots=TIGHT, held=95), Remedy.NOTHING, "raise max_connections, or use less"),
        (case(lines=(POOL,)), Remedy.RESTART, "the application's own pool gives no connection"),
        (case(WELL, lines=(POOL,)), Remedy.NOTHING, "nothing is wrong with the connections"),
        (case(lines=(OTHER,)), Remedy.NOTHING, "its connections are not why"),
        (case(DOWN), Remedy.NOTHING, "`inv scenario.failed-deployment --host prod1`"),
        (case(WELL), Remedy.NOTHING, "nothing is wrong with the connections"),
    ],
)
def test_the_least_that_helps_is_chosen(case: Case, remedy: Remedy, says: str) -> None:
    chosen, why = connection_remedy.choose(case)
    assert (chosen, says in why) == (remedy, True), why


def test_what_is_found_names_who_is_in_the_way_and_his_last_statement() -> None:
    told = list(connection_remedy.found(case(slots=TIGHT, roots=(ANN,), held=80, strange=15, lines=(OTHER, POOL))))
    assert told == [
        "95 of 100 slots used, 2 free for the application; " + COUNTS,
        "the application holds 80 of 95 sessions",
        "15 held by report, 10.0.0.5",
        f"2 sessions wait for {WHO}; its last statement: UPDATE users SET name = 'x'",
        "1 line of comicpile-app-1 tell of it, at last: QueuePool limit of size 5 overflow 10 reached",
    ]


def kinds(case: Case, remedy: Remedy) -> list[str]:
    made = connection_remedy.steps(case, remedy, some_settings(), RUN, is_pulled=False)
    assert_undone_from_any_beginning(with_steps(full(None), PROJECT, case.facts, made))
    return [step.kind for step in made]


def test_ending_sessions_stops_nothing_and_a_restart_never_touches_the_database() -> None:
    assert kinds(case(roots=(ANN, VACUUM)), Remedy.END) == ["save_evidence", "end_sessions"]
    restart = ["save_evidence", "stop_services", "resume_services", "await_healthy", "verify_release"]
    assert kinds(case(slots=TIGHT, held=95), Remedy.RESTART) == restart
    away = replace(SICK, database=None, database_problem="too many clients")
    assert kinds(case(away, slots=None, held=97), Remedy.RESTART) == restart
    assert kinds(case(), Remedy.NOTHING) == []
    assert connection_remedy.costs(case(roots=(ANN, VACUUM))) == (f"what {WHO} did not commit",)


def test_exactly_the_sessions_that_were_seen_are_ended_and_named() -> None:
    (_, end) = connection_remedy.steps(case(roots=(ANN, VACUUM)), Remedy.END, some_settings(), RUN, is_pulled=False)
    assert end == EndSessions(project_=PROJECT, sessions=((7, 1),), who=(WHO,))
    assert end.describe() == f"end what the others wait for, if they still do: {WHO}"
    assert end.compensation() == Keep("a session that was ended does not come back, nor what it did not commit")
    assert not end.takes_service_away
