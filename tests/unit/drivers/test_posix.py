"""What any host can say of itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollback_tasks.drivers.posix import Survey, read_survey, survey
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import Tools
from rollback_tasks.transport.local import LocalHost

RECORDED = Path(__file__).parents[2] / "data/docker"


def test_a_host_with_the_plugin_is_read() -> None:
    assert read_survey((RECORDED / "plugin-5.6.1/survey.txt").read_text()) == Survey(
        tools=Tools(
            git="2.39.5",
            docker="20.10.24+dfsg1",
            compose=("docker", "compose"),
            compose_version="5.6.1",
        ),
        now=1795366590.0,
        backup_free_bytes=75765216 * 1024,
        docker_free_bytes=75764536 * 1024,
        engine="PU72:ZM26:ZQCV:H6MF:VX6X:MHYP:6KTL:RE62:N5M6:A3UE:BN32:D7VY",
    )


def test_a_host_with_the_standalone_program_is_read() -> None:
    found = read_survey((RECORDED / "standalone-1.29.2/survey.txt").read_text())
    assert (found.tools.compose, found.tools.compose_version, found.problem) == (("docker-compose",), "1.29.2", "")


WHOLE = {
    "now": "1",
    "git": "git version 2.25.1",
    "docker": "24.0.7",
    "docker_client": "/usr/bin/docker",
    "plugin": "v2.21.0",
    "standalone": "1.29.2",
    "folder": "yes",
    "checkout": "/srv",
    "writable": "yes",
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"git": ""}, "git is not installed on the host"),
        ({"docker_client": "", "docker": ""}, "docker is not installed on the host"),
        (
            {"docker": ""},
            "the Docker engine does not answer this user (is it running, is the user in the docker group?)",
        ),
        ({"plugin": ""}, ""),
        ({"plugin": "", "standalone": ""}, "neither `docker compose` nor `docker-compose` works on the host"),
        ({"folder": "", "checkout": "", "writable": ""}, "project_dir does not exist on the host"),
        ({"checkout": "", "writable": ""}, "project_dir is not a git checkout"),
        ({"writable": ""}, "project_dir is not writable for this user"),
    ],
)
def test_the_first_thing_that_is_missing_is_named(changes: dict[str, str], problem: str) -> None:
    text = "".join(f"{name}={value}\n" for name, value in (WHOLE | changes).items())
    assert read_survey(text).problem == problem


@pytest.mark.parametrize(
    ("line", "name"), [("shop", "shop"), ("'shop'", "shop"), ('"shop"', "shop"), ("", ""), ("a=b", "a=b")]
)
def test_the_projects_name_is_read_from_its_surroundings(line: str, name: str) -> None:
    text = "".join(f"{name}={value}\n" for name, value in (WHOLE | {"env_project": line}).items())
    assert read_survey(text).env_project == name


@pytest.mark.parametrize("text", ["", "now=\n", "now=x\n", "sh: 1: not found\n"])
def test_an_answer_without_a_clock_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_survey(text)


def test_this_machine_answers_the_survey(tmp_path: Path) -> None:
    folder = tmp_path / "my $(project) 'x'"
    folder.mkdir()
    (folder / ".env").write_text("A=1\nCOMPOSE_PROJECT_NAME=first\nCOMPOSE_PROJECT_NAME='shop'\n")
    host = LocalHost()
    command = survey(str(folder), str(folder / "not/there/yet"))
    found = read_survey(host.run(command).text)
    assert (found.env_project, found.backup_free_bytes > 0, found.now > 1_700_000_000) == ("shop", True, True)
    said = dict(line.partition("=")[::2] for line in host.run(command).text.splitlines())
    assert (said["folder"], said["checkout"], said["writable"]) == ("yes", "", "yes")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    said = dict(line.partition("=")[::2] for line in host.run(command).text.splitlines())
    assert said["checkout"] == str(folder)
