"""Volumes: what docker and the server say of them, and the renames that exchange two of them, wherever they are cut."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from rollback_tasks.drivers import exchange, fresh, volumes
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.volumes import ClusterFacts, DataVolume, Mount
from tests.builders import RUN, a_project

PROJECT = a_project()
MARK = fresh.marker(RUN)


def renamed(root: Path, wanted: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", exchange.RENAME, "rename", "pgdata", "aside", MARK, wanted, str(root)]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in (("pgdata", "old"), ("aside", "new")):
        (tmp_path / name / "_data").mkdir(parents=True)
        (tmp_path / name / "_data/content").write_text(content)
    (tmp_path / "aside/_data" / MARK).touch()
    return tmp_path


def content(root: Path) -> tuple[str, str]:
    assert not (root / "pgdata/_data.rollback").exists()
    return (root / "pgdata/_data/content").read_text(), (root / "aside/_data/content").read_text()


def test_two_volumes_exchange_what_is_in_them_as_often_as_it_is_asked(root: Path) -> None:
    for wanted, found in (("old", ("old", "new")), ("new", ("new", "old")), ("old", ("old", "new"))):
        for _ in range(2):
            assert renamed(root, wanted).returncode == 0
            assert content(root) == found


@pytest.mark.parametrize("wanted", ["new", "old"])
@pytest.mark.parametrize("begins", ["old", "new"])
@pytest.mark.parametrize("done", [1, 2])
def test_an_exchange_that_was_cut_ends_as_it_is_wanted(root: Path, begins: str, done: int, wanted: str) -> None:
    assert renamed(root, begins).returncode == 0
    live, other, between = root / "pgdata/_data", root / "aside/_data", root / "pgdata/_data.rollback"
    live.rename(between)
    if done == 2:
        other.rename(live)
    assert renamed(root, wanted).returncode == 0
    assert content(root) == (("new", "old") if wanted == "new" else ("old", "new"))


@pytest.mark.parametrize("wanted", ["new", "old"])
@pytest.mark.parametrize("begins", ["old", "new"])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_nobody_is_stopped_for_an_exchange_that_would_move_nothing(
    root: Path, begins: str, done: int, wanted: str
) -> None:
    assert renamed(root, begins).returncode == 0
    live, other, between = root / "pgdata/_data", root / "aside/_data", root / "pgdata/_data.rollback"
    if done:
        live.rename(between)
    if done == 2:
        other.rename(live)
    words = ["sh", "-c", exchange.NEEDED, "needed", "pgdata", "aside", MARK, wanted, str(root)]
    asked = subprocess.run(words, capture_output=True, text=True)
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    moves = done > 0 or begins != wanted
    assert (asked.returncode, asked.stdout, asked.stderr) == (0 if moves else 3, "", "")
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before


def test_nothing_moves_where_it_is_not_clear_which_is_which(root: Path) -> None:
    (root / "aside/_data" / MARK).unlink()
    assert "neither of the volumes" in renamed(root, "new").stderr
    assert renamed(root, "old").returncode == 0
    assert content(root) == ("old", "new")
    (root / "pgdata/_data.rollback").mkdir()
    done = renamed(root, "new")
    assert done.returncode == 1
    assert "and so are both volumes" in done.stderr


def test_a_volume_that_is_gone_is_an_error_only_where_it_is_needed(root: Path) -> None:
    (root / "aside").rename(root / "gone")
    assert renamed(root, "old").returncode == 0
    assert renamed(root, "new").returncode == 1
    (root / "pgdata/_data" / MARK).touch()
    done = renamed(root, "old")
    assert (done.returncode, done.stderr) == (1, "volume aside is gone: there is nothing to exchange for\n")


def test_what_lies_on_another_disk_is_never_copied(root: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    (words / "stat").write_text("#!/bin/sh\ncase $3 in */aside/_data) echo 2 ;; *) echo 1 ;; esac\n")
    (words / "stat").chmod(0o755)
    args = ["sh", "-c", exchange.RENAME, "rename", "pgdata", "aside", MARK, "new", str(root)]
    path = f"{words}:{os.environ['PATH']}"
    done = subprocess.run(args, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert (done.returncode, "aside/_data lies on another disk than" in done.stderr) == (1, True)
    assert content(root) == ("old", "new")


def test_mounts_are_read() -> None:
    said = [
        {"Type": "volume", "Name": "comicpile_pgdata", "Destination": "/var/lib/postgresql/data", "Driver": "local"},
        {"Type": "bind", "Source": "/srv/pg.conf", "Destination": "/etc/pg.conf/"},
    ]
    assert volumes.read_mounts(f"1\n{json.dumps(said)}\n") == (
        1,
        (
            Mount(kind="volume", name="comicpile_pgdata", target="/var/lib/postgresql/data", driver="local"),
            Mount(kind="bind", name="/srv/pg.conf", target="/etc/pg.conf"),
        ),
    )
    assert volumes.read_mounts("2\nnull\n") == (2, ())


@pytest.mark.parametrize("text", ["", "x\n[]", "1\n", "1\n{}x", '1\n[{"Type": 1}]'])
def test_mounts_of_another_form_are_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        volumes.read_mounts(text)


def test_a_volume_is_read_with_those_that_have_it_besides_the_database() -> None:
    said = json.dumps({"Driver": "local", "Options": {"type": "nfs", "device": ":/x"}})
    text = f"{said}\ncomicpile db comicpile-db-1\n  reader\nother app other-app-1\n"
    assert volumes.read_volume(text, PROJECT) == ("local", ("device", "type"), ("reader", "other-app-1"))
    assert volumes.read_volume('{"Driver": "x", "Options": null}\n', PROJECT) == ("x", (), ())
    with pytest.raises(MalformedAnswer):
        volumes.read_volume("Error\n", PROJECT)


def test_a_cluster_is_read_and_what_runs_kept_is_not_taken_for_somebody_elses() -> None:
    said = {
        "data_folder": "/data/",
        "databases": ["metrics", f"comicpile__before_{RUN}"],
        "tablespaces": ["fast"],
        "slots": ["s"],
        "replicas": 1,
        "prepared": ["p"],
        "archives": True,
    }
    found = volumes.read_cluster(json.dumps(said), {"postgres": "3\n", "template1": "0\n", "x": ""})
    assert found == ClusterFacts(
        data_folder="/data",
        others=("metrics",),
        kept=(f"comicpile__before_{RUN}",),
        tablespaces=("fast",),
        slots=("s",),
        replicas=1,
        prepared=("p",),
        strays=("postgres",),
        archives=True,
    )
    with pytest.raises(MalformedAnswer):
        volumes.read_cluster("{}", {})


def test_the_new_server_reaches_nobody_and_writes_no_statement_down() -> None:
    volume = DataVolume(name="v", mounted_at="/data", data_folder="/data/pg", image="sha256:1")
    words = fresh.words(volume)
    for setting in ("listen_addresses=", "archive_mode=off", "log_min_error_statement=panic", "log_statement=none"):
        assert setting in words
    assert words[:2] == ("-D", "/data/pg")
