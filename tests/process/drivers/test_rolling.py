"""Containers exchanged, against an engine made of a file: wherever it was cut, and as often as it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.drivers import answering, rolling, trial
from rollback_tasks.drivers.answering import Door
from rollback_tasks.errors import CommandFailed
from rollback_tasks.shell import Command
from tests.builders import RUN, a_project
from tests.fakes import FakeDocker

OLD, NEW = "sha256:1", "sha256:2"
DOOR = Door(port="", fallback="8000", path="/health")


def one(identity: str, service: str = "app", **more: object) -> dict[str, object]:
    given = {"id": identity, "project": "comicpile", "service": service, "state": "running", "image": OLD}
    return {**given, **more}


class Site:
    """A project with two containers of ``app``, and the commands that exchange them."""

    def __init__(self, folder: Path) -> None:
        self.docker = FakeDocker(
            folder,
            containers=[one("a1"), one("a2"), one("d1", "db", image="sha256:9")],
            images={"pile:latest": NEW, "worker:latest": NEW, "old:1": OLD},
            references={"app": "pile", "worker": "worker"},
        )
        self.project = replace(a_project(str(folder)), app_services=("app", "worker"))
        self.logs = folder / "evidence"
        self.target = {"app": (NEW, 2)}
        self.before = {"app": (OLD, 2)}

    def name(self, image: str) -> None:
        self.docker.change(images={**self.docker.state["images"], "pile:latest": image, "worker:latest": image})

    @property
    def seen(self) -> list[tuple[str, str, str]]:
        """Service, image and state of each container."""
        return sorted((c["service"], c["image"], c["state"]) for c in self.docker.state["containers"])

    def run(self, command: Command) -> str:
        return self.docker.run(command).text

    def forward(self) -> list[Command]:
        return [
            rolling.start_beside(self.project, self.target),
            rolling.retire(self.project, self.target, grace=20),
            rolling.remove(self.project, self.target, str(self.logs)),
        ]

    def back(self) -> Command:
        return rolling.swap(self.project, self.before, str(self.logs), door=DOOR, patience=0, grace=20)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


DB = ("db", "sha256:9", "running")
OLD_RUN = [("app", OLD, "running")] * 2
NEW_RUN = [("app", NEW, "running")] * 2


def test_the_new_ones_run_before_an_old_one_stops_and_the_old_ones_stay_until_the_end(site: Site) -> None:
    start, retire, remove = site.forward()
    for _ in range(2):
        site.run(start)
        assert site.seen == sorted([DB, *OLD_RUN, *NEW_RUN])
    for _ in range(2):
        site.run(retire)
        stopped = [("app", OLD, "exited")] * 2
        assert site.seen == sorted([DB, *stopped, *NEW_RUN])
    for _ in range(2):
        site.run(remove)
        assert site.seen == sorted([DB, *NEW_RUN])
    assert sorted(path.name for path in site.logs.iterdir()) == ["left-app-a1.log", "left-app-a2.log"]
    assert {path.stat().st_mode & 0o077 for path in site.logs.iterdir()} == {0}


@pytest.mark.parametrize("steps", range(4))
def test_from_anywhere_the_way_back_ends_with_what_ran(site: Site, steps: int) -> None:
    for command in site.forward()[:steps]:
        site.run(command)
    site.name(OLD)
    for _ in range(1 + (steps == 2)):
        site.run(site.back())
        assert site.seen == sorted([DB, *OLD_RUN])
    if steps < 3:
        assert {c["id"] for c in site.docker.state["containers"]} == {"a1", "a2", "d1"}


def half_made(site: Site) -> None:
    site.docker.change(containers=[*site.docker.state["containers"], one("x", image=NEW, state="created")])


def half_stopped(site: Site) -> None:
    site.run(site.forward()[0])
    crowd = site.docker.state["containers"]
    next(c for c in crowd if c["id"] == "a1")["state"] = "exited"
    site.docker.change(containers=crowd)


def half_gone(site: Site) -> None:
    site.run(site.forward()[0])
    site.docker.change(containers=[c for c in site.docker.state["containers"] if c["id"] != "a2"])


@pytest.mark.parametrize("cut", [half_made, half_stopped, half_gone])
def test_a_cut_in_the_middle_is_undone_and_can_be_gone_on_with(site: Site, cut: Callable[[Site], Any]) -> None:
    cut(site)
    site.name(OLD)
    site.run(site.back())
    assert site.seen == sorted([DB, *OLD_RUN])
    site.name(NEW)
    cut(site)
    for command in site.forward():
        site.run(command)
    assert site.seen == sorted([DB, *NEW_RUN])


def test_a_service_that_keeps_its_image_is_left_alone(site: Site) -> None:
    target = {"app": (NEW, 2), "worker": (OLD, 1)}
    site.docker.change(containers=[*site.docker.state["containers"], one("w1", "worker")])
    for act in (rolling.start_beside(site.project, target), rolling.retire(site.project, target, grace=0)):
        site.run(act)
    assert ("worker", OLD, "running") in site.seen
    assert len([each for each in site.seen if each[0] == "worker"]) == 1


def test_a_name_that_means_another_image_stops_nothing(site: Site) -> None:
    site.name("sha256:3")
    with pytest.raises(CommandFailed, match="compose made no app of image sha256:2"):
        site.run(site.forward()[0])
    with pytest.raises(CommandFailed, match="app has no container of image sha256:2"):
        site.run(site.forward()[1])
    assert [each for each in site.seen if each[1] == OLD] == OLD_RUN


@pytest.mark.parametrize("broken", ["version", "ps", "compose"])
def test_an_engine_that_does_not_answer_costs_no_container(site: Site, broken: str) -> None:
    before = site.seen
    site.docker.change(broken=[broken])
    with pytest.raises(CommandFailed):
        site.run(site.forward()[0])
    site.docker.change(broken=[])
    assert site.seen == before


def test_new_containers_are_asked_one_by_one(site: Site) -> None:
    wanted = {"app": (OLD, 2)}
    assert site.run(answering.addresses(site.project, wanted, DOOR)) == "127.0.0.1:8000\n" * 2
    site.docker.change(containers=[one("a1", exposed="9000/tcp 9001/tcp ")])
    assert site.run(answering.addresses(site.project, {"app": (OLD, 1)}, DOOR)) == "127.0.0.1:9000\n"
    named = replace(DOOR, port="7000")
    assert site.run(answering.addresses(site.project, {"app": (OLD, 1)}, named)) == "127.0.0.1:7000\n"


@pytest.mark.parametrize(
    ("crowd", "problem"),
    [
        ([one("a1")], "only 1 of 2 new containers of app run"),
        ([one("a1"), one("a2", image=NEW)], "only 1 of 2 new containers of app run"),
        ([one("a1"), one("a2", health="starting")], "the container a2 is running starting"),
        ([one("a1"), one("a2", address="")], "the container a2 has no address"),
        ([one("a1"), one("a2")], "only 0 of 1 new containers of worker run"),
    ],
)
def test_who_is_not_ready_is_not_asked(site: Site, crowd: list[dict[str, object]], problem: str) -> None:
    site.docker.change(containers=crowd)
    with pytest.raises(CommandFailed, match=problem):
        site.run(answering.addresses(site.project, {"app": (OLD, 2), "worker": (OLD, 1)}, DOOR))


@pytest.mark.parametrize(
    ("crowd", "problem"),
    [
        ([one("a1", state="restarting", restarts=9), one("a2", image=NEW)], ""),
        ([one("a1", state="exited", code=143), one("a2", image=NEW)], ""),
        (
            [one("a1"), one("a2", image=NEW, state="restarting", restarts=3)],
            "keeps dying (3 restarts): last words of a2",
        ),
        ([one("a1"), one("a2", image=NEW, state="exited", code=0)], "ended with exit code 0: last words of a2"),
    ],
)
def test_only_the_new_ones_have_to_live(site: Site, crowd: list[dict[str, object]], problem: str) -> None:
    site.docker.change(containers=crowd)
    done = site.docker.run(answering.live(site.project, {"app": (NEW, 1)}))
    assert (done.exit_code, problem in done.error_text) == (int(bool(problem)), True)


def test_the_container_of_a_trial_is_removed_with_its_logs_kept_and_only_it(site: Site) -> None:
    name = trial.trial_name(RUN, "app")
    end = trial.end_trial(site.project, RUN, ("app",))
    before = site.seen
    site.run(end)
    site.docker.change(containers=[*site.docker.state["containers"], one(name, oneoff="True")])
    assert site.run(trial.trial_place(RUN, "app", DOOR)) == "127.0.0.1:8000\n"
    assert site.docker.run(trial.trial_lives(RUN, ("app",))).exit_code == 0
    for _ in range(2):
        site.run(end)
        assert site.seen == before
    log = Path(site.project.run_folder(RUN)) / f"evidence/{name}.log"
    assert log.stat().st_mode & 0o077 == 0
    assert site.docker.run(trial.trial_lives(RUN, ("app",))).exit_code == 1
