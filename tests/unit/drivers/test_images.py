"""Images: listed, found by their names, pinned, built out of another checkout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.drivers import images
from rollback_tasks.errors import CommandFailed, MalformedAnswer
from rollback_tasks.shell import Secret
from tests.fakes import FakeDocker

RECORDED = Path(__file__).parents[2] / "data/docker"
ONE, TWO, THREE = ("sha256:" + digit * 64 for digit in "123")


def test_a_recorded_listing_is_read() -> None:
    found = images.read_listing((RECORDED / "plugin-5.6.1/listing.txt").read_text())
    app, db = found["comic-pile:latest"], found["comic-pile-db:latest"]
    named = {name: image for name, image in found.items() if name != image}
    assert named == {
        "comic-pile:latest": app,
        f"rollback-keep/comicpile-app:{app[7:19]}": app,
        "rollback-keep/comicpile-app:commit-38b9033e0177": found["rollback-keep/comicpile-app:commit-38b9033e0177"],
        "comic-pile-db:latest": db,
        "comicpile-base:latest": found["comicpile-base:latest"],
    }
    assert len(found) - len(named) == 7


@pytest.mark.parametrize("text", ["Cannot connect to the Docker daemon", "abc x:1", "\n"])
def test_a_listing_of_another_form_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        images.read_listing(text)


LISTED = images.read_listing(
    f"{ONE} app:latest app@<none>\n{TWO} localhost:5000/app:2 localhost:5000/app@sha256:aa\n"
    f"{THREE} <none>:<none> <none>@<none>\n{THREE} team/app:<none> team/app@sha256:bb\n"
)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("app", ONE),
        ("app:latest", ONE),
        ("app:1", None),
        ("docker.io/library/app", ONE),
        ("docker.io/app:latest", ONE),
        ("index.docker.io/library/app:latest", ONE),
        ("localhost:5000/app", None),
        ("localhost:5000/app:2", TWO),
        ("localhost:5000/app@sha256:aa", TWO),
        ("localhost:5000/app:2@sha256:aa", TWO),
        ("localhost:5000/app:9@sha256:aa", TWO),
        ("localhost:5000/app@sha256:ab", None),
        ("docker.io/team/app@sha256:bb", THREE),
        ("team/app", None),
        (THREE, THREE),
        ("<none>:<none>", None),
        ("", None),
    ],
)
def test_a_reference_means(reference: str, found: str | None) -> None:
    assert images.find(LISTED, reference) == found


@pytest.mark.parametrize(
    ("project", "service", "key", "name"),
    [
        ("comicpile", "app", ONE, "rollback-keep/comicpile-app:111111111111"),
        ("comicpile", "app", "2a" * 20, "rollback-keep/comicpile-app:commit-2a2a2a2a2a2a"),
        ("My_Project", "odd.name_1", ONE, "rollback-keep/my-project-odd-name-1:111111111111"),
        ("-x-", "_y_", ONE, "rollback-keep/x-y:111111111111"),
    ],
)
def test_a_pin_is_a_legal_name_that_tells_what_it_keeps(project: str, service: str, key: str, name: str) -> None:
    assert images.pin_name(project, service, key) == name


def words(build: Mapping[str, Any], folder: str = "/srv/app") -> list[str]:
    return list(images.build(build, folder=folder, tree="/run/tree", name="pin:1").argv)


@pytest.mark.parametrize(
    ("build", "context", "dockerfile"),
    [
        ({"context": "/srv/app"}, "/run/tree", "/run/tree/Dockerfile"),
        ({}, "/run/tree", "/run/tree/Dockerfile"),
        ({"context": "."}, "/run/tree", "/run/tree/Dockerfile"),
        ({"context": "/srv/app/sub", "dockerfile": "Other"}, "/run/tree/sub", "/run/tree/sub/Other"),
        ({"context": "/srv/app/sub", "dockerfile": "../D"}, "/run/tree/sub", "/run/tree/D"),
        ({"context": "/srv/app", "dockerfile": "/srv/app/docker/D"}, "/run/tree", "/run/tree/docker/D"),
    ],
)
def test_a_build_reads_the_targets_checkout_and_never_the_live_one(
    build: Mapping[str, Any], context: str, dockerfile: str
) -> None:
    assert images.build_problem(build, "/srv/app") == ""
    assert words(build) == ["docker", "build", "-t", "pin:1", "-f", dockerfile, context]


def test_a_build_takes_its_target_its_network_and_arguments_that_nobody_sees() -> None:
    arguments = {"VERSION": 1, "TOKEN": "it costs $$5", "NONE": None}
    for said in (arguments, ["VERSION=1", "TOKEN=it costs $$5", "NONE"]):
        build = {"context": ".", "args": said, "target": "last", "network": "host"}
        command = images.build(build, folder="/srv/app", tree="/run/tree", name="pin:1")
        middle = ["--build-arg", "VERSION", "--build-arg", "TOKEN", "--build-arg", "NONE"]
        assert list(command.argv[6:-1]) == [*middle, "--target", "last", "--network", "host"]
        assert command.secret_env == (("VERSION", Secret("1")), ("TOKEN", Secret("it costs $5")), ("NONE", Secret("")))


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        ({"context": "/srv/other"}, "its build reads /srv/other, which is no part of the checkout"),
        ({"context": ".."}, "its build reads .., which is no part of the checkout"),
        ({"context": "/srv/app/../x"}, "its build reads /srv/app/../x, which is no part of the checkout"),
        ({"context": "/srv/application"}, "its build reads /srv/application, which is no part of the checkout"),
        (
            {"context": "https://example.com/x.git"},
            "its build reads https://example.com/x.git, which is no part of the checkout",
        ),
        ({"context": ".", "dockerfile": "/etc/D"}, "its build reads /etc/D, which is no part of the checkout"),
        ({"context": ".", "dockerfile_inline": "FROM x"}, "its Dockerfile stands in the compose file"),
        ({"args": {"A": "x\ny"}}, "its build argument 'A' holds a line break or is no name of a variable"),
        ({"args": ["a.b=1"]}, "its build argument 'a.b' holds a line break or is no name of a variable"),
    ],
)
def test_what_cannot_be_built_out_of_another_checkout_says_why(build: Mapping[str, Any], problem: str) -> None:
    assert images.build_problem(build, "/srv/app") == problem


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path, images={"app:latest": ONE, "pin:1": ONE, "pin:2": TWO, "lonely:1": THREE})


def test_names_are_made_to_mean_images_and_checked(docker: FakeDocker) -> None:
    with pytest.raises(CommandFailed, match="app is sha256:1"):
        docker.run(images.mean({"app": "pin:2"}))
    docker.run(images.tag({"app": "pin:2", "new:3": TWO}))
    docker.run(images.mean({"app": "pin:2", "new:3": TWO, TWO: TWO}))
    with pytest.raises(CommandFailed, match="gone is not on the host"):
        docker.run(images.mean({"app": "gone"}))
    with pytest.raises(CommandFailed, match="gone is not on the host"):
        docker.run(images.mean({"gone": "app"}))
    docker.run(images.mean({}))
    docker.run(images.tag({}))


def test_names_that_were_none_are_taken_away_and_their_images_stay(docker: FakeDocker) -> None:
    docker.run(images.tag({"app": "pin:2", "new:3": "pin:2"}))
    for _ in range(2):
        docker.run(images.retag({"app": ONE}, {"new:3", "never:1"}))
        assert docker.state["images"] == {"app:latest": ONE, "pin:1": ONE, "pin:2": TWO, "lonely:1": THREE}


def test_the_last_name_of_an_image_is_never_taken_away(docker: FakeDocker) -> None:
    docker.run(images.retag({}, {"lonely:1"}))
    assert docker.state["images"]["lonely:1"] == THREE
