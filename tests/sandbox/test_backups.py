"""Backups of a real host: made while it works, proven, damaged, lost, cut off and brought back."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import CommandFailed
from tests.sandbox.stage import FOLDER, Laptop, Stage, until, watched

pytestmark = pytest.mark.timeout(240, func_only=True)

FOLDER_THERE = f"{FOLDER}/.rollback/backups"
CREATE = ("backup.create", "--host", "prod1", "--yes", "--json")
VERIFY = ("backup.verify", "--host", "prod1", "--yes", "--json")
ENDS = ("dump", "globals.sql", "manifest.json")

# Random bytes do not shrink: $1 MB of them, the name tells that they are a test's.
_BULK = """\
create table bulk (id int primary key, data bytea);
insert into bulk select i, (select string_agg(uuid_send(gen_random_uuid()), '') from generate_series(1, 64) where i > 0)
from generate_series(1, {rows}) i;
"""


@pytest.fixture
def stage(plugin_host: Stage) -> Iterator[Stage]:
    plugin_host.play("v6")
    yield plugin_host
    plugin_host.disarm()
    plugin_host.root(f"umount {FOLDER_THERE} 2>/dev/null || true")


def lay_bulk(stage: Stage, megabytes: int) -> None:
    stage.sql(_BULK.format(rows=megabytes * 1024))


def made(operator: Laptop) -> str:
    """Back up; return the name."""
    done = operator.inv(*CREATE)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert done.host["backup"]["verified"] == "restored"
    return Path(done.host["backup"]["path"]).name.removesuffix(".dump")


def there(stage: Stage) -> set[str]:
    """Every file of the backup folder on the host."""
    return set(stage.root(f"ls -A {FOLDER_THERE}").split())


def here(operator: Laptop) -> set[str]:
    """Every file of the host's copies on the laptop."""
    folder = operator.backups / "prod1"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def files(*names: str) -> set[str]:
    return {f"{name}.{end}" for name in names for end in ENDS}


def listed(operator: Laptop) -> dict[str, str]:
    """Backup to how far it is proven."""
    done = operator.inv("backup.list", "--host", "prod1", "--json")
    assert done.code == 0, done.err
    return {backup["name"]: backup["verified"] for backup in done.host["backups"]}


def flip(stage: Stage, name: str) -> None:
    """Change one byte in the middle of a dump on the host."""
    stage.root(
        "python3 -c \"import sys\nf = open(sys.argv[1], 'r+b'); f.seek(50000); b = f.read(1)[0]\n"
        'f.seek(50000); f.write(bytes([b ^ 1]))" "$1"',
        f"{FOLDER_THERE}/{name}.dump",
    )


def test_a_backup_is_proven_found_damaged_and_brought_back(stage: Stage, operator: Laptop) -> None:
    before = stage.look()
    name = made(operator)
    now = stage.look()
    assert now.without_traces() == before.without_traces()
    assert (there(stage), here(operator), listed(operator)) == (files(name), files(name), {name: "restored"})
    flip(stage, name)
    done = operator.inv(*VERIFY)
    assert (done.code, done.document["outcome"]) == (9, "problems"), done.err
    assert "its bytes are not those that were written" in done.host["error"]
    assert f"inv backup.push --host prod1 --backup {name}" in done.host["hint" if "hint" in done.host else "next"]
    assert listed(operator) == {name: "written"}
    back = operator.inv("backup.push", "--host", "prod1", "--backup", name, "--yes", "--json")
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    assert (there(stage), listed(operator)) == (files(name), {name: "restored"})
    assert stage.look().databases == before.databases


@pytest.mark.long
def test_a_damaged_copy_on_the_laptop_is_found_and_not_pushed(stage: Stage, operator: Laptop) -> None:
    name = made(operator)
    copy = operator.backups / "prod1" / f"{name}.dump"
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    done = operator.inv(*VERIFY, "--quick")
    assert (done.code, f"the copy of {name} here" in done.host["error"]) == (9, True), done.err
    stage.root(f"rm {FOLDER_THERE}/{name}.dump")
    refused = operator.inv("backup.push", "--host", "prod1", "--backup", name, "--yes", "--json")
    assert (refused.code, "is not good" in refused.host["error"]) == (3, True)
    assert there(stage) == files(name) - {f"{name}.dump"}


@pytest.mark.long
def test_old_backups_go_only_with_leave_and_never_the_newest_proven(stage: Stage, operator: Laptop) -> None:
    names = [made(operator) for _ in range(3)]
    stray = f"comicpile-{names[0][-21:-4]}0000.dump"
    stage.root(f"cd {FOLDER_THERE} && touch '{stray}' '{stray}.partial' mine.txt && chown deploy: *")
    everything = there(stage)
    shown = operator.inv("backup.prune", "--host", "prod1", "--keep", "1", "--json")
    assert (shown.code, shown.document["outcome"]) == (0, "planned"), shown.err
    assert (there(stage), here(operator)) == (everything, files(*names))
    flip(stage, names[2])  # the newest is not proven any more
    assert operator.inv(*VERIFY, "--backup", names[2], "--quick").code == 9
    done = operator.inv("backup.prune", "--host", "prod1", "--keep", "1", "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert there(stage) == {*files(names[1], names[2]), "mine.txt"}
    assert here(operator) == files(names[2])
    again = operator.inv("backup.prune", "--host", "prod1", "--keep", "1", "--yes", "--json")
    assert (again.code, again.document["outcome"]) == (0, "noop"), again.err


@pytest.mark.long
def test_counts_are_those_of_the_dump_while_a_writer_is_at_work(stage: Stage, operator: Laptop) -> None:
    lay_bulk(stage, 30)
    stage.sql("create table written (id bigserial primary key, at timestamptz default clock_timestamp());")
    loop = "do $$ begin loop insert into written default values; commit; perform pg_sleep(0.005); end loop; end $$;"

    def write() -> None:
        with contextlib.suppress(CommandFailed):  # it is ended
            stage.sql(loop)

    writer = threading.Thread(target=write, name="writer")
    writer.start()
    try:
        until(lambda: int(stage.sql("select count(*) from written")) > 100, seconds=30)
        before = int(stage.sql("select count(*) from written"))
        with watched(stage) as asked:
            name = made(operator)
        after = int(stage.sql("select count(*) from written"))
    finally:
        stage.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$ begin loop%'")
        writer.join()
    manifest = json.loads((operator.backups / "prod1" / f"{name}.manifest.json").read_text())
    assert before <= manifest["counts"]["written"] < after
    assert {answer.status for answer in asked} == {200}
    assert operator.inv(*VERIFY, "--backup", name).code == 0
