"""Where the database answers; its password is nowhere to be seen."""

from __future__ import annotations

import json

import pytest

from rollback_tasks.drivers import database_address
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.ports import DatabaseAddress
from rollback_tasks.shell import Secret
from tests.builders import a_project

PROJECT = a_project("/srv/app", database="app", database_user="owner")


def answer(networks: object, password: str = "", port: str = "5432") -> str:
    digits = " ".join(f"{byte:02x}" for byte in password.encode())
    return f"{json.dumps(networks)}\n{port}\n {digits[:47]}\n {digits[47:]}\n"


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ({"app_default": {"IPAddress": "10.1.0.3", "GlobalIPv6Address": ""}}, "10.1.0.3"),
        ({"a": {"IPAddress": ""}, "b": {"IPAddress": "10.2.0.3"}}, "10.2.0.3"),
        ({"a": {"IPAddress": "", "GlobalIPv6Address": "fd00::3"}}, "fd00::3"),
        ({"host": {"IPAddress": ""}}, "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("password", ["", 'it\'s "q"\n$HOME ß', "x" * 100])
def test_an_address_and_a_password_of_any_kind_are_read(networks: object, address: str, password: str) -> None:
    assert database_address.read(answer(networks, password), PROJECT) == DatabaseAddress(
        address=address, port=5432, user="owner", password=Secret(password) if password else None, name="app"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        answer({}, "hunter2"),
        answer({"none": {"IPAddress": ""}}, "hunter2"),
        answer({"a": {"IPAddress": "1"}}, port="x"),
    ],
)
def test_where_there_is_no_way_the_answer_is_not_shown(text: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        database_address.read(text, PROJECT)
    assert str(caught.value) == "the host has no way to the database's container"
    assert caught.value.__cause__ is None


def test_a_password_stands_in_no_text() -> None:
    found = database_address.read(answer({"a": {"IPAddress": "10.1.0.3"}}, "hunter2"), PROJECT)
    assert "hunter2" not in repr(found) + str(found)
