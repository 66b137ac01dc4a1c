"""What a start by compose would do now."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers import compose_start
from tests.builders import a_container, a_project


def test_the_hashes_of_both_generations_are_read() -> None:
    assert compose_start.read_hashes("app 1ed0\ndb ad83\n\nnot a pair at all\n") == {"app": "1ed0", "db": "ad83"}
    argv = compose_start.hashes(a_project(files=("a.yml", "b.yml"))).argv
    assert argv == (*"docker compose -p comicpile -f a.yml -f b.yml config --hash".split(), "*")


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (r'level=warning msg="The \"APP_PORT\" variable is not set. Defaulting to a blank string."', ("APP_PORT",)),
        ("The APP_PORT variable is not set. Defaulting to a blank string.", ("APP_PORT",)),
        (
            "WARNING: The A variable is not set.\nThe A variable is not set.\nThe B variable is not set.",
            ("A", "B"),
        ),
        ("nothing of that kind", ()),
    ],
)
def test_variables_that_nobody_sets_are_read(said: str, names: tuple[str, ...]) -> None:
    assert compose_start.read_unset(said) == names


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("alembic upgrade head", True),
        (".venv/bin/alembic -c a.ini upgrade heads", True),
        ("sh -c alembic upgrade head && uvicorn app", True),
        ("#!/bin/sh\nflask db upgrade\nexec gunicorn", True),
        ("from alembic import command\ncommand.upgrade(config, 'head')", True),
        ("alembic downgrade base", False),
        ("alembic current\napt upgrade", False),
        ("uvicorn app.main:app", False),
    ],
)
def test_an_upgrade_at_start_is_seen(text: str, is_one: bool) -> None:
    assert compose_start.upgrades(text) is is_one


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        (("docker-entrypoint.sh", "serve"), ("/app/docker-entrypoint.sh",)),
        (("/usr/local/bin/entry", "x"), ("/usr/local/bin/entry",)),
        (("./start.sh",), ("/app/./start.sh",)),
        (("/bin/sh", "-c", "a b"), ()),
        (("python", "run.py", "--path=/x"), ("/app/run.py",)),
    ],
)
def test_the_scripts_of_a_command_are_found(command: tuple[str, ...], paths: tuple[str, ...]) -> None:
    assert compose_start.start_scripts(a_container(command=command)) == paths
