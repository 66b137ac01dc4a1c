"""The database from a backup on real hosts: wrecked, restored, undone, restored again, and killed on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from rollback_tasks.drivers import backup
from tests.builders import a_project
from tests.sandbox.stage import FOLDER, Ended, Laptop, Seen, Stage, away, watched

pytestmark = pytest.mark.timeout(240, func_only=True)

PROJECT = a_project(FOLDER)
RESTORE = ("rollback.restore", "--host", "prod1", "--yes", "--json", "--backup", "good")

DRESS = """\
CREATE ROLE reader;
GRANT SELECT ON events TO reader;
ALTER DATABASE comicpile SET work_mem TO '5MB';
ALTER ROLE reader IN DATABASE comicpile SET statement_timeout TO '3s';
GRANT CREATE ON DATABASE comicpile TO reader;
COMMENT ON DATABASE comicpile IS 'it''s ours';
"""
UNDRESS = """\
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN DROP OWNED BY reader; DROP ROLE reader; END IF;
END $$;
"""

WRECK = """\
DROP TABLE sessions CASCADE;
DELETE FROM events WHERE id % 2 = 0;
UPDATE users SET name = 'corrupt' WHERE id % 3 = 0;
CREATE TABLE notes (id int PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO notes SELECT g, 1 FROM generate_series(1, 7) g;
ALTER TABLE threads DROP CONSTRAINT IF EXISTS threads_user_id_fkey;
"""

PRINT = """
SELECT json_build_object(
  'constraints', (SELECT json_agg(conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
  'indexes', (SELECT json_agg(indexdef ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'),
  'sequences', (SELECT json_agg(json_build_array(sequencename, last_value) ORDER BY sequencename) FROM pg_sequences),
  'grants', (SELECT json_agg(relname || coalesce(relacl::text, '') ORDER BY relname) FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')),
  'database', (SELECT json_build_array(pg_get_userbyid(datdba),
      ARRAY(SELECT a::text FROM unnest(datacl) a ORDER BY 1), datconnlimit, datallowconn,
      shobj_description(d.oid, 'pg_database'), datcollate,
      (SELECT json_agg(json_build_array(r.rolname, setconfig) ORDER BY r.rolname)
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole WHERE setdatabase = d.oid))
      FROM pg_database d WHERE datname = current_database()));
"""


def take(stage: Stage, name: str = "good") -> None:
    """Make a backup of what is live, as deploy would have."""
    stage.sandbox.exec_root(
        stage.name,
        backup.dump(PROJECT, name=name, run_id="20261120T000000Z-0000", commit=stage.commit_of("v6"), timeout=60),
    )
    stage.root(f"chown -R deploy: {FOLDER}/.rollback")


def printed(stage: Stage) -> object:
    return json.loads(stage.sql(PRINT))


def leftovers(now: Seen) -> set[str]:
    """Databases of the application besides the live one."""
    return {name for name in now.databases if name != "comicpile" and name.startswith("comicpile")}


@pytest.fixture
def wrecked(plugin_host: Stage) -> Iterator[tuple[Stage, Seen, object]]:
    """v6, backed up and then wrecked in five ways; with what it was before."""
    plugin_host.play("v6")
    plugin_host.sql(UNDRESS)
    plugin_host.sql(DRESS)
    take(plugin_host)
    before, fingerprint = plugin_host.look(), printed(plugin_host)
    plugin_host.sql(WRECK)
    yield plugin_host, before, fingerprint
    plugin_host.disarm()
    plugin_host.play("v6")
    plugin_host.sql(UNDRESS)


def assert_restored(done: Ended, stage: Stage, before: Seen, fingerprint: object) -> str:
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now = stage.look()
    assert (now.rows, now.schema, now.app, now.head) == (before.rows, before.schema, before.app, before.head)
    assert printed(stage) == fingerprint
    assert stage.health() == (200, "v6")
    run = done.document["run_id"]
    assert isinstance(run, str)
    assert f"comicpile__before_{run}" in leftovers(now)
    return run


def test_a_wrecked_database_is_what_it_was_and_the_wreck_comes_back_when_that_is_undone(
    wrecked: tuple[Stage, Seen, object], operator: Laptop, record_property: Callable[[str, object], None]
) -> None:
    stage, before, fingerprint = wrecked
    wreck = stage.look()
    refused = operator.inv(*RESTORE)
    assert (refused.code, refused.document["outcome"]) == (3, "blocked")
    assert "--accept-data-loss notes" in refused.host["hint"]
    assert stage.look() == wreck
    with watched(stage) as asked:
        done = operator.inv(*RESTORE, "--accept-data-loss", "notes")
    run = assert_restored(done, stage, before, fingerprint)
    assert leftovers(stage.look()) == {f"comicpile__before_{run}"}
    assert done.host["backup"]["verified"] == "restored"
    record_property("measured", f"restore of {stage.name}: away {away(asked):.2f} s for a client")
