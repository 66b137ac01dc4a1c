"""What the database's answers are read into, and what its commands are made of."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import postgres
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import DatabaseFacts, Session
from rollback_tasks.shell import Effect
from tests.builders import a_project

PROJECT = a_project()
SAID = {
    "version": 150018,
    "system": "7300000000000000000",
    "size": 123,
    "schema": ["a", "b"],
    "superuser": False,
    "prepared": ["x"],
    "databases": ["comicpile", "postgres"],
    "sessions": [{"pid": 7, "user": "u", "application": "a", "address": "10.0.0.1", "state": "idle"}],
}


def test_the_facts_of_a_database_are_read() -> None:
    assert postgres.read_facts(json.dumps(SAID), " 5\n", "db1") == DatabaseFacts(
        container="db1",
        version=150018,
        system_identifier="7300000000000000000",
        size_bytes=123,
        schema=("a", "b"),
        free_bytes=5 * 1024,
        sessions=(Session(pid=7, user="u", application="a", address="10.0.0.1", state="idle"),),
        prepared=("x",),
        is_superuser=False,
        databases=("comicpile", "postgres"),
    )


def test_room_that_nobody_could_tell_is_none() -> None:
    assert postgres.read_facts(json.dumps(SAID), "", "db1").free_bytes == 0
    on_a_disk = postgres.read_facts(json.dumps(SAID), "5\n64769\n", "db1")
    assert (on_a_disk.free_bytes, on_a_disk.disk) == (5 * 1024, "64769")


@pytest.mark.parametrize("name", SAID)
def test_an_answer_that_lacks_something_is_malformed(name: str) -> None:
    text = json.dumps({key: value for key, value in SAID.items() if key != name})
    with pytest.raises(MalformedAnswer):
        postgres.read_facts(text, "1", "db1")


@pytest.mark.parametrize("text", ["", "psql: error", "[]", "3", "null", '{"version": "x"}'])
def test_another_answer_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        postgres.read_facts(text, "1", "db1")


@given(st.text(), st.text())
def test_no_text_whatever_is_read_into_anything_but_facts_or_a_named_error(text: str, room: str) -> None:
    for read in (
        lambda: postgres.read_facts(text, room, "db"),
        lambda: postgres.read_counts(text),
        lambda: postgres.read_values(text, (("a", ""),)),
    ):
        try:
            read()
        except MalformedAnswer:
            continue


@pytest.mark.parametrize(("text", "counts"), [("{}", {}), ('{"users": 3, "other.t": 0}\n', {"users": 3, "other.t": 0})])
def test_counts_are_read(text: str, counts: dict[str, int]) -> None:
    assert postgres.read_counts(text) == counts


@pytest.mark.parametrize("text", ["", "[]", '{"users": "many"}', '{"users": null}', "3"])
def test_counts_of_another_form_are_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        postgres.read_counts(text)


def test_values_are_read_for_what_exists_and_are_none_for_the_rest() -> None:
    wanted = (("users", ""), ("billing.t", 'a "b"'), ("gone", "x"))
    text = '["\\"users\\"", "", 3]\n\n["\\"billing\\".\\"t\\"", "a \\"b\\"", 2]\n'
    assert postgres.read_values(text, wanted) == {("users", ""): 3, ("billing.t", 'a "b"'): 2, ("gone", "x"): 0}


@pytest.mark.parametrize("text", ["error", '["other", "", 1]', '["\\"users\\"", ""]', "[[], {}, 1]", "3"])
def test_values_of_another_form_are_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        postgres.read_values(text, (("users", ""),))


def test_values_are_never_part_of_the_script_that_runs() -> None:
    nasty = "x'; drop table users; --"
    plain = postgres.sql(PROJECT, "select :'v';", effect=Effect.READ, values=(("v", "1"),))
    command = postgres.sql(PROJECT, "select :'v';", effect=Effect.READ, values=(("v", nasty),), database=nasty)
    assert command.argv[2] == plain.argv[2]
    assert nasty not in command.argv[2]
    assert f"v={nasty}" in command.argv
