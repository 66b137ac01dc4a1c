"""Compose as teams really use it: several files, profiles, fixed names, one-shot services, other project names, and a
work tree that somebody works in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.sandbox.project import Project
from tests.sandbox.stage import FOLDER, Laptop, Stage, laptop, until
from tests.sandbox.team import (
    app_dies,
    commit,
    compose_file,
    ids,
    images,
    inv,
    kept,
    must,
    team,
    up,
    verified,
    write,
)

pytestmark = [pytest.mark.timeout(600, func_only=True), pytest.mark.long]

BOTH = "-f docker-compose.yml -f deploy/prod.yml --profile web"


def container_names(stage: Stage) -> set[str]:
    """The names of all containers."""
    return set(stage.root("docker ps -a --format '{{.Names}}'").split())


def test_several_files_a_profile_and_a_fixed_name(stage: Stage, operator: Laptop) -> None:
    stage.play("v6")

    def fixed(services: dict[str, Any]) -> None:
        services["app"].update(container_name="comic-app", profiles=["web"])

    compose_file(stage, fixed)
    write(stage, "deploy/prod.yml", "services: {app: {environment: {EXTRA: one}}}\n")
    good = commit(stage, "files for production")
    up(stage, words=BOTH)
    stage.await_behaviour("v6")
    files = ["docker-compose.yml", "deploy/prod.yml"]
    operator.change(lambda document: document["defaults"].update(compose_files=files))
    recorded = operator.inv("release.mark", "--good", "--host", stage.name)
    assert recorded.code == 0, recorded.err
    verified(operator, stage)

    compose_file(stage, lambda services: services["app"].update(container_name="comic-app-2"))
    write(stage, "deploy/prod.yml", 'services: {app: {environment: {EXTRA: two}, command: [sh, -c, "exit 3"]}}\n')
    bad = commit(stage, "another name")
    up(stage, words=BOTH)
    until(lambda: stage.health()[0] == 0, seconds=60)
    before = stage.look()
    must(inv(operator, stage, "rollback.compose"), 0, "done")
    now = stage.look()
    assert (now.head, kept(now)) == (bad, kept(before))
    assert {"comic-app", "comic-app-2"} & container_names(stage) == {"comic-app"}
    said = stage.root("docker exec comic-app printenv EXTRA").strip()
    assert (said, now.status.split()) == ("one", ["M", "deploy/prod.yml", "M", "docker-compose.yml"])
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (kept(now), now.files, now.index) == (kept(before), before.files, before.index)
    assert {"comic-app", "comic-app-2"} & container_names(stage) == {"comic-app-2"}

    must(inv(operator, stage, "rollback.full"), 0, "done")
    assert (stage.look().head, stage.health()) == (good, (200, "v6"))
    verified(operator, stage)


def test_variables_that_are_tracked_go_back_with_the_code(stage: Stage, operator: Laptop) -> None:
    stage.play("v6")
    # The image's tag stands in a tracked file beside the compose file; secrets come from the work tree's own .env.
    team(stage, "cat .env >.env.all; echo APP_IMAGE=comic-pile:one >>.env.all; mv .env.all .env")
    stage.root("docker tag stage:v6 comic-pile:one")
    team(stage, "sed -i '/^.env$/d' .gitignore")
    good = commit(stage, "variables are tracked")
    up(stage)
    stage.await_behaviour("v6")
    recorded = operator.inv("release.mark", "--good", "--host", stage.name)
    assert recorded.code == 0, recorded.err
    stage.root("printf 'FROM stage:v6\\nCMD exit 3\\n' | docker build -q -t comic-pile:two -")
    team(stage, "sed -i s/comic-pile:one/comic-pile:two/ .env")
    commit(stage, "the next image")
    up(stage)
    until(lambda: stage.health()[0] == 0, seconds=60)
    before = stage.look()
    must(inv(operator, stage, "rollback.full"), 0, "done")
    now = stage.look()
    assert (now.head, stage.health()) == (good, (200, "v6"))
    assert "comic-pile:two" in "".join(before.images)
    assert now.images == before.images
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (now.files, now.running, now.head) == (before.files, before.running, before.head)
    stage.root("docker rm -f $(docker ps -aq -f label=com.docker.compose.service=app)")
    stage.root("docker rmi comic-pile:one comic-pile:two")


def prestart(services: dict[str, Any]) -> None:
    """A one-shot service that brings the schema up to date, and that the application waits for."""
    app = services["app"]
    services["prestart"] = {
        "image": app["image"],
        "command": ["alembic", "upgrade", "head"],
        "environment": app["environment"],
        "depends_on": ["db"],
    }
    app["depends_on"] = {
        "db": {"condition": "service_started"},
        "prestart": {"condition": "service_completed_successfully"},
    }


def test_older_code_is_not_offered_where_a_prestart_would_refuse_the_schema(stage: Stage, operator: Laptop) -> None:
    stage.play("bad-migration")
    stage.play("v6")
    compose_file(stage, prestart)
    good = commit(stage, "migrate before the start")
    up(stage)
    stage.await_behaviour("v6")
    recorded = operator.inv("release.mark", "--good", "--host", stage.name)
    assert recorded.code == 0, recorded.err
    verified(operator, stage)
    team(stage, "git cherry-pick -n bad-migration && git commit -qm bad")
    stage.root("docker tag stage:bad-migration comic-pile:latest")
    up(stage)
    until(lambda: stage.health()[0] == 500, seconds=60)
    before = stage.look()
    assert before.schema == ("0007",)
    refused = must(inv(operator, stage, "rollback.docker"), 3, "blocked")
    assert "the command of service prestart upgrades it at start" in refused.err
    assert stage.look() == before
    for services in (["app"], ["prestart", "app"]):
        operator.change(lambda document: document["defaults"].update(app_services=services))  # noqa: B023
        must(inv(operator, stage, "rollback.full", "--to", good), 0, "done")
        assert (stage.look().schema, stage.health()) == (("0006",), (200, "v6"))
        verified(operator, stage)
        up(stage)  # as the next deployment does: the older prestart takes the schema for its own
        verified(operator, stage)
        if services == ["app"]:
            must(inv(operator, stage, "rollback.redo"), 0, "done")
            until(lambda: stage.health()[0] == 500, seconds=60)
            assert stage.look().schema == ("0007",)


def test_a_database_with_another_image_is_left_alone_and_that_is_said(stage: Stage, operator: Laptop) -> None:
    stage.play("v6")
    stage.root("docker tag comic-pile-db comic-pile-db:next")
    try:
        compose_file(stage, lambda services: services["db"].update(image="comic-pile-db:next"))
        compose_file(stage, app_dies)
        commit(stage, "another database")
        up(stage, "--no-deps", "app")
        until(lambda: stage.health()[0] == 0, seconds=60)
        db = ids(stage, "db")
        told = (
            "the database's image differs (comic-pile-db:next, then comic-pile-db); the database service is left alone"
        )
        done = must(inv(operator, stage, "rollback.compose"), 0, "done")
        assert (told in done.err, ids(stage, "db")) == (True, db)
        verified(operator, stage)
        must(inv(operator, stage, "rollback.redo"), 0, "done")
        done = must(inv(operator, stage, "rollback.full"), 0, "done")
        assert (told in done.err, ids(stage, "db"), stage.health()) == (True, db, (200, "v6"))
        verified(operator, stage)
    finally:
        stage.root("docker rmi comic-pile-db:next")


_REMOVE = """\
docker ps -aq -f label=com.docker.compose.project=second | xargs -r docker rm -fv
docker volume rm -f second_pgdata second_wal_archive
docker network rm second_default
rm -rf -- "$1"
true
"""


def test_another_project_in_another_folder(stage: Stage, operator: Laptop, tmp_path: Path) -> None:
    stage.play("v6")
    second = Project(directory="/srv/second pile", name="second", port=8001, image="second-pile")
    sandbox = stage.sandbox
    stage.root(_REMOVE, second.directory)
    sandbox.add_project(stage.name, second)
    other = laptop(tmp_path / "second", sandbox.write_inventory("second.yaml", second))
    try:
        sandbox.deploy(stage.name, "v5", project=second)
        recorded = other.inv("release.mark", "--good", "--host", stage.name)
        assert recorded.code == 0, recorded.err
        sandbox.deploy(stage.name, "bad-code", project=second)
        first = stage.look()
        must(inv(other, stage, "rollback.docker"), 0, "done")
        assert stage.health(8001) == (200, "v5")
        verified(other, stage)
        must(inv(other, stage, "rollback.redo"), 0, "done")
        must(inv(other, stage, "rollback.full"), 0, "done")
        assert stage.health(8001) == (200, "v5")
        verified(other, stage)
        now = stage.look()
        assert (now.files, now.head, now.rows) == (first.files, first.head, first.rows)
        verified(operator, stage)
    finally:
        stage.root(_REMOVE, second.directory)


# A morning's work by hand, as deploy: changed, staged, staged and changed again, deleted, new, new and ignored.
_WORK = """\
echo "# by hand" >>app/health.py
echo "# staged" >>docker-compose.yml && git add docker-compose.yml && echo "# and more" >>docker-compose.yml
rm tests/test_smoke.py
echo new >"notes of the night.txt" && echo new >added.txt && git add added.txt
mkdir -p app/__pycache__ && echo ignored >app/__pycache__/cache.pyc && chmod 600 app/__pycache__/cache.pyc
"""


@pytest.mark.parametrize(("task", "release"), [("rollback.compose", "v6"), ("rollback.full", "bad-code")])
def test_work_in_the_checkout_is_all_there_after_the_way_back(
    stage: Stage, operator: Laptop, task: str, release: str
) -> None:
    stage.play(release)
    team(stage, _WORK)
    before = stage.look()
    must(inv(operator, stage, task), 0, "done")
    now = stage.look()
    assert stage.health() == (200, "v6")
    stayed = stage.root(f'cd {FOLDER} && cat "notes of the night.txt" app/__pycache__/cache.pyc')
    assert stayed == "new\nignored\n"
    if task == "rollback.compose":
        gone = {line for line in before.files if line not in now.files}
        assert [line.split()[2] for line in gone] == ["./docker-compose.yml"]
        assert "# by hand" in stage.root(f"cat {FOLDER}/app/health.py")
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (now.files, now.index, now.status) == (before.files, before.index, before.status)
    assert (now.head, now.branch, now.running, now.rows) == (before.head, before.branch, before.running, before.rows)
    assert images(stage)["app"] == {stage.image_of(release)}
