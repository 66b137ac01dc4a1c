"""What makes a rollback impossible, and what the operator should know before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollback_tasks.model.facts import GitFacts, HostFacts, Session
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from rollback_tasks.planning import guards
from tests.builders import a_backup, a_database, a_project, a_verdict, code_only, commit, some_facts, some_services

PROJECT = a_project()
RESTORE = "the way to that schema is a restore: `inv rollback.restore --host prod1 --backup good` "


def facts_with(**database: Any) -> HostFacts:
    return replace(some_facts(3), database=a_database(**database))


def refused(kind: VerdictKind) -> Verdict:
    return a_verdict(kind=kind, explanation="why")


LOSS = (Loss("tasks", "", 3, "s3"), Loss("users", "nickname", 5, "s3"))


@pytest.mark.parametrize(
    ("facts", "verdict", "lost", "found"),
    [
        pytest.param(some_facts(3), a_verdict(), (), [], id="nothing"),
        pytest.param(some_facts(3), None, (), [], id="no verdict is the planner's to refuse"),
        pytest.param(
            replace(some_facts(3), database=None, database_problem="no container"),
            a_verdict(kind=VerdictKind.IMPOSSIBLE),
            LOSS,
            [
                Blocker(
                    "the database cannot be reached: no container",
                    "start it (`docker start` its container on prod1), then plan again; "
                    "`inv rollback.docker --host prod1` needs no database.",
                )
            ],
            id="no database: nothing else can be said",
        ),
        pytest.param(
            replace(some_facts(3), git=GitFacts(commit=commit(3), branch="main", unmerged=("a", "b"))),
            code_only(),
            (),
            [
                Blocker(
                    "the checkout holds an unfinished merge: a, b",
                    "finish it or take it back (`git merge --abort` in /srv/comicpile on prod1), then plan again.",
                )
            ],
            id="an unfinished merge",
        ),
        pytest.param(
            some_facts(3),
            a_verdict(),
            LOSS,
            [
                Blocker(
                    "the downgrade loses tasks (3 rows), users.nickname (5 values)",
                    "to accept exactly that, add --accept-data-loss tasks,users.nickname",
                )
            ],
            id="a loss that was not accepted",
        ),
        pytest.param(
            facts_with(prepared=("x", "y")),
            a_verdict(),
            (),
            [
                Blocker(
                    "prepared transactions hold the database: x, y",
                    "commit or roll them back (COMMIT PREPARED, ROLLBACK PREPARED), then plan again.",
                )
            ],
            id="prepared transactions",
        ),
        pytest.param(facts_with(prepared=("x",)), code_only(), (), [], id="which a code-only rollback does not mind"),
        pytest.param(
            replace(some_facts(3), backup_free_bytes=3_499_999),
            code_only(),
            (),
            [
                Blocker(
                    "no room for the backup: 3.5 MB free in /srv/comicpile/.rollback/backups, about 3.5 MB needed",
                    "free some, or set backups.remote_dir of prod1 to a larger disk.",
                )
            ],
            id="no room for the dump",
        ),
        pytest.param(
            replace(some_facts(3), backup_free_bytes=3_500_000), code_only(), (), [], id="exactly room for the dump"
        ),
        pytest.param(
            replace(some_facts(3), backup_free_bytes=1_499_999, backups=(a_backup(),)),
            code_only(),
            (),
            [
                Blocker(
                    "no room for the backup: 1.5 MB free in /srv/comicpile/.rollback/backups, about 1.5 MB needed",
                    "free some, or set backups.remote_dir of prod1 to a larger disk.",
                )
            ],
            id="the last dump tells how large one is",
        ),
        pytest.param(
            facts_with(free_bytes=25_999_999),
            a_verdict(),
            (),
            [
                Blocker(
                    "no room for the scratch copies of the database: 26.0 MB free where it lies, about 26.0 MB needed",
                    "free some on the disk of the database's volume, then plan again.",
                )
            ],
            id="no room for two copies",
        ),
        pytest.param(facts_with(free_bytes=13_000_000), code_only(), (), [], id="room for one copy"),
    ],
)
def test_a_host_is_blocked_by(
    facts: HostFacts, verdict: Verdict | None, lost: tuple[Loss, ...], found: list[Blocker]
) -> None:
    assert list(guards.blockers(facts, PROJECT, verdict, lost)) == found


@pytest.mark.parametrize("kind", [VerdictKind.BEHIND, VerdictKind.DIVERGED, VerdictKind.IMPOSSIBLE])
def test_where_no_downgrade_leads_there_the_next_best_action_is_named(kind: VerdictKind) -> None:
    verdict = refused(kind)
    (blocker,) = guards.blockers(some_facts(3), PROJECT, verdict, LOSS)
    assert blocker == Blocker(
        f"{kind.value}: why",
        "the way to that schema is a restore (`inv rollback.restore --host prod1 --backup NAME`), "
        "but this host has no proven backup.",
    )
    proven = a_backup("good"), a_backup("older", taken_at="2026-11-01T00:00:00Z")
    facts = replace(some_facts(3), backups=(a_backup("hope", "readable"), *proven))
    (blocker,) = guards.blockers(facts, PROJECT, verdict, ())
    assert (
        blocker.hint
        == RESTORE + "(the newest proven backup, of 2026-11-20T00:00:00Z; rows written since would be lost)."
    )


NOW = (some_services(), some_services())


@pytest.mark.parametrize(
    ("facts", "verdict", "services", "found"),
    [
        pytest.param(some_facts(3), a_verdict(), NOW, [], id="nothing"),
        pytest.param(
            replace(some_facts(3), git=GitFacts(commit=commit(3), branch="main", dirty=tuple("abcdef"))),
            None,
            NOW,
            ["uncommitted changes in the work tree are saved first: a, b, c, d, e ..."],
            id="changes",
        ),
        pytest.param(
            some_facts(3),
            a_verdict(),
            (some_services(db="postgres:15"), some_services(db="postgres:14")),
            ["the database's image differs (postgres:15, then postgres:14); the database service is left alone"],
            id="another database image",
        ),
        pytest.param(some_facts(3), a_verdict(), ({}, {}), [], id="no compose file to compare"),
        pytest.param(
            facts_with(
                sessions=(
                    Session(pid=1, user="u", application="", address="172.18.0.3", state="active"),
                    Session(pid=2, user="u", application="rollback-x", address="", state="active"),
                    Session(pid=3, user="ann", application="psql", address="", state="idle"),
                    Session(pid=4, user="bi", application="", address="10.0.0.9", state="idle"),
                )
            ),
            a_verdict(),
            NOW,
            [
                "session 3 of ann (psql, local) is none of the application's; it is ended for the copy",
                "session 4 of bi (unnamed, 10.0.0.9) is none of the application's; it is ended for the copy",
            ],
            id="strangers' sessions",
        ),
        pytest.param(
            facts_with(sessions=(Session(pid=3, user="ann", application="psql", address="", state="idle"),)),
            code_only(),
            NOW,
            [],
            id="which are left alone where nothing is copied",
        ),
        pytest.param(
            some_facts(3),
            a_verdict(kind=VerdictKind.DOWNGRADE_LOSSY, warnings=("raw SQL in s3",)),
            NOW,
            ["raw SQL in s3", "what the downgrade drops stays in the backup and in the copy of the database"],
            id="the verdict's own",
        ),
        pytest.param(replace(some_facts(3), clock_skew=30.0), None, NOW, [], id="a clock that is nearly right"),
        pytest.param(
            replace(some_facts(3), clock_skew=61.4), None, NOW, ["the host's clock is 61 s ahead"], id="ahead"
        ),
        pytest.param(
            replace(some_facts(3), clock_skew=-90.0), None, NOW, ["the host's clock is 90 s behind"], id="behind"
        ),
        pytest.param(
            replace(some_facts(3), is_healthy=False, health_detail="HTTP 500 boom"),
            None,
            NOW,
            ["the application is not healthy now: HTTP 500 boom"],
            id="not healthy",
        ),
    ],
)
def test_the_operator_is_told(
    facts: HostFacts, verdict: Verdict | None, services: tuple[Any, Any], found: list[str]
) -> None:
    assert list(guards.warnings(facts, PROJECT, verdict, services)) == found
