"""Containers: recorded answers of both compose generations, and the scripts against an engine made of a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import containers
from rollback_tasks.drivers.containers import read_containers, read_environment
from rollback_tasks.errors import CommandFailed, MalformedAnswer
from rollback_tasks.model.facts import Container
from rollback_tasks.shell import Secret
from tests.builders import a_project
from tests.fakes import FakeDocker

RECORDED = Path(__file__).parents[2] / "data/docker"
GENERATIONS = ["plugin-5.6.1", "standalone-1.29.2"]
PROJECT = a_project()


def recorded(generation: str, name: str) -> str:
    return (RECORDED / generation / name).read_text()


@pytest.mark.parametrize(
    ("generation", "app", "db"),
    [("plugin-5.6.1", "comicpile-app-1", "comicpile-db-1"), ("standalone-1.29.2", "comicpile_app_1", "comicpile_db_1")],
)
def test_the_containers_of_a_deployment_are_read(generation: str, app: str, db: str) -> None:
    found = read_containers(recorded(generation, "containers.jsonl"))
    assert [(c.service, c.name, c.image_ref, c.state, c.health, c.restarts, c.workdir) for c in found] == [
        ("app", app, "comic-pile", "running", "", 0, "/srv/app"),
        ("db", db, "comic-pile-db", "running", "healthy", 0, ""),
    ]
    assert found[0].command == ("uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000")
    assert [set(c.networks) for c in found] == [{"comicpile_default"}, {"comicpile_default"}]
    assert all(c.image.startswith("sha256:") and len(c.id) == 64 and c.is_running for c in found)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_state_of_a_container_is_read(generation: str) -> None:
    found = read_containers(recorded(generation, "states.jsonl"))
    said = {c.service: (c.state, c.exit_code, c.restarts > 0, c.health, c.is_running) for c in found}
    assert said == {
        "fails": ("exited", 3, False, "", False),
        "loops": ("restarting", 1, True, "", False),
        "odd.name_1": ("exited", 1, False, "", False),
        "sick": ("running", 0, False, "unhealthy", True),
        "steady": ("running", 0, False, "", True),
        "twice": ("running", 0, False, "", True),
        "waits": ("created", 0, False, "", False),
    }
    assert [c.name[-1] for c in found if c.service == "twice"] == ["1", "2"]
    odd = next(c for c in found if c.service == "odd.name_1")
    assert (odd.command, odd.workdir) == (("sleep", "300", "a b", 'c"d', "ü"), "/tmp/some where")


def test_a_container_is_read_whole() -> None:
    assert read_containers(recorded("standalone-1.29.2", "states.jsonl"))[0] == Container(
        id="f47eeecd2807609a9f13a9d1dd648ae1315904c7576a8b51863b0f4d08f46663",
        name="zoo_fails_1",
        service="fails",
        image="sha256:4f547523d4a8df26ca51daf46754ab7c919bcf0262de9a97dedcdae6ba45ef60",
        image_ref="comic-pile-db",
        state="exited",
        exit_code=3,
        networks={"zoo_default": ""},
        command=("sh", "-c", "echo 'it broke \"badly\"' >&2; exit 3"),
        started_at="2026-11-22T16:56:41.300857494Z",
        config_hash="b269e5e46217f647c5962deea7b32a3291488eb32120e424c981f0a2a717ae9d",
        config_files=("docker-compose.yml",),
    )


@pytest.mark.parametrize(("said", "grace"), [(300, 300), (-1, -1), (None, 10), (0, 0)])
def test_the_time_that_a_container_is_given_to_stop_is_read(said: int | None, grace: int) -> None:
    body = {**json.loads(recorded("standalone-1.29.2", "states.jsonl").splitlines()[0]), "grace": said}
    assert [container.grace for container in read_containers(json.dumps(body))] == [grace]


def test_no_container_is_no_failure() -> None:
    assert read_containers("\n") == ()


@pytest.mark.parametrize("text", ["Error: no such object", "{}", "[]", "null", '{"id": "x", "state": null}'])
def test_an_answer_of_another_form_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_containers(text)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_only_what_compose_added_to_the_image_is_the_containers_environment(generation: str) -> None:
    found = read_environment(recorded(generation, "environment.txt"))
    assert found == (("DATABASE_URL", Secret("postgresql+psycopg://comicpile:pass%20word@db:5432/comicpile")),)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["A=1=2", "B=", "C"]\n["B=x"]\n', (("A", "1=2"), ("B", ""), ("C", ""))),
        ('["P=/bin"]\n[]\n', (("P", "/bin"),)),
        ("null\nnull\n", ()),
    ],
)
def test_variables_are_split_at_the_first_sign(text: str, found: tuple[tuple[str, str], ...]) -> None:
    assert read_environment(text) == tuple((name, Secret(value)) for name, value in found)


@pytest.mark.parametrize("text", ["", "[]", "{\n", "Error\n[]\n"])
def test_an_environment_of_another_form_is_malformed_and_shows_nothing(text: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        read_environment(text)
    assert caught.value.details == ""


def one(identity: str, service: str = "app", **more: object) -> dict[str, object]:
    given = {"id": identity, "project": "comicpile", "service": service, "state": "running", "image": "sha256:1"}
    return {**given, **more}


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    crowd = [
        one("a1"),
        one("a2", state="restarting", restarts=5, code=1),
        one("gone", state="exited", code=3),
        one("d1", "db"),
        one("other", project="another"),
        one("once", oneoff="True"),
    ]
    return FakeDocker(tmp_path, containers=crowd, images={"comic-pile:latest": "sha256:1", "pin:1": "sha256:2"})


def states(docker: FakeDocker) -> dict[str, str]:
    return {c["id"]: c["state"] for c in docker.state["containers"]}


def test_stopping_stops_every_container_of_the_services_and_nothing_else(docker: FakeDocker) -> None:
    with pytest.raises(CommandFailed):
        docker.run(containers.are_stopped(PROJECT, ("app",)))
    docker.run(containers.stop(PROJECT, ("app", "worker")))
    docker.run(containers.are_stopped(PROJECT, ("app", "worker")))
    assert states(docker) == {
        "a1": "exited",
        "a2": "exited",
        "gone": "exited",
        "d1": "running",
        "other": "running",
        "once": "running",
    }


@pytest.mark.parametrize(
    "command",
    [
        containers.stop(PROJECT, ("app",)),
        containers.are_stopped(PROJECT, ("app",)),
        containers.discard_new(PROJECT, ("app",), ("a1",), "/nowhere"),
        containers.save_evidence(PROJECT, "/dev/null/nowhere"),
        containers.runs_images(PROJECT, {"app": "comic-pile"}),
        containers.containers("comicpile"),
    ],
    ids=["stop", "are_stopped", "discard_new", "save_evidence", "runs_images", "containers"],
)
def test_an_engine_that_does_not_answer_is_never_taken_for_a_yes(docker: FakeDocker, command: object) -> None:
    docker.change(broken=["ps"])
    with pytest.raises(CommandFailed):
        docker.run(command)  # type: ignore[arg-type]


def test_only_new_containers_are_removed_and_their_logs_kept(docker: FakeDocker, tmp_path: Path) -> None:
    logs = tmp_path / "run folder/evidence"
    command = containers.discard_new(PROJECT, ("app",), ("a1", "gone"), str(logs))
    for _ in range(2):
        docker.run(command)
        assert set(states(docker)) == {"a1", "gone", "d1", "other", "once"}
    assert [path.name for path in logs.iterdir()] == ["failed-app-a2.log"]
    assert (logs / "failed-app-a2.log").read_text() == "last words of a2\n"
    assert (logs / "failed-app-a2.log").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("crowd", "problem"),
    [
        ([one("a")], ""),
        ([one("a", restarts=2)], ""),
        ([one("a", state="exited", code=0)], ""),
        ([one("a", state="created")], ""),
        ([], "app has no container"),
        ([one("d", "db")], "app has no container"),
        ([one("a"), one("b", state="exited", code=3)], "app ended with exit code 3: last words of b"),
        ([one("a", state="dead", code=137)], "app ended with exit code 137: last words of a"),
        ([one("a", state="restarting", restarts=3)], "app keeps dying (3 restarts): last words of a"),
    ],
)
def test_waiting_is_pointless_where(docker: FakeDocker, crowd: list[dict[str, object]], problem: str) -> None:
    docker.change(containers=crowd)
    done = docker.run(containers.alive(PROJECT, ("app",)))
    assert (done.exit_code, done.error_text.strip()) == (1 if problem else 0, problem)


@pytest.mark.parametrize(
    ("crowd", "holds"),
    [
        ([one("a", image="sha256:2")], True),
        ([one("a", image="sha256:2"), one("old", state="exited")], True),
        ([one("a", image="sha256:2"), one("b")], False),
        ([one("a")], False),
        ([one("a", state="exited", image="sha256:2")], False),
        ([], False),
    ],
)
def test_a_service_runs_an_image_only_where_all_its_containers_do(
    docker: FakeDocker, crowd: list[dict[str, object]], holds: bool
) -> None:
    docker.change(containers=crowd)
    command = containers.runs_images(PROJECT, {"app": "pin:1"})
    if holds:
        docker.run(command)
        return
    with pytest.raises(CommandFailed):
        docker.run(command)


@pytest.mark.parametrize(
    ("crowd", "holds"),
    [
        ([one("a", image="sha256:2", state="exited")], True),
        ([one("a", image="sha256:2", state="exited", code=1)], False),
        ([one("a", image="sha256:1", state="exited")], False),
    ],
)
def test_a_service_that_others_wait_for_may_have_ended_well(
    docker: FakeDocker, crowd: list[dict[str, object]], holds: bool
) -> None:
    docker.change(containers=crowd)
    command = replace(containers.runs_images(PROJECT, {"app": "pin:1"}, ["app"]), ok_codes=frozenset({0, 1}))
    assert (docker.run(command).exit_code == 0) is holds


def test_evidence_is_private_and_holds_every_container(docker: FakeDocker, tmp_path: Path) -> None:
    place = tmp_path / "runs/$(x) 'q'/evidence"
    docker.run(containers.save_evidence(PROJECT, str(place)))
    ids = ["a1", "a2", "d1", "gone", "once"]
    assert sorted(p.name for p in place.iterdir()) == sorted(
        [f"{i}.{end}" for i in ids for end in ("json", "log")] + ["images.txt"]
    )
    assert {p.stat().st_mode & 0o077 for p in [place, *place.iterdir()]} == {0}


def test_no_script_asks_for_the_environment_of_a_container_but_the_one_that_is_for_it() -> None:
    for command in (containers.containers("p"), containers.save_evidence(PROJECT, "/x")):
        assert "Env" not in json.dumps(command.argv)
    assert "Config.Env" in json.dumps(containers.environment("id").argv)
