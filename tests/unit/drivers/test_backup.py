"""Manifests: what a backup folder is read into."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import manifests
from rollback_tasks.model.release import Backup, BackupLevel
from rollback_tasks.transport.local import LocalHost
from tests.builders import a_project

MANIFEST = {
    "version": 1,
    "name": "comicpile-x",
    "run_id": "x",
    "commit": "c" * 40,
    "taken_at": "2026-11-20T00:00:00Z",
    "seconds": 3,
    "sha256": "ab" * 32,
    "bytes": 1000,
    "level": "restored",
    "schema": ["s1"],
    "server": {"version": 150018, "database": "comicpile"},
    "counts": {"users": 3},
}


def manifest(**changes: object) -> str:
    said = {**MANIFEST, **changes}
    return f"1000 {said['name']}.manifest.json\n{json.dumps(said)}"


def test_a_manifest_is_read() -> None:
    assert manifests.read_manifests(manifest(), "/b") == (
        Backup(
            name="comicpile-x",
            path="/b/comicpile-x.dump",
            sha256="ab" * 32,
            size_bytes=1000,
            level=BackupLevel.RESTORED,
            taken_at="2026-11-20T00:00:00Z",
            database="comicpile",
            schema=("s1",),
            counts={"users": 3},
            run_id="x",
            commit="c" * 40,
            server_version=150018,
        ),
    )


def test_backups_are_told_newest_first() -> None:
    texts = [manifest(name=name, taken_at=at) for name, at in (("a", "1"), ("b", "3"), ("c", "2"), ("d", "3"))]
    assert [made.name for made in manifests.read_manifests("\0".join(texts), "/b")] == ["d", "b", "c", "a"]


@pytest.mark.parametrize(
    "text",
    ["", "{", manifest()[:-5], "[]", "null", manifest(level="splendid"), manifest(server=None), manifest(counts=3)]
    + [manifest(bytes="x"), manifest(name=3), "1000 x\n" + "[" * 100_000, manifest(sha256="ab"), "x y\n{}"],
)
def test_what_is_torn_or_of_another_form_is_no_backup(text: str) -> None:
    found = manifests.read_manifests(f"{text}\0{manifest(name='good')}", "/b")
    assert [made.name for made in found] == ["good"]


@pytest.mark.parametrize(
    "name", ["../../.ssh/authorized_keys", "/etc/passwd", "a/b", ".hidden", "", "a\nb", "a\x1b[2J", ".."]
)
def test_a_name_that_leads_elsewhere_is_no_backup(name: str) -> None:
    assert manifests.read_manifests(manifest(name=name), "/b") == ()


@pytest.mark.parametrize("name", ["comicpile-20261122T031501Z-4f2a", "имя с пробелом", "a.b", "-x", "$(x)"])
def test_any_other_name_is_one(name: str) -> None:
    assert [made.name for made in manifests.read_manifests(manifest(name=name), "/b")] == [name]


@given(st.text())
def test_no_text_whatever_raises(text: str) -> None:
    manifests.read_manifests(text, "/b")


def test_every_manifest_of_a_folder_is_printed_and_nothing_else(tmp_path: Path) -> None:
    folder, host = tmp_path / "back $(x) 'ups'", LocalHost()
    command = manifests.manifests(a_project(str(tmp_path), backup_folder=str(folder)))
    assert host.run(command).text == ""
    folder.mkdir()
    assert host.run(command).text == ""
    for name in ("a", "b с"):
        (folder / f"{name}.manifest.json").write_text(json.dumps({**MANIFEST, "name": name, "bytes": 4}))
        (folder / f"{name}.dump").write_text("data")
    (folder / "c.manifest.json.partial").write_text(json.dumps({**MANIFEST, "name": "c"}))
    (folder / "another name.manifest.json").write_text(json.dumps(MANIFEST))
    found = manifests.read_manifests(host.run(command).text, str(folder))
    assert {made.name: made.damage for made in found} == {"a": "", "b с": ""}
    (folder / "a.dump").unlink()
    (folder / "b с.dump").write_text("dat")
    found = manifests.read_manifests(host.run(command).text, str(folder), database="another")
    assert {made.name: (made.level, made.damage) for made in found} == {
        "a": (BackupLevel.WRITTEN, "the dump is missing"),
        "b с": (BackupLevel.WRITTEN, "the dump has 3 bytes, not 4"),
    }


def test_a_backup_of_another_database_is_not_proven_for_this_one() -> None:
    (made,) = manifests.read_manifests(manifest(), "/b", database="another")
    assert (made.level, made.damage) == (BackupLevel.WRITTEN, "it is of database comicpile")
    (made,) = manifests.read_manifests(manifest(), "/b", database="comicpile")
    assert (made.level, made.damage) == (BackupLevel.RESTORED, "")


OF_RUN = "20261101T000000Z-0001"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ""),
        ({"host": "prod1", "project": "comicpile"}, ""),
        # Hosts that share a database: whoever led made it.
        ({"host": "prod2", "project": "comicpile", "system": "77"}, ""),
        # A cluster that was made anew, on the same host.
        ({"host": "prod1", "project": "comicpile", "system": "66"}, ""),
        ({"host": "prod2", "project": "comicpile", "system": "66"}, "project comicpile on host prod2"),
        ({"host": "prod1", "project": "shop", "system": "66"}, "project shop on host prod1"),
        ({"host": "prod2"}, "project unknown on host prod2"),
        (
            {"host": "prod1", "system": "77", "database": f"comicpile__before_{OF_RUN}"},
            f"database comicpile__before_{OF_RUN}, which run {OF_RUN} put aside",
        ),
    ],
)
def test_a_backup_of_another_deployment_is_told_from_ours(said: dict[str, str], expected: str) -> None:
    known = {"database": "comicpile", **said}
    server = {"version": 150018, "database": known.pop("database"), "system": known.pop("system", "")}
    (backup,) = manifests.read_manifests(manifest(server=server, **known), "/b", database="comicpile")
    assert backup.damage == ""
    assert manifests.origin(backup, a_project(), host="prod1", system="77") == expected


def test_a_backup_of_a_database_that_another_one_put_aside_is_of_another_database() -> None:
    server = {"version": 150018, "database": f"other__before_{OF_RUN}"}
    (backup,) = manifests.read_manifests(manifest(server=server), "/b", database="comicpile")
    assert backup.damage == f"it is of database other__before_{OF_RUN}"
