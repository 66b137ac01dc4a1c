"""What goes into a project's .env."""

from __future__ import annotations

from rollback_tasks.sandbox.project import COMICPILE, Project, dotenv


def test_the_first_project_only_gets_its_secrets() -> None:
    assert dotenv(COMICPILE, """it's a "b" $(id)""") == (
        "POSTGRES_PASSWORD='it\\'s a \"b\" $(id)'\n"
        "DATABASE_URL=postgresql+psycopg://comicpile:it%27s%20a%20%22b%22%20%24%28id%29@db:5432/comicpile\n"
    )


def test_an_application_may_find_its_database_at_another_host() -> None:
    told = dotenv(COMICPILE, "x", database="172.17.0.10").split("\n")
    assert told[1] == "DATABASE_URL=postgresql+psycopg://comicpile:x@172.17.0.10:5432/comicpile"


def test_another_project_also_gets_a_name_an_image_and_a_port() -> None:
    project = Project(directory="/srv/second", name="second", port=8001, image="second-pile")
    assert dotenv(project, "x").split("\n")[2:] == [
        "COMPOSE_PROJECT_NAME=second",
        "APP_IMAGE=second-pile",
        "APP_PORT=8001",
        "",
    ]
    assert project.health_url == "http://localhost:8001/health"
