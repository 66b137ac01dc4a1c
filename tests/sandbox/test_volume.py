"""A new volume from a backup on a real host: equal to the backup, taken back, and killed around the exchange."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.sandbox.stage import FOLDER, Ended, Laptop, Stage, until

pytestmark = [pytest.mark.timeout(600, func_only=True), pytest.mark.long]

LIVE = "comicpile_pgdata"

DRESS = """\
CREATE ROLE reader LOGIN PASSWORD 'it''s "quoted"';
CREATE ROLE readers NOLOGIN;
GRANT readers TO reader WITH ADMIN OPTION;
GRANT SELECT ON events TO readers;
ALTER ROLE reader SET work_mem TO '7MB';
ALTER DATABASE comicpile SET work_mem TO '5MB';
ALTER SYSTEM SET log_min_duration_statement TO '777';
"""
UNDRESS = """\
ALTER SYSTEM RESET ALL;
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'readers') THEN
    DROP OWNED BY readers; DROP ROLE reader; DROP ROLE readers;
  END IF;
END $$;
"""
WRECK = "DELETE FROM events WHERE id % 2 = 0; UPDATE users SET name = 'corrupt';"
ROLES = (
    "SELECT a.rolname, a.rolcanlogin, a.rolpassword, r.rolconfig "
    "FROM pg_authid a JOIN pg_roles r USING (rolname) ORDER BY 1"
)


def files(stage: Stage, name: str) -> str:
    """A file of the data folder."""
    return stage.root(
        "db=$(docker ps -q -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"
        'docker exec "$db" cat "/var/lib/postgresql/data/$1"',
        name,
    )


def volumes(stage: Stage) -> set[str]:
    return set(stage.root("docker volume ls --quiet --filter label=rollback.run").split())


def leftovers(stage: Stage) -> str:
    """Containers and half-made things of runs."""
    return stage.root(
        "docker ps -a --format '{{.Names}}' | grep -E '^rollback-' | grep -v keeps-volume || true\n"
        'ls -d "$(docker volume inspect -f "{{.Mountpoint}}" comicpile_pgdata)".* 2>/dev/null || true'
    ).strip()


@pytest.fixture
def dressed(stage: Stage, operator: Laptop) -> Iterator[Stage]:
    stage.play("v6")
    stage.sql(UNDRESS + DRESS)
    stage.root("docker ps -aq --filter name=keeps-volume | xargs -r docker rm >/dev/null")
    yield stage
    stage.disarm()
    # What the other tests are made from stays behind in the old volume: it has to be live again.
    if "golden_v6" not in stage.sql("SELECT string_agg(datname, ',') FROM pg_database", database="postgres"):
        done = operator.inv("rollback.redo", "--host", stage.name, "--yes")
        assert done.code == 0, done.err
    stage.sql(UNDRESS)
    stage.root(
        "docker ps -aq --filter name=keeps-volume | xargs -r docker rm >/dev/null\n"
        "docker volume ls --quiet --filter label=rollback.run | xargs -r docker volume rm >/dev/null"
    )


def words(stage: Stage, backup: str = "latest") -> tuple[str, ...]:
    """The command; the databases that tests are made from may stay behind."""
    golden = "SELECT string_agg(datname, ',') FROM pg_database WHERE datname ~ '^golden'"
    others = stage.sql(golden, database="postgres")
    lost = stage.sql("SELECT string_agg(relname, ',') FROM pg_stat_user_tables")
    return (
        *("rollback.volume", "--host", stage.name, "--yes", "--json", "--backup", backup),
        *("--leave", others, "--accept-data-loss", lost),
    )


def backed_up(stage: Stage, operator: Laptop) -> str:
    """Make a backup; return its name."""
    done = operator.inv("backup.create", "--host", stage.name, "--yes")
    assert done.code == 0, done.err
    (name,) = stage.root(f"ls {FOLDER}/.rollback/backups | sed -n 's/[.]manifest[.]json$//p'").split()
    return name


def test_the_volume_is_what_the_backup_was_and_the_old_one_comes_back(dressed: Stage, operator: Laptop) -> None:
    stage = dressed
    backed_up(stage, operator)
    stage.sql("COMMENT ON ROLE reader IS 'kept'; ")
    hba = files(stage, "pg_hba.conf")
    then, roles = stage.look(), stage.sql(ROLES)
    stage.sql(WRECK)
    wrecked = stage.look()
    assert wrecked.rows != then.rows
    done = operator.inv(*words(stage))
    assert (done.code, done.host["outcome"]) == (0, "done"), done.err
    now = stage.look()
    assert now.rows == then.rows
    assert (now.schema, now.head, now.running, now.databases) == (then.schema, then.head, then.running, ("comicpile",))
    assert stage.sql(ROLES) == roles
    assert files(stage, "pg_hba.conf") == hba
    assert "log_min_duration_statement = '777'" in files(stage, "postgresql.auto.conf")
    assert stage.sql("SHOW work_mem") == "5MB"
    assert stage.sql("SELECT has_table_privilege('reader', 'events', 'select')") == "t"
    assert stage.health() == (200, "v6")
    # The log of the new cluster meets nothing of the old one's in the archive.
    stage.sql("SELECT pg_switch_wal()")
    archived = "SELECT coalesce(last_archived_wal, '') || ' ' || failed_count FROM pg_stat_archiver"
    until(lambda: stage.sql(archived).startswith("00000002"), seconds=30)
    assert stage.sql(archived).endswith(" 0")
    (aside,) = volumes(stage)
    assert aside.startswith(f"{LIVE}__aside_")
    assert aside == done.host["to"]["old_volume"]
    assert any(f"docker volume rm {aside}" in warning for warning in done.host["warnings"])
    # No prune takes it.
    stage.root("docker volume prune --force; docker volume prune --force --all 2>/dev/null || true")
    assert volumes(stage) == {aside}
    assert leftovers(stage) == ""
    assert not re.search(r"SCRAM|it's \"quoted\"", stage.root(f"cat {FOLDER}/.rollback/runs/*/journal.jsonl"))

    stage.sql(
        "INSERT INTO tasks (user_id, title, is_done, created_at) SELECT min(id), 'later', false, now() FROM users"
    )
    back = operator.inv("rollback.redo", "--host", stage.name, "--yes", "--json")
    assert (back.code, back.host["outcome"]) == (0, "done"), back.err
    assert stage.look().rows == wrecked.rows
    assert stage.health() == (200, "v6")
    assert volumes(stage) == {aside}  # what was written to the new one is kept
    assert leftovers(stage) == ""


def killed(stage: Stage, operator: Laptop, pattern: str, *, is_after: bool) -> Ended:
    """Run the command, and take the laptop away when the host calls docker like this: before that call, or after it."""
    stage.root("rm -f /run/fault.met /run/fault.go; : >/run/fault.calls; chmod 666 /run/fault.calls")
    wait = "echo x >>/run/fault.calls; until [ -e /run/fault.go ]; do sleep 0.05; done"
    stage.when_docker(pattern, wait, is_after=is_after)
    process = operator.start(*words(stage))
    # The trap notes the call, and then that it waits.
    until(lambda: stage.root("wc -l </run/fault.calls").strip() == "2" or process.poll() is not None, seconds=300)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    stage.root(": >/run/fault.go; rm -f /usr/local/bin/docker")
    return Ended(code=process.returncode, out=out, err=err)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_laptop_that_dies_around_the_exchange_costs_nothing(dressed: Stage, operator: Laptop, is_after: bool) -> None:
    stage = dressed
    operator.change(lambda document: document["defaults"].update(guard={"lease": 6}))
    backup, then = backed_up(stage, operator), stage.look()
    stage.sql(WRECK)
    before = stage.look()
    killed(stage, operator, "run *rename*", is_after=is_after)
    until(lambda: stage.root(f"ls {FOLDER}/.rollback | grep -x lock || true").strip() == "", seconds=240)
    stage.await_behaviour("v6")
    after = stage.look()
    assert after.rows == before.rows
    assert after.databases == before.databases
    assert (volumes(stage), leftovers(stage)) == (set(), "")
    again = operator.inv(*words(stage, backup))
    assert (again.code, again.host["outcome"]) == (0, "done"), again.err
    assert stage.look().rows == then.rows


def test_what_would_get_lost_is_refused_before_anything_is_touched(dressed: Stage, operator: Laptop) -> None:
    stage = dressed
    backed_up(stage, operator)
    before = stage.look()
    done = operator.inv("rollback.volume", "--host", stage.name, "--yes", "--json", "--backup", "latest")
    assert (done.code, done.host["outcome"]) == (3, "blocked"), done.err
    assert "the cluster holds other databases" in done.host["error"]
    assert stage.look() == before
