"""Which backup is meant, whether it can become the live database, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts
from rollback_tasks.drivers.swap import Obstacles
from rollback_tasks.errors import UsageError
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.planning import restoring
from rollback_tasks.planning.restoring import RestoreFacts
from tests.builders import RUN, a_backup, a_container, a_database, a_project, a_release, some_facts

PROJECT = a_project()


def graph(*revisions: str) -> ScriptGraph:
    """A straight line of revisions, oldest first."""
    below = (None, *revisions)
    return parse_scripts(
        {
            f"{name}.py": f"revision = {name!r}\ndown_revision = {below[number]!r}\n"
            "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
            for number, name in enumerate(revisions)
        }
    )


def facts(*backups: object, **changes: object) -> HostFacts:
    return replace(some_facts(3), backups=backups, **changes)  # type: ignore[arg-type]


NEW, OLD = a_backup("new", "readable"), a_backup("old", "restored")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("new", NEW),
        ("old.dump", OLD),
        ("/home/ann/backups/prod1/old.dump", OLD),
        ("old.manifest.json", OLD),
        ("latest", OLD),
        ("another", None),
    ],
)
def test_a_backup_is_named(name: str, found: object) -> None:
    assert restoring.choose(facts(NEW, OLD), name) == found


def test_a_backup_that_only_this_machine_has_is_said_so_with_what_sends_it() -> None:
    said = restoring.missing(facts(NEW), "kept", is_here=True)
    assert said.brief == "backup kept is only on this machine, not on prod1"
    assert "inv backup.push --host prod1 --backup kept" in said.hint


def test_a_backup_that_nobody_has_is_a_slip_of_the_finger() -> None:
    with pytest.raises(UsageError) as caught:
        restoring.missing(facts(NEW), "nwe", is_here=False)
    assert "did you mean 'new'?" in str(caught.value.hint)
    assert restoring.missing(facts(NEW), "latest", is_here=False).brief == "prod1 has no proven backup"


@pytest.mark.parametrize(
    ("changes", "found", "brief"),
    [
        ({"database": "other"}, RestoreFacts(), "backup b is of database other, not of comicpile"),
        ({}, RestoreFacts(damage="the bytes differ"), "backup b is damaged: the bytes differ"),
        ({"level": "written"}, RestoreFacts(), "backup b was never read back, it is only written"),
        ({"level": "hashed"}, RestoreFacts(), "backup b was never read back, it is only hashed"),
        (
            {"server_version": 160001},
            RestoreFacts(),
            "backup b was made by PostgreSQL 16, the server is 15: an older server cannot restore it",
        ),
    ],
)
def test_a_backup_is_refused(changes: dict[str, object], found: RestoreFacts, brief: str) -> None:
    level = str(changes.pop("level", "restored"))
    backup = a_backup("b", level, **{"server_version": 150004, **changes})
    (blocker,) = restoring.usable(facts(backup), PROJECT, backup, found)
    assert blocker.brief == brief
    assert blocker.hint


@pytest.mark.parametrize("level", ["readable", "restored"])
@pytest.mark.parametrize("version", [130002, 150004, 150099])
def test_a_backup_of_this_or_an_older_server_is_good(level: str, version: int) -> None:
    backup = a_backup("b", level, server_version=version)
    assert not list(restoring.usable(facts(backup), PROJECT, backup, RestoreFacts()))


def test_a_backup_of_another_deployment_is_restored_only_where_that_is_meant() -> None:
    theirs = a_backup("theirs", server_version=150004, host="prod2")
    host = facts(OLD, others=((theirs, "project comicpile on host prod2"),))
    assert restoring.choose(host, "theirs") == theirs
    assert restoring.choose(host, "latest") == OLD
    (blocker,) = restoring.usable(host, PROJECT, theirs, RestoreFacts())
    assert blocker.brief == "backup theirs is of project comicpile on host prod2"
    assert "add --foreign" in blocker.hint
    assert not list(restoring.usable(host, PROJECT, theirs, RestoreFacts(), is_foreign_meant=True))
    assert "backup theirs is of project comicpile on host prod2: that becomes the live database comicpile" in list(
        restoring.warnings(host, PROJECT, theirs)
    )


@pytest.mark.parametrize(
    ("database", "obstacles", "word"),
    [
        ({"prepared": ("held",)}, Obstacles(), "prepared transactions hold the database: held"),
        ({"subscriptions": ("s",)}, Obstacles(), "subscriptions write to the database: s"),
        ({}, Obstacles(slots=("slot",)), "replication slots stay with the old database"),
        ({}, Obstacles(protected=("7 of root (psql)",)), "sessions of a superuser, which comicpile may not end"),
        ({}, Obstacles(may_create=False), "role comicpile may not make databases"),
        ({"free_bytes": 5}, Obstacles(), "no room for the scratch copies of the database"),
    ],
)
def test_what_blocks_a_rename_is_said_before_anything_begins(
    database: dict[str, object], obstacles: Obstacles, word: str
) -> None:
    host = facts(database=a_database(**database))  # type: ignore[arg-type]
    (blocker,) = restoring.possible(host, PROJECT, 1, RestoreFacts(obstacles=obstacles))
    assert blocker.brief.startswith(word)
    assert blocker.hint


def test_a_backup_much_larger_than_what_is_live_needs_its_own_room() -> None:
    host = facts(database=a_database(free_bytes=1_000_000_000))
    assert not list(restoring.possible(host, PROJECT, 1, RestoreFacts()))
    assert list(restoring.possible(host, PROJECT, 400_000_000, RestoreFacts()))


LINE = graph("s1", "s2", "s3")


@pytest.mark.parametrize(
    ("schema", "deployed"),
    [
        pytest.param(("s3",), LINE, id="what the code needs"),
        pytest.param(("s3",), None, id="what is live, whatever the code says"),
        pytest.param(("s4",), graph("s1", "s2", "s3", "s4"), id="the live one was left behind, the backup was not"),
    ],
)
def test_a_schema_fits_the_code_that_runs(schema: tuple[str, ...], deployed: ScriptGraph | None) -> None:
    assert not list(restoring.fit(facts(), schema, deployed, flag="with-release"))


@pytest.mark.parametrize(
    ("schema", "brief", "hint"),
    [
        (("s2",), "the backup is at revision s2, the code that runs needs revision s3", "add --with-release r2"),
        (
            ("s9",),
            "the backup is at revision s9, which the code that runs does not have",
            "--with-release RELEASE",
        ),
        ((), "the backup is at no revision, the code that runs needs revision s3", "--with-release RELEASE"),
    ],
)
def test_a_schema_that_does_not_fit_names_the_release_that_does(schema: tuple[str, ...], brief: str, hint: str) -> None:
    (blocker,) = restoring.fit(facts(), schema, LINE, flag="with-release")
    assert blocker.brief.startswith(brief)
    assert hint in blocker.hint


def test_the_newest_good_release_fits_before_an_unjudged_one_and_a_bad_one_never() -> None:
    releases = (
        a_release(1, schema=("s",)),
        a_release(2, schema=("s",)),
        a_release(3, "unmarked", schema=("s",)),
        a_release(4, "bad", schema=("s",)),
    )
    found = restoring.fitting(facts(ledger=releases), ("s",))
    assert found is not None
    assert found.id == "r2"
    assert restoring.fitting(facts(ledger=releases[3:]), ("s",)) is None


def test_what_is_newer_than_the_backup_is_named_and_kept() -> None:
    live = {"users": 12, "events": 5, "notes": 3, "tasks": 1, "alembic_version": 2}
    then = {"users": 10, "events": 9, "tasks": 0, "alembic_version": 1, "gone": 4}
    assert restoring.lost(then, live) == {"notes": 3, "tasks": 1, "users": 2}
    assert restoring.costs(PROJECT, RUN, since="T", backup=then, live=live) == (
        "table notes with 3 rows",
        "1 row of tasks",
        "2 rows of users",
        f"whatever was changed since T (it stays in database comicpile__before_{RUN})",
    )
    (blocker,) = restoring.unaccepted(restoring.lost(then, live), frozenset({"users"}))
    assert blocker.hint == "add --accept-data-loss notes,tasks"
    assert not list(restoring.unaccepted(restoring.lost(then, live), frozenset({"users", "notes", "tasks"})))


def test_a_stopped_or_ill_application_is_told() -> None:
    stopped = facts(containers=(a_container("app", 3, "exited"),))
    assert "app does not run now, and is not started" in list(restoring.warnings(stopped, PROJECT, OLD))
    ill = facts(is_healthy=False, health_detail="503")
    assert any("not healthy now (503)" in text for text in restoring.warnings(ill, PROJECT, OLD))
    assert not list(restoring.warnings(facts(), PROJECT, OLD))
    assert any("never restored" in text for text in restoring.warnings(facts(), PROJECT, NEW))


def test_broken_data_that_may_not_be_provable_is_told_with_the_flag_that_helps() -> None:
    found = RestoreFacts(broken=("events.fk: 3 rows refer to nothing",))
    (told,) = restoring.broken(found, proves=True)
    assert told.startswith(
        "events.fk: 3 rows refer to nothing: where what is live cannot be proven for that, add --skip"
    )
    assert not list(restoring.broken(found, proves=False))
    assert not list(restoring.broken(RestoreFacts(), proves=True))


def test_of_thousands_of_tables_the_plan_names_a_hundred() -> None:
    live = {f"t{number:04d}": 1 for number in range(5000)}
    told = restoring.costs(PROJECT, RUN, since="noon", backup=dict.fromkeys(live, 0), live=live)
    assert (len(told), told[0], told[100]) == (102, "1 row of t0000", "and rows of 4900 tables more")
