"""Backups of a real host: made while it works, proven, damaged, lost, cut off and brought back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
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


@pytest.mark.long
def test_a_laptop_that_dies_in_a_dump_leaves_nothing_and_the_next_run_does_it(stage: Stage, operator: Laptop) -> None:
    lay_bulk(stage, 120)
    before = stage.look()
    operator.change(lambda document: document["defaults"].update(guard={"lease": 5}))
    process = operator.start(*CREATE)
    part = f"cat {FOLDER_THERE}/*.dump.partial 2>/dev/null | head -c 1000000 | wc -c"
    until(lambda: stage.root(part).strip() == "1000000", seconds=60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: operator.inv("host.status", "--host", "prod1", "--json").host["unfinished"] == [], seconds=90)
    assert (there(stage), stage.look().databases) == (set(), before.databases)
    active = "select count(*) from pg_stat_activity where application_name like 'rollback-%'"
    assert stage.sql(active) == "0"
    operator.inv("rollback.abort", "--host", "prod1", "--yes")
    name = made(operator)
    assert (there(stage), here(operator)) == (files(name), files(name))


@pytest.mark.long
def test_a_pull_that_is_killed_goes_on_where_it_stopped(
    stage: Stage, operator: Laptop, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    lay_bulk(stage, 120)
    name = made(operator)
    whole = (operator.backups / "prod1" / f"{name}.dump").read_bytes()
    for path in (operator.backups / "prod1").iterdir():
        path.unlink()
    part = operator.backups / "prod1" / f"{name}.dump.partial"
    process = operator.start("backup.pull", "--host", "prod1")
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert here(operator) == {part.name}
    size = part.stat().st_size
    done = operator.inv("backup.pull", "--host", "prod1", "--json")
    assert (done.code, done.host["bytes_before"]) == (0, size), done.err
    assert (here(operator), (operator.backups / "prod1" / f"{name}.dump").read_bytes() == whole) == (files(name), True)
    record_property("measured", f"a pull of {len(whole)} bytes, killed at byte {size}, went on there")


@pytest.mark.long
def test_a_full_disk_on_the_host_is_said_and_leaves_nothing(stage: Stage, operator: Laptop) -> None:
    before = made(operator)
    lay_bulk(stage, 40)
    stage.root(
        f"mkdir -p /run/kept && cp -a {FOLDER_THERE}/. /run/kept && "
        f"mount -t tmpfs -o size=8m,mode=0700,uid=1000,gid=1000 tmpfs {FOLDER_THERE} && "
        f"cp -a /run/kept/. {FOLDER_THERE}"
    )
    data = stage.look()
    done = operator.inv(*CREATE)
    assert (done.code, done.document["outcome"]) == (4, "restored"), done.err
    assert f"no space left in {FOLDER_THERE}" in done.host["error"]
    now = stage.look()
    assert (there(stage), here(operator)) == (files(before), files(before))
    assert (now.rows, now.databases, now.app) == (data.rows, data.databases, data.app)
    assert listed(operator) == {before: "restored"}


@pytest.mark.long
def test_a_full_disk_on_the_laptop_is_said_and_leaves_nothing(stage: Stage, operator: Laptop) -> None:
    lay_bulk(stage, 8)
    data = stage.look()
    folder = operator.backups / "prod1"
    folder.mkdir(parents=True)
    mounted(folder, "2m")
    try:
        done = operator.inv(*CREATE)
        assert (done.code, done.document["outcome"]) == (4, "restored"), done.err
        assert "no space left for comicpile-" in done.host["error"]
        assert "make room: `df -h" in done.document["next"]
        assert here(operator) == set()
        now = stage.look()
        assert (now.rows, now.databases, now.app) == (data.rows, data.databases, data.app)
        # The host's own copy is whole and said to be no more than it is.
        (name,) = {Path(name).name.partition(".")[0] for name in there(stage)}
        assert (there(stage), listed(operator)) == (files(name), {name: "readable"})
        pull = operator.inv("backup.pull", "--host", "prod1", "--json")
        assert pull.code == 4, pull.err
        assert "no space left for comicpile-" in pull.host["error"]
        assert here(operator) == set()
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert operator.inv("backup.pull", "--host", "prod1").code == 0
    assert here(operator) == files(name)


def mounted(folder: Path, size: str) -> None:
    """Make a folder of this machine a disk of its own, so small that it fills."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], check=True)


OLD, NEWER = "20261001T000000Z-0001", "20261002T000000Z-0002"


def test_an_old_database_that_a_run_put_aside_goes_once_it_has_a_backup_of_its_own(
    stage: Stage, operator: Laptop
) -> None:
    before = stage.look()
    old, newer = (f"comicpile__before_{run}" for run in (OLD, NEWER))
    stage.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'golden_v6';\n"
        f'CREATE DATABASE "{old}" TEMPLATE golden_v6; CREATE DATABASE "{newer}" TEMPLATE golden_v6',
        database="postgres",
    )
    stage.sql("INSERT INTO users (name, email) VALUES ('kept', 'kept@x')", database=old)
    examined = operator.inv("host.doctor", "--host", "prod1", "--json")
    (told,) = [check for check in examined.host["checks"] if check["check"] == "put aside"]
    assert (told["result"], old in told["text"]) == ("warning", True)
    shown = operator.inv("backup.prune", "--host", "prod1", "--json")
    assert (shown.code, shown.document["outcome"]) == (0, "planned"), shown.err
    assert stage.look().databases == tuple(sorted(("comicpile", old, newer)))
    done = operator.inv("backup.prune", "--host", "prod1", "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now = stage.look()
    assert (now.databases, now.rows, now.app) == (("comicpile", newer), before.rows, before.app)
    kept = f"comicpile-{OLD}-before"
    assert (there(stage), here(operator), listed(operator)) == (files(kept), files(kept), {})
    # It brings the database back, where just that is meant.
    words = ("rollback.restore", "--host", "prod1", "--backup", kept, "--json")
    refused = operator.inv(*words, "--yes")
    assert (refused.code, "--foreign" in refused.host["hint"]) == (3, True), refused.err
    planned = operator.inv(*words, "--dry-run", "--foreign")
    assert (planned.code, planned.document["outcome"]) == (0, "planned"), planned.err
