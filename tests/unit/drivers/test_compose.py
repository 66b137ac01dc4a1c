"""compose: recorded configurations of both generations, the words that start it, and what ran brought back."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import compose, compose_revive
from rollback_tasks.drivers.compose import Service, read_config
from rollback_tasks.errors import CommandFailed, MalformedAnswer
from rollback_tasks.model.facts import Container
from rollback_tasks.shell import Effect, Secret
from tests.builders import a_container, a_project
from tests.fakes import FakeDocker

RECORDED = Path(__file__).parents[2] / "data/docker"
PLUGIN = a_project()
STANDALONE = a_project(compose=("docker-compose",))
GENERATIONS = [("plugin-5.6.1", PLUGIN), ("standalone-1.29.2", STANDALONE)]


@pytest.mark.parametrize(("generation", "project"), GENERATIONS, ids=["plugin", "standalone"])
def test_the_demos_services_are_read(generation: str, project: object) -> None:
    found = read_config((RECORDED / generation / "config.yml").read_text(), project)  # type: ignore[arg-type]
    named = {"dockerfile": "Dockerfile"} if generation.startswith("plugin") else {}
    assert set(found["app"].environment) == {"DATABASE_URL"}
    assert set(found["db"].environment) == {"POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_USER"}
    assert {name: replace(service, environment={}) for name, service in found.items()} == {
        "app": Service(
            image="comic-pile", build={"context": "/srv/comicpile", **named}, ports=("8000",), restart="unless-stopped"
        ),
        "db": Service(image="comic-pile-db", build={"context": "/srv/comicpile/db", **named}, restart="unless-stopped"),
    }


@pytest.mark.parametrize(
    ("generation", "project", "plain", "arguments"),
    [
        ("plugin-5.6.1", PLUGIN, "comicpile-plain", {"TOKEN": "secret-token", "VERSION": "1"}),
        ("standalone-1.29.2", STANDALONE, "comicpile_plain", {"TOKEN": "secret-token", "VERSION": "1", "NONE": ""}),
    ],
    ids=["plugin", "standalone"],
)
def test_odd_services_are_read(generation: str, project: object, plain: str, arguments: Mapping[str, str]) -> None:
    found = read_config((RECORDED / generation / "odd-config.yml").read_text(), project)  # type: ignore[arg-type]
    assert found["built"].image == "zoo-built:1"
    assert found["built"].build == {
        "context": "/tmp/zoo/sub",
        "dockerfile": "Other",
        "args": arguments,
        "target": "last",
        "network": "host",
    }
    assert found["plain"].image == plain
    assert found["odd.name_1"].command == 'sleep 300 a b c"d ü'
    assert found["twice"] == Service(image="comic-pile-db", command="sleep 300")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("services: {app: {build: .}}", Service(image="comicpile-app", build={"context": "."})),
        ("services: {app: {image: x, container_name: web}}", Service(image="x", container_name="web")),
        ("services: {app: {image: x, command: run it}}", Service(image="x", command="run it")),
        ("services: {app: {image: x, restart: no}}", Service(image="x")),
        ("services: {app: {image: x, restart: 'on-failure:3'}}", Service(image="x", restart="on-failure:3")),
        ("services: {app: {image: x, profiles: [tools]}}", Service(image="x", is_optional=True)),
        ("services: {app: {image: 3}, broken: null}", Service(image="3")),
        ("services: {app: {image: x, scale: 2}}", Service(image="x", replicas=2)),
        ("services: {app: {image: x, deploy: {replicas: 3}}}", Service(image="x", replicas=3)),
        (
            "services: {app: {image: x, environment: {A: a$$b, B: 1, C: true, D: null}}}",
            Service(image="x", environment={"A": Secret("a$b"), "B": Secret("1"), "C": Secret("true")}),
        ),
        ("services: {app: {image: x, environment: ['A=b=c']}}", Service(image="x", environment={"A": Secret("b=c")})),
        (
            "services: {app: {image: x, ports: ['8000:80', '127.0.0.1:81:81', '82', '80-90:80', {published: 6}]}}",
            Service(image="x", ports=("8000", "81", "6")),
        ),
        ("services: {app: {image: x, network_mode: host}}", Service(image="x", network_mode="host")),
    ],
)
def test_a_service_is(text: str, found: Service) -> None:
    assert read_config(text, PLUGIN) == {"app": found}


@pytest.mark.parametrize(
    ("waits", "is_one_shot"),
    [
        ("{app: {condition: service_completed_successfully}}", True),
        ("{app: {condition: service_started}}", False),
        ("[app]", False),
    ],
)
def test_a_service_that_others_wait_for_to_end_is_a_one_shot(waits: str, is_one_shot: bool) -> None:
    found = read_config(f"services: {{app: {{image: x}}, b: {{image: y, depends_on: {waits}}}}}", PLUGIN)
    assert found == {"app": Service(image="x", is_one_shot=is_one_shot), "b": Service(image="y")}


@pytest.mark.parametrize("text", ["", "3", "[]", "services: []", "services:", "a: [", "a: !!python/object:os.system x"])
def test_a_configuration_without_services_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_config(text, PLUGIN)


def test_starting_never_builds_and_never_touches_other_services() -> None:
    command = compose.up(a_project(files=("a.yml", "b.yml")), ("app", "worker"))
    assert command.argv == tuple(
        "docker compose -p comicpile -f a.yml -f b.yml up -d --no-deps --no-build --force-recreate app worker".split()
    )
    assert (command.cwd, command.effect) == ("/srv/comicpile", Effect.WRITE)
    assert compose.up(STANDALONE, ("app",)).argv[:3] == ("docker-compose", "-p", "comicpile")


ECHO = ("sh", "-c", 'printf "%s\\n" "$@"; for word; do case $word in *.yml) cat "$word" 2>/dev/null; esac; done', "x")


@pytest.mark.parametrize("inside", ["", "sub dir/"])
def test_the_files_of_a_commit_are_resolved_beside_the_projects_own_surroundings(tmp_path: Path, inside: str) -> None:
    def git(*words: str) -> str:
        given = ("-c", "user.name=t", "-c", "user.email=t@t")
        done = subprocess.run(["git", *given, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    folder = tmp_path / inside
    (folder / "deploy dir").mkdir(parents=True)
    for name in ("compose.yml", "deploy dir/more.yml"):
        (folder / name).write_text(f"then {name}\n")
    git("add", "-A")
    git("commit", "-q", "-m", "then")
    (folder / "compose.yml").write_text("now\n")
    project = a_project(str(folder).rstrip("/"), compose=ECHO, files=("compose.yml", "deploy dir/more.yml"))
    docker = FakeDocker(tmp_path)
    lines = docker.run(compose.config(project, git("rev-parse", "HEAD"))).text.splitlines()
    first, second = lines[1], lines[3]
    assert lines == [
        *("-f", first, "-f", second),
        *("--project-directory", project.folder, "-p", "comicpile", "config"),
        *("then compose.yml", "then deploy dir/more.yml"),
    ]
    assert not Path(first).exists()
    now = docker.run(compose.config(project)).text.splitlines()
    assert (now[:4], now[-2:]) == (
        ["-f", "compose.yml", "-f", "deploy dir/more.yml"],
        ["now", "then deploy dir/more.yml"],
    )

    missing = docker.run(compose.config(a_project(project.folder, compose=ECHO, files=("none.yml",)), "HEAD"))
    assert (missing.exit_code, missing.error_text) == (4, "the commit has no file none.yml\n")


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ("TAG=then", "TAG=now", "TAG=then"),
        (None, "TAG=now", ""),
        ("TAG=then", None, "TAG=then"),
        (None, None, None),
    ],
    ids=["tracked", "tracked since", "gone since", "never tracked"],
)
def test_the_variables_are_those_that_a_checkout_of_the_commit_brings(
    tmp_path: Path, then: str | None, now: str | None, expected: str | None
) -> None:
    def git(*words: str) -> str:
        given = ("-c", "user.name=t", "-c", "user.email=t@t")
        done = subprocess.run(["git", *given, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/a.yml").write_text("")
    for text in (then, now):
        if text is None:
            (tmp_path / "deploy/.env").unlink(missing_ok=True)
        else:
            (tmp_path / "deploy/.env").write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "x")
    show = ("sh", "-c", 'for word; do case $word in */.env) echo "env: $(cat "$word")"; esac; done', "x")
    project = a_project(str(tmp_path), compose=show, files=("deploy/a.yml",))
    (tmp_path / "deploy/.env").write_text("untracked or changed by hand")
    docker = FakeDocker(tmp_path)
    told = docker.run(compose.config(project, git("rev-parse", "HEAD~1"))).text
    assert told == ("" if expected is None else f"env: {expected}\n")
    assert docker.run(compose.config(project, git("rev-parse", "HEAD~1"), keeps_variables=True)).text == ""
    assert docker.run(compose.config(project)).text == ""


def here(identity: str, service: str = "app", state: str = "running") -> dict[str, str]:
    return {"id": identity, "project": "comicpile", "service": service, "state": state, "image": "sha256:1"}


def old(identity: str, service: str = "app", state: str = "running") -> Container:
    return a_container(service, state=state, id=identity)


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        pytest.param([old("a")], [here("a", state="exited")], {"a": "running"}, id="the same container again"),
        pytest.param([old("a")], [here("a")], {"a": "running"}, id="nothing was done yet"),
        pytest.param([old("a", state="restarting")], [here("a", state="exited")], {"a": "running"}, id="it looped"),
        pytest.param([old("a", state="exited")], [here("a", state="exited")], {"a": "exited"}, id="it was stopped"),
        pytest.param([old("a")], [], {"new-app-1": "running"}, id="it was replaced"),
        pytest.param([old("a", state="exited")], [], {"new-app-1": "created"}, id="a stopped one was replaced"),
        pytest.param(
            [old("a"), old("b")], [], {"new-app-1": "running", "new-app-2": "running"}, id="two of one service"
        ),
        pytest.param(
            [old("a"), old("b"), old("w", "worker", "exited")],
            [],
            {"new-worker-1": "created", "new-app-2": "running", "new-app-3": "running"},
            id="each service as often as it was there",
        ),
        pytest.param(
            [old("a"), old("w", "worker", "exited"), old("x", "web")],
            [here("x", "web", "exited"), here("db", "db")],
            {"x": "running", "db": "running", "new-worker-1": "created", "new-app-2": "running"},
            id="each service by itself",
        ),
        pytest.param([], [here("db", "db")], {"db": "running"}, id="there was nothing"),
    ],
)
def test_what_ran_runs_again(
    tmp_path: Path, before: list[Container], now: list[dict[str, str]], after: dict[str, str]
) -> None:
    references = dict.fromkeys(("app", "worker", "web"), "comic-pile")
    docker = FakeDocker(tmp_path, containers=now, images={"comic-pile:latest": "sha256:1"}, references=references)
    command = compose_revive.revive(a_project(str(tmp_path)), before)
    docker.run(command)
    assert {c["id"]: c["state"] for c in docker.state["containers"]} == after


def test_reviving_twice_leaves_one_container_of_each_service(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, images={"comic-pile:latest": "sha256:1"}, references={"app": "comic-pile"})
    for _ in range(2):
        docker.run(compose_revive.revive(a_project(str(tmp_path)), [old("a")]))
        assert [c["state"] for c in docker.state["containers"]] == ["running"]


# Refuses a file that says so; for `up` it tells which file it was given, and where relative paths would begin.
PICKY = """\
#!/bin/sh
while [ "$#" -gt 0 ]; do
  case $1 in
    -f) grep -q broken "$2" && exit 15; said="$said $(cat "$2")" ;;
    --project-directory) said="$said in $2" ;;
    up) echo "up$said"; exit 0 ;;
  esac
  shift
done
"""


@pytest.mark.parametrize(
    ("now", "otherwise", "said"),
    [
        ("mine", "HEAD", "up mine more"),
        ("broken", "HEAD", "up good more in {}"),
        ("broken", "", None),
    ],
    ids=["as it was", "of another commit", "of nothing"],
)
def test_what_ran_runs_again_although_compose_refuses_the_file_that_came_since(
    tmp_path: Path, now: str, otherwise: str, said: str | None
) -> None:
    project = tmp_path / "it's here"
    project.mkdir()
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@t"]
    (project / "main file.yml").write_text("good")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "good"]):
        subprocess.run([*git, *words], check=True)
    (project / "main file.yml").write_text(now)
    (project / "own.yml").write_text("more")
    (tmp_path / "compose").write_text(PICKY)
    (tmp_path / "compose").chmod(0o755)
    made = a_project(str(project), compose=(str(tmp_path / "compose"),), files=("main file.yml", "own.yml"))
    docker = FakeDocker(tmp_path, images={"comic-pile:latest": "sha256:1"})
    command = compose_revive.revive(made, [old("a")], otherwise=otherwise)
    if said is None:
        with pytest.raises(CommandFailed):
            docker.run(command)
    else:
        assert docker.run(command).text.strip() == said.format(project)


def test_an_engine_that_does_not_answer_is_not_taken_for_a_missing_container(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, containers=[here("a", state="exited")], broken=["version", "inspect"])
    with pytest.raises(CommandFailed):
        docker.run(compose_revive.revive(a_project(str(tmp_path)), [old("a")]))


def test_a_service_whose_good_end_another_waits_for_is_known() -> None:
    waits = "depends_on: {prestart: {condition: service_completed_successfully}, db: {condition: service_started}}"
    text = f"services: {{app: {{image: x, {waits}}}, prestart: {{image: x}}, db: {{image: y, depends_on: [x]}}}}"
    assert [name for name, service in read_config(text, PLUGIN).items() if service.is_one_shot] == ["prestart"]
