"""What once went wrong with compose files: where they lie, what they are called after, what they pull."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollback_tasks.drivers import compose, compose_revive
from rollback_tasks.drivers.posix import read_survey, survey
from rollback_tasks.model.facts import Container
from rollback_tasks.model.project import Project
from rollback_tasks.transport.local import LocalHost

HOST = LocalHost()
# Stands for compose: prints its words, then the files that it was given.
ECHO = ("sh", "-c", 'printf "%s\\n" "$@"; for word; do case $word in *.yml) cat "$word"; esac; done', "x")


def a_project(folder: Path, *files: str) -> Project:
    return Project(
        folder=str(folder),
        compose=ECHO,
        name="pile",
        files=files,
        app_services=("app",),
        db_service="db",
        database="pile",
        database_user="owner",
        migrations_service="app",
        migrations_command=("alembic",),
        migrations_folder="",
        backup_folder=f"{folder}/backups",
        remote="origin",
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=tmp_path, check=True)

    git("init", "-q")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "main.yml").write_text("tracked\n")
    git("add", "-A")
    git("commit", "-q", "-m", "c")
    (tmp_path / "local.yml").write_text("untracked\n")
    return tmp_path


def test_paths_are_taken_from_the_folder_of_the_first_file_as_compose_does(checkout: Path) -> None:
    said = HOST.run(compose.config(a_project(checkout, "deploy/main.yml"), "HEAD")).text.splitlines()
    assert said[2:4] == ["--project-directory", f"{checkout}/deploy"]


def test_a_file_that_git_does_not_track_stays_what_it_is(checkout: Path) -> None:
    said = HOST.run(compose.config(a_project(checkout, "deploy/main.yml", "local.yml"), "HEAD")).text.splitlines()
    assert said[2:4] == ["-f", "local.yml"]
    assert said[-2:] == ["tracked", "untracked"]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, ""),
        ({"deploy/main.yml": "name: comicpile # ours\nservices:\n  app:\n    name: not this\n"}, "comicpile"),
        ({"deploy/main.yml": 'name: "one"\n', "local.yml": "name: two\n"}, "two"),
        ({"deploy/main.yml": "name: one\n", "deploy/.env": "COMPOSE_PROJECT_NAME=three\n"}, "three"),
        ({".env": "COMPOSE_PROJECT_NAME=of-another-folder\n"}, ""),
        ({"deploy/main.yml": "name: ${NAME:-x}\n"}, ""),
    ],
)
def test_the_project_is_called_as_compose_calls_it(checkout: Path, files: dict[str, str], name: str) -> None:
    for path, text in files.items():
        (checkout / path).write_text(text)
    command = survey(str(checkout), f"{checkout}/backups", ("deploy/main.yml", "local.yml"))
    assert read_survey(HOST.run(command).text).env_project == name


def test_a_checkout_that_git_refuses_says_why() -> None:
    text = "now=1\ngit=git version 2\ndocker_client=x\ndocker=20\nplugin=2\nfolder=yes\ncheckout=\nwritable=yes\n"
    why = "fatal: detected dubious ownership in repository at '/srv/x'"
    problem = read_survey(f"{text}checkout_problem={why}\n").problem
    assert problem == f"project_dir is not a git checkout for this user: {why}"


@pytest.mark.parametrize(
    ("policy", "is_pulled"),
    [("always", True), ("daily", True), ("every_12h", True), ("missing", False), ("never", False), ("build", False)],
)
def test_a_pull_that_the_file_asks_for_is_seen(policy: str, is_pulled: bool) -> None:
    text = f"services: {{app: {{image: pile, pull_policy: {policy}}}, other: {{image: pile}}}}"
    found = compose.read_config(text, a_project(Path("/srv/x"), "main.yml"))
    assert (found["app"].is_pulled, found["other"].is_pulled) == (is_pulled, False)


def test_a_pull_is_held_back_on_the_way_there_and_on_the_way_back(tmp_path: Path) -> None:
    project = a_project(tmp_path, "main.yml")
    assert compose.up(project, ("app",), is_pulled=True).argv[-3:] == ("--pull", "never", "app")
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = version ]\n')
    docker.chmod(0o755)
    gone = Container(id="1", name="a", service="app", image="sha256:1", image_ref="pile", state="running")
    words = compose_revive.revive(project, [gone], is_pulled=True).argv
    said = subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert said.stdout.splitlines()[-4:] == ["--force-recreate", "--pull", "never", "app"]


@pytest.mark.parametrize(
    ("ignored", "is_in_builds"),
    [
        (None, True),
        (".git\n.env\n", True),
        ("# .rollback\n!.rollback\nx.rollback\n", True),
        (".rollback\n", False),
        (".git\n/.rollback/\r\n", False),
        ("**/.rollback", False),
        ("*\n!app\n", False),
    ],
)
def test_backups_can_get_into_an_image_unless_they_are_ignored(
    checkout: Path, ignored: str | None, is_in_builds: bool
) -> None:
    if ignored is not None:
        (checkout / ".dockerignore").write_bytes(ignored.encode())
    found = read_survey(HOST.run(survey(str(checkout), f"{checkout}/backups")).text)
    assert found.is_in_builds == is_in_builds
