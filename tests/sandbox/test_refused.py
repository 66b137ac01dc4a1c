"""What cannot work is refused with its own exit code and a sentence that helps, and nothing on the host changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.stage import FOLDER, Laptop, Seen, Stage, until

pytestmark = pytest.mark.timeout(600, func_only=True)

FULL = ("rollback.full", "--host", "prod1", "--yes")


@pytest.fixture(scope="module")
def played(plugin_host: Stage) -> tuple[Stage, Seen]:
    """A host with bad code on it, for all tests of this file: none of them changes it."""
    return plugin_host, plugin_host.play("bad-code")


@pytest.fixture
def stage(played: tuple[Stage, Seen]) -> Iterator[Stage]:
    """The host; afterwards it has to be what it was."""
    host, before = played
    yield host
    assert host.look() == before


Change = Callable[[dict[str, Any]], object]


def nothing(document: dict[str, Any]) -> None:
    """Leave the inventory as it is."""


def elsewhere(document: dict[str, Any]) -> None:
    document["hosts"]["prod1"].update(hostname="127.0.0.1", port=1)


def misspelt(document: dict[str, Any]) -> None:
    document["defaults"]["healht"] = {}
    document["hosts"]["prod1"]["port"] = "ssh"
    document["groups"]["prod"] = ["prod1", "prod9"]


@pytest.mark.parametrize(
    ("words", "change", "code", "says"),
    [
        (("--yes",), nothing, 2, ["--host"]),
        (("--host", "prdo1", "--yes"), nothing, 2, ["prdo1", "prod1"]),
        (("--host", "prod1", "--yes"), misspelt, 2, ["healht", "health", "hosts.prod1.port", "prod9"]),
        (("--host", "prod1", "--yes"), elsewhere, 7, ["prod1", "127.0.0.1"]),
        (("--host", "prod1", "--yes", "--to", "v66"), nothing, 2, ["'v66'", "'v6'", "inv release.list --host prod1"]),
        (("--host", "prod1", "--yes", "--to", ""), nothing, 2, ["--to", "empty"]),
        (("--host", "prod1"), nothing, 2, ["no terminal", "--yes"]),
        (("--host", "prod1", "--yes", "--batch", "0"), nothing, 2, ["--batch"]),
        (("--host", "prod1", "--yes", "--to", "--force"), nothing, 2, ["--force"]),
        (("--host", "prod1", "--yes", "--to", "v1; touch /tmp/owned"), nothing, 2, ["touch"]),
    ],
    ids=[
        *("no host", "unknown host", "broken inventory", "unreachable", "unknown release", "empty release"),
        *("nobody to ask", "empty batch", "a flag for a release", "a command for a release"),
    ],
)
@pytest.mark.parametrize("is_json", [False, True], ids=["text", "json"])
def test_bad_input_is_said_and_nothing_changes(
    stage: Stage,
    operator: Laptop,
    words: tuple[str, ...],
    change: Change,
    code: int,
    says: list[str],
    is_json: bool,
) -> None:
    operator.change(change)
    ended = operator.inv("rollback.full", *words, *(["--json"] if is_json else []))
    assert (ended.code, [word for word in says if word not in ended.err]) == (code, []), ended.err
    assert "Traceback" not in ended.err
    if is_json:
        assert ended.document["exit_code"] == code
    assert stage.root("ls /tmp/owned 2>&1 || true").startswith("ls: ")


def test_a_host_with_another_key_than_the_known_one_is_not_spoken_to(stage: Stage, operator: Laptop) -> None:
    (operator.folder / "known_hosts").write_text(
        f"{stage.address} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
    )
    operator.change(lambda d: d["defaults"].update(known_hosts_file=str(operator.folder / "known_hosts")))
    ended = operator.inv(*FULL, "--json")
    assert (ended.code, ended.document["outcome"]) == (7, "unreachable")
    assert "SHA256:" in ended.host["error"]
    assert ("ssh-keygen -f" in ended.host["hint"], " -R " in ended.host["hint"]) == (True, True)
    assert "prod1: unreachable: " in ended.err


def test_a_downgrade_that_loses_data_presents_its_bill(stage: Stage, operator: Laptop) -> None:
    for accepted in ((), ("--accept-data-loss", "users.nickame"), ("--accept-data-loss", "invoices,users")):
        ended = operator.inv(*FULL, "--to", "v4", "--json", *accepted)
        assert (ended.code, ended.host["outcome"]) == (3, "blocked"), ended.err
        assert [(loss["name"], loss["count"]) for loss in ended.host["losses"]] == [("users.nickname", 1800)]
        assert "users.nickname" in ended.host["error"]
        assert "1800" in ended.host["error"].replace(",", "")
        assert "--accept-data-loss users.nickname" in ended.host["hint"]
        assert "users.nickname" in ended.err


def test_a_downgrade_that_raises_is_impossible_and_a_restore_is_named(stage: Stage, operator: Laptop) -> None:
    ended = operator.inv(*FULL, "--to", "v1", "--json")
    assert (ended.code, ended.host["outcome"], ended.host["verdict"]) == (3, "blocked", "impossible")
    assert "0002" in ended.host["error"]
    assert "inv rollback.restore --host prod1" in ended.host["hint"]
    assert ended.document["next"] == ended.host["hint"]


def test_a_disk_that_cannot_hold_the_dump_is_seen_before(stage: Stage, operator: Laptop) -> None:
    stage.root(f"install -d -o deploy -g deploy {FOLDER}/.rollback/backups")
    stage.root(f"mount -t tmpfs -o size=1m,uid=1000,gid=1000 tmpfs {FOLDER}/.rollback/backups")
    ended = operator.inv(*FULL, "--json")
    stage.root(f"umount {FOLDER}/.rollback/backups && rmdir {FOLDER}/.rollback/backups || true")
    assert (ended.code, ended.host["outcome"]) == (3, "blocked")
    assert "no room for the backup" in ended.host["error"]
    assert "backups.remote_dir" in ended.host["hint"]


def test_a_database_that_is_down_is_seen_before(stage: Stage, operator: Laptop) -> None:
    find = "db=$(docker ps -aq -f label=com.docker.compose.service=db); "
    stage.root(find + 'docker stop "$db"')
    ended = operator.inv(*FULL, "--json")
    stage.root(find + 'docker start "$db"; until docker exec "$db" pg_isready -q -h 127.0.0.1; do sleep 0.1; done')
    until(lambda: stage.health() == (500, "bad-code"), seconds=60)
    assert (ended.code, ended.host["outcome"]) == (3, "blocked")
    assert "the database cannot be reached" in ended.host["error"]
    assert ended.host["hint"]


@pytest.mark.parametrize(
    "words",
    [
        ("rollback.plan", "--host", "prod1"),
        ("rollback.full", "--host", "prod1", "--dry-run"),
        ("rollback.full", "--host", "prod1", "--yes", "--dry-run"),
        ("--dry", "rollback.full", "--host", "prod1", "--yes"),
    ],
    ids=["plan", "dry run", "dry run with yes", "invoke's own"],
)
def test_a_plan_shows_everything_and_changes_nothing(stage: Stage, operator: Laptop, words: tuple[str, ...]) -> None:
    ended = operator.inv(*words, "--json")
    assert (ended.code, ended.host["outcome"]) == (0, "planned"), ended.err
    kinds = [step["kind"] for step in ended.host["plan"]]
    assert kinds.index("backup_database") < kinds.index("stop_services") < kinds.index("verify_release")
    assert ended.host["to"]["images"] == {"app": stage.image_of("v6")}
    assert not operator.backups.exists()
    assert "downtime starts" in ended.err


def test_tasks_are_chained_and_the_chain_stops_at_the_first_failure(stage: Stage, operator: Laptop) -> None:
    on = ("--host", "prod1")
    ended = operator.inv("backup.list", *on, "verify.all", *on, "release.list", *on)
    assert ended.code == 9
    assert "not healthy: HTTP 500" in ended.out
    assert "RECORDED" not in ended.out
    twice = operator.inv("release.list", *on, "release.list", *on)
    assert (twice.code, twice.out.count("RECORDED")) == (0, 2)
    found = operator.inv("verify.all", *on, "--json").host["checks"]
    checks = {one["check"]: one["ok"] for one in found}
    assert (checks["health"], checks["migrations"]) == (False, True)
