"""alembic in the deployed image: its words, its variables, and which database they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import scratch
from rollback_tasks.drivers.alembic_run import container_name, end, pointed_at, run, secret_parts
from rollback_tasks.shell import Effect, Secret
from tests.builders import RUN, a_deployed, a_project

LIVE, OTHER = "comicpile", "comicpile__scratch_1"


def pointed(name: str, value: str, live: str = LIVE, other: str = OTHER) -> str:
    ((_, secret),) = pointed_at(((name, Secret(value)),), live=live, other=other)
    return secret.reveal()


@pytest.mark.parametrize(
    ("value", "turned"),
    [
        ("postgresql://comicpile:comicpile@comicpile/comicpile", f"postgresql://comicpile:comicpile@comicpile/{OTHER}"),
        ("postgresql+psycopg://u:p@db:5432/comicpile", f"postgresql+psycopg://u:p@db:5432/{OTHER}"),
        (
            "postgres://u:p%2F%40@db:5432/comicpile?sslmode=disable",
            f"postgres://u:p%2F%40@db:5432/{OTHER}?sslmode=disable",
        ),
        ("postgresql:///comicpile?host=/run/pg", f"postgresql:///{OTHER}?host=/run/pg"),
        ("postgresql://u@a:1,b:2/comicpile#x", f"postgresql://u@a:1,b:2/{OTHER}#x"),
        ("postgresql://u:p@[::1]:5432/comicpile", f"postgresql://u:p@[::1]:5432/{OTHER}"),
        ("postgresql://u:p@db/comic%70ile", f"postgresql://u:p@db/{OTHER}"),
        ("host=db user=comicpile dbname=comicpile password=x", f"host=db user=comicpile dbname={OTHER} password=x"),
        ("dbname='comicpile'", f"dbname='{OTHER}'"),
        ("dbname=comicpile dbname=comicpile", f"dbname={OTHER} dbname={OTHER}"),
    ],
)
def test_a_value_that_names_the_live_database_names_the_other(value: str, turned: str) -> None:
    assert pointed("ANYTHING", value) == turned


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://u:p@db/comicpile2",
        "postgresql://comicpile:p@comicpile/other",
        "postgresql://u:p@db/",
        "postgresql://u:p@db",
        "redis://comicpile",
        "https://example.com/comicpile/x",
        "dbname=comicpile2",
        "xdbname=comicpile",
        "options='-c dbname=comicpile'x",
        "comicpile",
        "",
    ],
)
def test_a_value_that_names_something_else_stays(value: str) -> None:
    assert pointed("ANYTHING", value) == value


@pytest.mark.parametrize(
    "name", ["DB", "DB_NAME", "POSTGRES_DB", "PGDATABASE", "DATABASE", "db_name", "APP_DATABASE_NAME"]
)
def test_a_variable_that_is_called_after_a_database_holds_its_name(name: str) -> None:
    assert pointed(name, LIVE) == OTHER


@pytest.mark.parametrize(
    "name",
    [
        "DB_USER",
        "POSTGRES_USER",
        "PGUSER",
        "DB_PASSWORD",
        "DB_HOST",
        "DATABASE_PORT",
        "DB_ROLE",
        "DB_OWNER",
        "DB_SCHEMA",
    ]
    + ["DATABASE_LOGIN", "APP_NAME", "COMPOSE_PROJECT_NAME"],
)
def test_a_variable_of_the_same_value_that_is_no_database_stays(name: str) -> None:
    assert pointed(name, LIVE) == LIVE


def test_a_name_that_urls_must_escape_is_escaped() -> None:
    assert pointed("U", "postgresql://h/my%20%D0%B1", "my б", "my б__x/1") == "postgresql://h/my%20%D0%B1__x%2F1"
    assert pointed("U", "dbname=a.b", "a.b", "a\\1") == "dbname=a\\1"


@given(st.text(), st.text())
def test_no_value_whatever_raises(name: str, value: str) -> None:
    pointed(name, value)
    secret_parts(((name, Secret(value)),))


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("DATABASE_URL", "postgresql://u:p%20w@db/x", ["p%20w", "p w"]),
        ("DATABASE_URL", "postgresql://u:pa/s?s#w@db/x", ["pa/s?s#w"]),
        ("REDIS_URL", "redis://:word@h", ["word"]),
        ("URL", "https://example.com:80/a", []),
        ("URL", "https://user@example.com/a", []),
        ("CONNINFO", "host=db password=word user=x", ["word"]),
        ("CONNINFO", "host=db password='wo rd' user=x", ["wo rd"]),
        ("SENTRY_DSN", "anything", ["anything"]),
        ("POSTGRES_PASSWORD", "w", ["w"]),
        ("app_secret", "w", ["w"]),
        ("API_KEY", "w", ["w"]),
        ("TOKEN", "", []),
        ("HOME", "/root", []),
    ],
)
def test_what_must_never_be_shown(name: str, value: str, secrets: list[str]) -> None:
    assert secret_parts(((name, Secret(value)),)) == tuple(Secret(each) for each in secrets)


def test_alembic_runs_in_the_deployed_image_with_its_variables_on_standard_input() -> None:
    deployed = a_deployed(3, DATABASE_URL="postgresql://u:secret@db/x", BROKEN="a\nb", PGOPTIONS="-c search_path=app")
    command = run(deployed, ("downgrade", "s2"), run_id=RUN, project="pile", effect=Effect.DESTROY, timeout=7)
    assert command.argv[4:] == (
        f"rollback-{RUN}-pile-alembic",
        "app-3",
        "comicpile_default",
        deployed.image,
        "alembic",
        "-w",
        "/app",
        deployed.image,
        "downgrade",
        "s2",
    )
    assert command.secret_stdin == Secret(
        "DATABASE_URL=postgresql://u:secret@db/x\n"
        "PGOPTIONS=-c search_path=app -c lock_timeout=10s -c statement_timeout=0\n"
    )
    assert "u:secret" not in repr(command)
    assert (command.effect, command.timeout) == (Effect.DESTROY, 7)


def test_two_projects_of_one_run_on_one_engine_do_not_end_each_other_s_alembic() -> None:
    names = {container_name(RUN, project) for project in ("pile", "second")}
    assert names == {f"rollback-{RUN}-pile-alembic", f"rollback-{RUN}-second-alembic"}
    assert end(RUN, "second").argv[-1] == f"rollback-{RUN}-second-alembic"


def test_going_back_to_the_copy_ends_the_downgrade_by_the_name_that_it_was_started_under() -> None:
    project = a_project(name="other")
    assert container_name(RUN, "other") in scratch.swap_back(project, RUN, marker="/m").argv
