"""Images, compose files and containers go back alone, from a broken state to a verified one, and come back by redo."""

from __future__ import annotations

import pytest

from tests.sandbox.stage import FOLDER, Laptop, Seen, Stage, until
from tests.sandbox.team import (
    COMPOSE,
    app_dies,
    commit,
    compose_file,
    ids,
    images,
    inv,
    kept,
    lay,
    must,
    team,
    up,
    verified,
)

pytestmark = pytest.mark.timeout(600, func_only=True)


def test_images_alone_go_back_and_come_back(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("bad-code")
    _images_go_back(plugin_host, operator, before)
    back = must(inv(operator, plugin_host, "rollback.redo"), 0, "done")
    assert "the application was not healthy before that run: what was broken then comes back" in back.err
    now = plugin_host.look()
    assert (now.running, kept(now), now.files) == (before.running, kept(before), before.files)


def _images_go_back(stage: Stage, operator: Laptop, before: Seen) -> None:
    done = must(inv(operator, stage, "rollback.docker", "--reason", "wrong answers"), 0, "done")
    now = stage.look()
    assert (now.running, stage.health()) == ((stage.image_of("v6"),), (200, "v6"))
    assert (kept(now), now.files, now.index) == (kept(before), before.files, before.index)
    assert done.host["downtime_seconds"] > 0
    verified(operator, stage)


@pytest.mark.long
def test_the_ledger_follows_images_to_and_fro(standalone_host: Stage, operator: Laptop) -> None:
    stage = standalone_host
    before = stage.play("bad-code")
    _images_go_back(stage, operator, before)
    shown = operator.inv("release.show", "--host", stage.name, "--release", before.head)
    assert (shown.code, "wrong answers" in shown.out) == (9, True), shown.out
    assert must(inv(operator, stage, "rollback.docker"), 0, "noop").host["noop_reason"]
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    stage.await_behaviour("bad-code")
    shown = operator.inv("release.show", "--host", stage.name, "--release", before.head)
    assert (shown.code, "never recorded" in shown.out) == (0, True), shown.out
    must(inv(operator, stage, "rollback.docker"), 0, "done")
    assert stage.health() == (200, "v6")


@pytest.mark.long
def test_a_compose_file_goes_back_and_comes_back(stage: Stage, operator: Laptop) -> None:
    stage.play("v6")
    compose_file(stage, app_dies)
    head = commit(stage, "start it in another way")
    up(stage)
    until(lambda: stage.health()[0] == 0, seconds=60)
    before = stage.look()
    done = must(inv(operator, stage, "rollback.compose"), 0, "done")
    now = stage.look()
    assert (now.head, kept(now), stage.health()) == (head, kept(before), (200, "v6"))
    assert [line for line in now.files if line not in before.files] == [
        line for line in now.files if "docker-compose.yml" in line
    ]
    assert now.status == "M  docker-compose.yml"
    verified(operator, stage)
    assert done.host["to"]["release"].endswith("with the compose file of v6"), done.host
    must(inv(operator, stage, "rollback.compose"), 0, "noop")

    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (kept(now), now.files, now.index, now.status) == (kept(before), before.files, before.index, before.status)
    assert stage.health()[0] == 0
    must(inv(operator, stage, "rollback.compose", "--to", "v6"), 0, "done")
    verified(operator, stage)


@pytest.mark.long
@pytest.mark.parametrize("flag", ["", "--skip-worktree", "--assume-unchanged"])
def test_a_compose_file_that_was_changed_by_hand_becomes_that_of_the_release(
    stage: Stage, operator: Laptop, flag: str
) -> None:
    stage.play("v6")
    if flag:
        team(stage, 'git update-index "$1" docker-compose.yml', flag)
    compose_file(stage, app_dies)
    up(stage)
    before = stage.look()
    flags = team(stage, "git ls-files -v docker-compose.yml")
    must(inv(operator, stage, "rollback.compose"), 0, "done")
    now = stage.look()
    assert (now.status, stage.health()) == ("", (200, "v6"))
    verified(operator, stage)
    # Nothing was said against the release: it is what the ledger calls good, and a rollback finds it still.
    shown = operator.inv("release.show", "--host", stage.name, "--release", "v6")
    assert (shown.code, " good " in shown.out) == (0, True), shown.out

    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (kept(now), now.files, now.index) == (kept(before), before.files, before.index)
    assert team(stage, "git ls-files -v docker-compose.yml") == flags


@pytest.mark.long
def test_a_file_that_compose_refuses_is_laid_back_under_containers_that_stay(stage: Stage, operator: Laptop) -> None:
    before = stage.play("v6")
    stage.root(f'echo "services: [" >>{COMPOSE}')
    broken = stage.look()
    refused = inv(operator, stage, "rollback.docker", "--to", "v5")
    assert (refused.code, "inv rollback.compose" in refused.err) == (3, True), refused.err
    done = must(inv(operator, stage, "rollback.compose"), 0, "done")
    assert "compose refuses the file that is there" in done.err
    now = stage.look()
    assert (now.files, now.status, now.app) == (before.files, "", before.app)
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (now.files, now.app, stage.health()) == (broken.files, broken.app, (200, "v6"))


@pytest.mark.long
def test_a_run_is_not_taken_back_to_a_file_that_compose_refuses_once_its_containers_are_gone(
    stage: Stage, operator: Laptop
) -> None:
    stage.play("v6")
    compose_file(stage, lambda services: services["app"]["environment"].update(EXTRA="by hand"))
    up(stage)
    stage.await_behaviour("v6")
    stage.root(f'echo "services: [" >>{COMPOSE}')
    must(inv(operator, stage, "rollback.compose"), 0, "done")
    verified(operator, stage)
    before = stage.look()
    refused = must(inv(operator, stage, "rollback.redo"), 3, "blocked")
    assert "compose refuses the file that would come back" in refused.err
    assert stage.look() == before


@pytest.mark.long
def test_containers_are_made_anew_from_the_file_that_is_there(stage: Stage, operator: Laptop) -> None:
    before = stage.play("v6")
    told = must(inv(operator, stage, "rollback.config"), 0, "noop")
    assert "--force" in told.host["noop_reason"]
    # The seed's trouble: somebody started the application with what only his shell had.
    team(
        stage,
        "export DATABASE_URL=postgresql+psycopg://nobody:x@db:5432/none; compose up -d --no-build app 2>&1",
    )
    until(lambda: stage.health()[0] == 500, seconds=60)
    done = must(inv(operator, stage, "rollback.config"), 0, "done")
    assert "variables DATABASE_URL differ" in done.err
    now = stage.look()
    assert (now.running, now.files, kept(now)) == (before.running, before.files, kept(before))
    verified(operator, stage)

    stage.root('docker rm -f "$1"', ids(stage)[0])
    gone = stage.look()
    must(inv(operator, stage, "rollback.config"), 0, "done")
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    assert stage.look().without_traces() == gone.without_traces()


_COPY = """\
printf 'FROM stage:v6\\nLABEL copy=%s\\n' "$1" | docker build -q - 2>/dev/null
"""


def dangling(stage: Stage, name: str) -> str:
    """Make an image like that of v6, without a name; return its id."""
    return stage.root(_COPY, name).strip().splitlines()[-1]


@pytest.mark.long
def test_an_image_without_a_name_serves_on_a_host_without_a_ledger(stage: Stage, operator: Laptop) -> None:
    before = stage.play("bad-code")
    stage.root(f"rm -rf {FOLDER}/.rollback")
    wanted = dangling(stage, "a")
    asked = must(inv(operator, stage, "rollback.docker"), 3, "blocked")
    assert "--image ID" in asked.err
    must(inv(operator, stage, "rollback.docker", "--image", wanted.removeprefix("sha256:")[:12]), 0, "done")
    assert (images(stage)["app"], stage.health()) == ({wanted}, (200, "v6"))
    stage.root("docker image prune -f")
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    now = stage.look()
    assert (now.running, kept(now), now.images) == (before.running, kept(before), before.images)
    stage.await_behaviour("bad-code")


@pytest.mark.long
def test_an_image_that_was_pruned_is_refused_before_anything_is_touched(stage: Stage, operator: Laptop) -> None:
    stage.play("bad-code")
    stage.play("v6")
    pruned = dangling(stage, "b")
    stage.root('docker tag "$1" comic-pile:latest', pruned)
    up(stage)
    stage.await_behaviour("v6")
    recorded = operator.inv("release.mark", "--good", "--host", stage.name)
    assert recorded.code == 0, recorded.err
    lay(stage, "bad-code")
    stage.await_behaviour("bad-code")
    stage.root('docker image inspect --format "{{join .RepoTags \\" \\"}}" "$1" | xargs docker rmi', pruned)
    before = stage.look()
    for words in ((), ("--image", pruned), ("--image", pruned[7:19])):
        refused = must(inv(operator, stage, "rollback.docker", *words), 3, "blocked")
        assert "it was pruned" in refused.err
        assert stage.look() == before
    must(inv(operator, stage, "rollback.full", "--to", "v6"), 0, "done")


@pytest.mark.long
def test_two_services_on_one_image_go_back_together(stage: Stage, operator: Laptop) -> None:
    stage.play("bad-code")
    stage.play("v6")
    compose_file(
        stage,
        lambda services: services.update(
            worker={
                **services["app"],
                "ports": [],
                "command": ["uvicorn", "app.main:app", "--port", "9000"],
            }
        ),
    )
    commit(stage, "a worker")
    up(stage, "app", "worker")
    operator.change(lambda document: document["defaults"].update(app_services=["app", "worker"]))
    recorded = operator.inv("release.mark", "--good", "--host", stage.name)
    assert recorded.code == 0, recorded.err
    good, bad = images(stage), stage.image_of("bad-code")
    stage.root("docker tag stage:bad-code comic-pile:latest")
    up(stage, "app", "worker")
    until(lambda: stage.health()[0] == 500, seconds=60)
    assert (images(stage)["app"], images(stage)["worker"]) == ({bad}, {bad})
    must(inv(operator, stage, "rollback.docker"), 0, "done")
    assert images(stage) == good
    verified(operator, stage)
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    assert (images(stage)["app"], images(stage)["worker"]) == ({bad}, {bad})


@pytest.mark.long
def test_images_go_back_with_the_database_down(stage: Stage, operator: Laptop) -> None:
    before = stage.play("bad-code")
    (db,) = ids(stage, "db")
    stage.root('docker stop -t 5 "$1"', db)
    done = must(inv(operator, stage, "rollback.docker"), 0, "done")
    assert "the database cannot be reached" in done.err
    assert images(stage)["app"] == {stage.image_of("v6")}
    stage.root('docker start "$1"', db)
    until(lambda: stage.health() == (200, "v6"), seconds=60)
    # What the application said while its database was away stays in its log.
    verified(operator, stage, but=("logs",))
    must(inv(operator, stage, "rollback.redo"), 0, "done")
    assert stage.look().running == before.running


@pytest.mark.long
@pytest.mark.parametrize("task", ["rollback.docker", "rollback.compose", "rollback.config"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before they start", "after they started"])
def test_what_cannot_start_is_put_back(plugin_host: Stage, operator: Laptop, task: str, is_after: bool) -> None:
    stage = plugin_host
    stage.play("bad-code" if task == "rollback.docker" else "v6")
    if task != "rollback.docker":
        compose_file(stage, lambda services: services["app"]["environment"].update(EXTRA="by hand"))
    if task == "rollback.compose":
        up(stage)
    before = stage.look()
    served = stage.health()
    stage.when_docker("compose *up -d*", "exit 1" if not is_after else "code=1", is_after=is_after)
    try:
        ended = must(inv(operator, stage, task), 4, "restored")
        assert stage.was_sprung()
    finally:
        stage.disarm()
    until(lambda: stage.health() == served, seconds=60)
    now = stage.look()
    assert (kept(now), now.files, now.index, now.status) == (kept(before), before.files, before.index, before.status)
    assert (now.running, now.images, is_after or now.app == before.app) == (before.running, before.images, True)
    assert ended.host["to"] == ended.host["from"]
