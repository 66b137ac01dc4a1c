"""A backup that is not what it was is never taken for proven, however it was damaged."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, backup_check, backup_folder, manifests, scratch
from rollback_tasks.drivers.backup_check import Verified
from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.release import BackupLevel
from tests.builders import RUN, commit
from tests.postgres.conftest import Server, Site, make_site
from tests.postgres.test_facts import TABLES

NAME = f"app-{RUN}"


def made(site: Site, name: str = NAME) -> Path:
    """Back up and prove; return the dump."""
    site.run(backup.dump(site.project, name=name, run_id=RUN, commit=commit(3), timeout=60))
    site.run(scratch.prove(site.project, backup=name, run_id=RUN, timeout=60))
    site.run(scratch.drop_scratch(site.project, RUN))
    return Path(site.project.backup_folder) / f"{name}.dump"


def verified(site: Site, name: str = NAME, *, is_quick: bool = False) -> Verified:
    folder = Path(site.project.database_site.run_folder(RUN))
    folder.mkdir(parents=True, exist_ok=True)
    site.run(backup_check.verify(site.project, backup=name, run_id=RUN, is_quick=is_quick, timeout=60))
    (found,) = backup_check.read_answers(site.run(backup_check.answers(site.project, RUN)).text)
    return found


def listed(site: Site) -> BackupLevel:
    """How far `backup.list` says that the only backup is proven."""
    text = site.run(manifests.manifests(site.project)).text
    (found,) = manifests.read_manifests(text, site.project.backup_folder, database=site.project.database)
    return found.level


def forge(dump: Path) -> None:
    """Make the manifest agree with the bytes that are there, and say that they were restored."""
    manifest = dump.with_suffix(".manifest.json")
    data = dump.read_bytes()
    digest = f'"sha256": "{hashlib.sha256(data).hexdigest()}",\n"bytes"'
    text = re.sub(r'"sha256": "[0-9a-f]{64}",\n"bytes"', digest, manifest.read_text())
    text = re.sub(r'"bytes": \d+', f'"bytes": {len(data)}', text)
    manifest.write_text(re.sub(r'"level": "[a-z]+"', '"level": "restored"', text))


@pytest.fixture
def whole(site: Site) -> tuple[Site, Path]:
    site.lay(TABLES + "create table filler as select i, md5(i::text) from generate_series(1, 20000) i;")
    return site, made(site)


def damages(data: bytes) -> dict[str, bytes]:
    """20 cuts and 20 flipped bits, always the same, and nothing at all."""
    chance = random.Random(7)
    found = {"empty": b""}
    for part in range(20):
        found[f"cut {part}"] = data[: len(data) * part // 20 + chance.randrange(1, len(data) // 20)]
        flipped = bytearray(data)
        flipped[len(data) * part // 20 + chance.randrange(len(data) // 20)] ^= 1 << chance.randrange(8)
        found[f"flip {part}"] = bytes(flipped)
    return found


def test_a_damaged_dump_is_never_proven_nor_listed_as_such(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    data, manifest = dump.read_bytes(), dump.with_suffix(".manifest.json")
    text = manifest.read_text()
    assert listed(site) is BackupLevel.RESTORED
    for what, bad in damages(data).items():
        dump.write_bytes(bad)
        manifest.write_text(text)
        found = verified(site)
        assert (found.level, "its bytes are not those" in found.problem) == (BackupLevel.WRITTEN, True), what
        assert listed(site) is BackupLevel.WRITTEN, what
        with pytest.raises(CommandFailed):
            site.run(backup.has_level(site.project, NAME, BackupLevel.READABLE, size_bytes=1))
    assert site.databases == {""}


def test_a_cut_dump_whose_manifest_agrees_is_found_by_reading_it(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    for what, bad in damages(dump.read_bytes()).items():
        if "flip" not in what:
            dump.write_bytes(bad)
            forge(dump)
            found = verified(site)
            assert (found.level, "it cannot be read" in found.problem) == (BackupLevel.HASHED, True), what
            assert listed(site) is BackupLevel.HASHED, what


def test_a_dump_of_another_database_is_found_by_its_header_and_by_its_manifest(
    whole: tuple[Site, Path], server: Server, tmp_path: Path
) -> None:
    site, dump = whole
    (tmp_path / "other").mkdir()
    other = make_site(server, tmp_path / "other", f"{site.project.database}other")
    other.lay(TABLES)
    foreign = made(other)
    shutil.copy(foreign, dump)
    forge(dump)
    found = verified(site)
    assert found == Verified(
        name=NAME, level=BackupLevel.READABLE, problem=f"it is a dump of database {other.project.database}"
    )
    shutil.copy(foreign.with_suffix(".manifest.json"), dump.with_suffix(".manifest.json"))
    assert listed(site) is BackupLevel.WRITTEN


def test_a_dump_of_a_newer_major_version_is_not_read(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    data = bytearray(dump.read_bytes())
    assert data[:5] == b"PGDMP"
    data[6] = 99  # the minor version of the archive's format
    dump.write_bytes(data)
    forge(dump)
    found = verified(site)
    assert found.level is BackupLevel.HASHED
    assert "unsupported version" in found.problem


def test_a_restore_that_this_server_cannot_do_now_takes_nothing_from_a_proven_dump(site: Site) -> None:
    role = f"{site.project.database}_owner"
    site.lay(TABLES + f"create role {role}; create table theirs (id int); alter table theirs owner to {role}")
    made(site)
    site.lay(f"drop table theirs; drop role {role}")
    found = verified(site)
    assert (found.level, role in found.problem) == (BackupLevel.READABLE, True)
    assert listed(site) is BackupLevel.RESTORED


def test_rows_that_are_fewer_than_the_manifest_says_are_a_problem(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    manifest = dump.with_suffix(".manifest.json")
    manifest.write_text(manifest.read_text().replace('"filler" : 20000', '"filler" : 20001'))
    found = verified(site)
    assert (found.level, "restored rows differ" in found.problem) == (BackupLevel.READABLE, True)
    assert listed(site) is BackupLevel.READABLE


def test_a_good_backup_is_proven_again_and_one_that_was_doubted_becomes_proven(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    manifest = dump.with_suffix(".manifest.json")
    assert verified(site, is_quick=True) == Verified(name=NAME, level=BackupLevel.READABLE)
    assert listed(site) is BackupLevel.RESTORED
    manifest.write_text(re.sub(r'"level": "[a-z]+"', '"level": "written"', manifest.read_text()))
    assert verified(site, is_quick=True) == Verified(name=NAME, level=BackupLevel.READABLE)
    assert listed(site) is BackupLevel.READABLE
    assert verified(site) == Verified(name=NAME, level=BackupLevel.RESTORED)
    assert listed(site) is BackupLevel.RESTORED
    assert manifest.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lost", ["dump", "manifest.json"])
def test_a_backup_that_is_gone_is_a_problem_and_no_failure(whole: tuple[Site, Path], lost: str) -> None:
    site, dump = whole
    dump.with_suffix(f".{lost}").unlink()
    found = verified(site)
    assert found.level is BackupLevel.WRITTEN
    assert found.problem in ("the dump is missing", "it is gone")


def test_a_server_that_does_not_answer_says_nothing_of_a_dump(whole: tuple[Site, Path]) -> None:
    site, _ = whole
    site.docker.environment["PGHOST"] = "/nowhere"
    with pytest.raises(CommandFailed, match="the database does not answer"):
        verified(site)
    assert listed(site) is BackupLevel.RESTORED


def test_sessions_of_earlier_runs_are_ended_and_others_are_not(site: Site) -> None:
    site.lay(TABLES)
    names = {"rollback-20261101T000000Z-00ff": True, "rollback": False, "an app": False}
    psql = str(site.server.programs / "psql")
    words = [psql, "-XqAt", "-h", str(site.server.socket), "-U", "owner", "-d", site.project.database]
    sleepers = {
        name: subprocess.Popen(
            [*words, "-c", "select pg_sleep(600)"], env={"PGAPPNAME": name}, stderr=subprocess.DEVNULL
        )
        for name in names
    }
    try:
        asked = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
        while site.ask(asked) < len(names):
            pass
        made(site)
        sleepers["rollback-20261101T000000Z-00ff"].wait(20)
        assert {name: process.poll() is not None for name, process in sleepers.items()} == names
    finally:
        for process in sleepers.values():
            process.terminate()
            process.wait(20)


def test_the_manifest_tells_what_was_deployed_and_what_the_server_is(any_site: Site) -> None:
    any_site.lay(TABLES + "create extension if not exists plpgsql;")
    dump = backup.dump(
        any_site.project,
        name=any_site.project.backup_name(RUN),
        run_id=RUN,
        commit=commit(3),
        timeout=60,
        host='a "host"',
        images={"app": "sha256:1"},
    )
    any_site.run(dump)
    (path,) = Path(any_site.project.backup_folder).glob("*.manifest.json")
    assert path.name == f"{any_site.project.backup_name(RUN)}.manifest.json"
    said = json.loads(path.read_text())
    assert (said["host"], said["images"], said["project"]) == ('a "host"', {"app": "sha256:1"}, "comicpile")
    server = said["server"]
    assert server["database"] == any_site.project.database
    assert "plpgsql" in server["extensions"]
    assert server["collation"]["encoding"] == "UTF8"
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", server["lsn"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["taken_at"])
    roles = path.with_name(path.name.replace(".manifest.json", ".globals.sql")).read_text()
    assert "CREATE ROLE owner" in roles
    assert "PASSWORD" not in roles
    assert hashlib.sha256(roles.encode()).hexdigest() == said["globals"]["sha256"]


def test_only_what_nobody_needs_is_removed(whole: tuple[Site, Path]) -> None:
    site, dump = whole
    folder = dump.parent
    old = f"app-{RUN[:-4]}0000"
    made(site, old)
    made(site, "by hand")
    (folder / f"{old}.log.partial").write_text("x")
    (folder / "notes.txt").write_text("x")
    site.run(backup_folder.prune(site.project, names=(old,), files=(f"{old}.log.partial",), newest=NAME))
    ends = ("dump", "globals.sql", "manifest.json")
    assert {path.name for path in folder.iterdir()} == {
        *(f"{NAME}.{end}" for end in ends),
        *(f"by hand.{end}" for end in ends),
        "notes.txt",
    }
    dump.unlink()
    with pytest.raises(CommandFailed, match="is not there any more"):
        site.run(backup_folder.prune(site.project, names=("by hand",), files=(), newest=NAME))
    assert (folder / "by hand.dump").exists()
