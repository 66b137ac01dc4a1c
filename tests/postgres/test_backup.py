"""A backup is made, read back, restored beside, and its counts are those of its own moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import backup, manifests, scratch
from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.release import Backup, BackupLevel
from tests.builders import RUN, commit
from tests.postgres.conftest import Site
from tests.postgres.test_facts import TABLES

NAME = "a-backup"


def dump(site: Site, name: str = NAME) -> None:
    site.run(backup.dump(site.project, name=name, run_id=RUN, commit=commit(3), timeout=60))


def backups(site: Site) -> tuple[Backup, ...]:
    folder = site.project.backup_folder
    return manifests.read_manifests(site.run(manifests.manifests(site.project)).text, folder)


def files(site: Site) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in Path(site.project.backup_folder).iterdir()}


@pytest.fixture
def filled(any_site: Site) -> Site:
    any_site.lay(TABLES + "create table alembic_version (version_num text); insert into alembic_version values ('s3');")
    return any_site


def test_a_backup_is_whole_private_and_described(filled: Site) -> None:
    dump(filled)
    assert files(filled) == {f"{NAME}.{end}": 0o600 for end in ("dump", "globals.sql", "manifest.json")}
    (made,) = backups(filled)
    assert made == Backup(
        name=NAME,
        path=f"{filled.project.backup_folder}/{NAME}.dump",
        sha256=made.sha256,
        size_bytes=Path(made.path).stat().st_size,
        level=BackupLevel.READABLE,
        taken_at=made.taken_at,
        database=filled.project.database,
        schema=("s3",),
        counts={
            "users": 3,
            'Odd "table"; б': 2,
            "empty": 0,
            "other.x.t": 1,
            "billing.invoices": 1,
            "parts": 3,
            "alembic_version": 1,
        },
        run_id=RUN,
        commit=commit(3),
        server_version=made.server_version,
        verified_at=made.verified_at,
        project="comicpile",
        system=made.system,
    )
    assert made.system.isdigit()
    assert made.is_proven is False
    filled.run(backup.has_level(filled.project, NAME, BackupLevel.READABLE, size_bytes=1))
    with pytest.raises(CommandFailed):
        filled.run(backup.has_level(filled.project, NAME, BackupLevel.RESTORED, size_bytes=1))


def test_a_backup_is_proven_by_a_restore_beside_which_leaves_the_live_database_alone(filled: Site) -> None:
    dump(filled)
    prove = scratch.prove(filled.project, backup=NAME, run_id=RUN, timeout=60)
    for _ in range(2):
        filled.run(prove)
        assert filled.databases == {"", f"__scratch_{RUN}"}
    filled.run(backup.has_level(filled.project, NAME, BackupLevel.RESTORED, size_bytes=1))
    assert [made.level for made in backups(filled)] == [BackupLevel.RESTORED]
    assert files(filled) == {f"{NAME}.{end}": 0o600 for end in ("dump", "globals.sql", "manifest.json")}
    for _ in range(2):
        filled.run(scratch.drop_scratch(filled.project, RUN))
        assert filled.databases == {""}


def test_rows_that_are_missing_after_a_restore_are_no_proof(site: Site) -> None:
    site.lay(TABLES)
    dump(site)
    manifest = Path(site.project.backup_folder) / f"{NAME}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"users" : 3', '"users" : 4'))
    with pytest.raises(CommandFailed, match="restored rows differ"):
        site.run(scratch.prove(site.project, backup=NAME, run_id=RUN, timeout=60))
    assert '"level": "readable"' in manifest.read_text()


def test_a_dump_that_was_changed_on_the_disk_is_no_backup(site: Site) -> None:
    site.lay(TABLES)
    dump(site)
    path = Path(site.project.backup_folder) / f"{NAME}.dump"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CommandFailed):
        site.run(backup.has_level(site.project, NAME, BackupLevel.READABLE, size_bytes=1))


def test_a_finished_backup_is_not_made_again(site: Site) -> None:
    dump(site)
    before = backups(site)
    site.lay(TABLES)
    dump(site)
    assert backups(site) == before


def test_a_dump_that_fails_leaves_nothing_and_says_why(site: Site) -> None:
    site.lay("create table t (a int); insert into t values (1)")
    project = replace(site.project, database="gone")
    with pytest.raises(CommandFailed) as caught:
        site.run(backup.dump(project, name=NAME, run_id=RUN, commit=commit(3), timeout=60))
    assert 'database "gone" does not exist' in caught.value.stderr
    assert files(site) == {}


def test_what_a_cut_dump_left_is_removed_and_finished_ones_stay(site: Site) -> None:
    dump(site)
    for end in ("dump", "log", "code", "manifest.json"):
        (Path(site.project.backup_folder) / f"{NAME}.{end}.partial").write_text("x")
    for _ in range(2):
        site.run(backup.end_leftovers(site.project, name=NAME, run_id=RUN))
        assert set(files(site)) == {f"{NAME}.{end}" for end in ("dump", "globals.sql", "manifest.json")}
