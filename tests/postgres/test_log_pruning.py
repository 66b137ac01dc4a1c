"""The archived log of a real server is pruned, and what stays still takes the cluster to its last moment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollback_tasks.drivers import base_backup
from rollback_tasks.errors import CommandFailed
from tests.postgres.conftest import Server, Site, make_site, serving, started, until


@pytest.fixture
def archiving(server: Server) -> Iterator[Server]:
    """A server of its own whose log is archived into ``wal`` beside its socket."""
    options = {"wal_level": "replica", "archive_mode": "on", "max_wal_senders": "2"}
    options |= {"archive_command": "cp %p ../wal/%f.tmp && mv ../wal/%f.tmp ../wal/%f"}
    with started(server.programs, options) as made:
        yield made


def switch(server: Server) -> str:
    """Finish the current segment, and wait until it is archived."""
    server.psql("app", "set client_min_messages = error; create table if not exists t (id serial)")
    server.psql("app", "insert into t default values")
    name = server.psql("app", "select pg_walfile_name(pg_switch_wal())")
    until((server.socket / "wal" / name).exists)
    return name


def take_base(server: Server, site: Site, name: str) -> str:
    """A base backup, and a manifest of it as ``backup.base`` writes it; return where it begins."""
    words = [str(server.programs / "pg_basebackup"), "-D", f"{server.socket}/{name}", "-c", "fast", "-X", "none"]
    subprocess.run([*words, "-h", str(server.socket), "-U", "owner"], check=True, user=server.user, cwd="/")
    label = (server.socket / name / "backup_label").read_text()
    start = label.partition("(file ")[2].partition(")")[0]
    folder = Path(site.project.backup_folder) / "base"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.tar.gz").write_bytes(b"x")
    said = json.dumps({"name": name, "start_wal": start, "end": 0}, indent=0)
    (folder / f"{name}.base.json").write_text(said)
    return start


def test_the_log_before_the_oldest_base_backup_goes_and_all_from_it_on_still_recovers(
    archiving: Server, tmp_path: Path
) -> None:
    folder = archiving.socket / "wal"
    subprocess.run(["mkdir", str(folder)], check=True, user=archiving.user)
    site = make_site(archiving, tmp_path, "app")
    site.project = replace(site.project, wal_archive=str(folder))
    switch(archiving)
    take_base(archiving, site, "base-1")
    older = [switch(archiving) for _ in range(3)]
    start = take_base(archiving, site, "base-2")
    later = [switch(archiving) for _ in range(2)]
    before = {path.name for path in folder.iterdir()}

    # A base backup that needs older segments keeps them; one that is not there keeps all.
    for oldest, says in ((start, "needs older segments"), (later[0], "no base backup begins at")):
        with pytest.raises(CommandFailed) as caught:
            site.run(base_backup.prune_wal(site.project, oldest=oldest))
        assert says in caught.value.stderr or "needs older segments" in caught.value.stderr
        assert {path.name for path in folder.iterdir()} == before
    for _ in range(2):
        site.run(base_backup.prune(site.project, names=("base-1",), newest="base-2"))
    with pytest.raises(CommandFailed):
        site.run(base_backup.prune(site.project, names=("base-2",), newest="base-2"))
    with pytest.raises(CommandFailed):
        site.run(base_backup.prune(site.project, names=("base-2",), newest="base-3"))
    for _ in range(2):
        site.run(base_backup.prune_wal(site.project, oldest=start))
    left = {path.name for path in folder.iterdir()}
    assert not left & set(older)
    assert {start, *later} <= left
    assert {name for name in before - left if len(name) == 24} >= set(older)

    copy = archiving.socket / "base-2"
    subprocess.run(["touch", str(copy / "recovery.signal")], check=True, user=archiving.user)
    options = {"restore_command": f"cp {folder}/%f %p", "archive_mode": "off", "recovery_target_action": "promote"}
    subprocess.run(["mkdir", f"{archiving.socket}/s"], check=True, user=archiving.user)
    with serving(archiving.programs, archiving.socket, "base-2", options, archiving.user, at="s") as recovered:
        assert int(recovered.psql("app", "select count(*) from t")) == 6


def test_nothing_of_the_log_goes_where_the_first_segment_that_stays_is_not_there(
    archiving: Server, tmp_path: Path
) -> None:
    folder = archiving.socket / "wal"
    subprocess.run(["mkdir", str(folder)], check=True, user=archiving.user)
    site = make_site(archiving, tmp_path, "app")
    site.project = replace(site.project, wal_archive=str(folder))
    switch(archiving)
    start = take_base(archiving, site, "base-1")
    switch(archiving)
    (folder / start).unlink()
    before = {path.name for path in folder.iterdir()}
    with pytest.raises(CommandFailed) as caught:
        site.run(base_backup.prune_wal(site.project, oldest=start))
    assert f"segment {start} is not in {folder}" in caught.value.stderr
    assert {path.name for path in folder.iterdir()} == before
