"""The database from a backup on real hosts: wrecked, restored, undone, restored again, and killed on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from rollback_tasks.drivers import backup
from tests.builders import a_project
from tests.sandbox.stage import APP_LABEL, FOLDER, Ended, Laptop, Seen, Stage, away, until, watched

pytestmark = pytest.mark.timeout(600, func_only=True)

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
        done = operator.inv(*RESTORE, "--accept-data-loss", "notes", timeout=250)
    run = assert_restored(done, stage, before, fingerprint)
    assert leftovers(stage.look()) == {f"comicpile__before_{run}"}
    assert done.host["backup"]["verified"] == "restored"
    back = operator.inv("rollback.redo", "--host", "prod1", "--yes", "--json", timeout=250)
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    now = stage.look()
    assert (now.rows, now.app, leftovers(now)) == (wreck.rows, wreck.app, {f"comicpile__left_{run}"})
    again = operator.inv(*RESTORE, "--accept-data-loss", "notes", timeout=250)
    assert_restored(again, stage, before, fingerprint)
    record_property("measured", f"restore of {stage.name}: away {away(asked):.2f} s for a client")


TRAPS = {
    "during the restore": ("exec *pg_restore --exit-on-error*__restored_*", False),
    "before the renames": ("exec *swap psql*", False),
    "behind the renames": ("exec *swap psql*", True),
}


@pytest.mark.long
@pytest.mark.parametrize("where", TRAPS)
def test_a_laptop_that_dies_leaves_the_database_whole_and_a_new_restore_ends_well(
    wrecked: tuple[Stage, Seen, object], operator: Laptop, where: str
) -> None:
    stage, before, fingerprint = wrecked
    wreck = stage.look()
    pattern, is_after = TRAPS[where]
    operator.change(lambda document: document["defaults"].update(guard={"lease": 6}))
    stage.when_docker(pattern, "sleep 600", is_after=is_after)
    process = operator.start(*RESTORE, "--accept-data-loss", "notes")
    until(stage.was_sprung, seconds=90)
    process.kill()
    process.communicate()
    settled = 'run=$(ls -d "$1"/runs/*/ | tail -n 1); [ -e "$run/settled" ] && echo yes || true'
    until(lambda: stage.root(settled, f"{FOLDER}/.rollback").strip() == "yes", seconds=120)
    stage.disarm()
    stage.await_behaviour("v6")
    now = stage.look()
    assert (now.rows, now.app, now.databases) == (wreck.rows, wreck.app, wreck.databases)
    done = operator.inv(*RESTORE, "--accept-data-loss", "notes", timeout=250)
    run = assert_restored(done, stage, before, fingerprint)
    assert leftovers(stage.look()) == {f"comicpile__before_{run}"}


@pytest.mark.long
def test_the_code_goes_back_with_the_database_where_that_belongs_to_it(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("v6")
    take(plugin_host)
    before = plugin_host.look()
    plugin_host.sandbox.deploy(plugin_host.name, "bad-migration")
    words = ("rollback.restore", "--host", "prod1", "--yes", "--json", "--backup", "good")
    refused = operator.inv(*words)
    assert (refused.code, refused.document["outcome"]) == (3, "blocked"), refused.err
    assert "add --with-release v6" in refused.host["hint"]
    done = operator.inv(*words, "--with-release", "v6", timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now = plugin_host.look()
    assert (now.rows, now.schema, now.head, now.running) == (before.rows, before.schema, before.head, before.running)
    assert plugin_host.health() == (200, "v6")


DAMAGE = """\
UPDATE events SET thread_id = NULL WHERE thread_id > 4900;
DELETE FROM threads WHERE id > 4900;
UPDATE threads SET title = 'corrupt' WHERE id <= 50;
INSERT INTO threads (user_id, title) VALUES (1, 'written since');
"""


def test_one_table_gets_its_rows_back_while_the_application_serves(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("v6")
    take(plugin_host)
    good = plugin_host.look()
    plugin_host.sql(DAMAGE)
    damaged = plugin_host.look()
    words = ("rollback.table", "--host", "prod1", "--yes", "--json", "--backup", "good", "--table", "threads")
    with watched(plugin_host) as asked:
        done = operator.inv(*words, "--replace", timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert done.host["warnings"][0].startswith(
        "table threads: 100 rows inserted, 50 changed, 0 deleted; 0 still differ"
    )
    assert {one.status for one in asked} == {200}
    now = plugin_host.look()
    assert {name for name in now.rows if now.rows[name] != damaged.rows[name]} == {"threads"}
    assert (now.rows["threads"][0], now.app, leftovers(now)) == (5001, good.app, set())
    since = "FROM threads WHERE title = 'written since'"
    plugin_host.sql(f"CREATE SCHEMA aside; CREATE TABLE aside.thread AS SELECT * {since}; DELETE {since}")
    assert plugin_host.look().rows["threads"] == good.rows["threads"]
    plugin_host.sql("INSERT INTO threads SELECT * FROM aside.thread; DROP SCHEMA aside CASCADE")
    back = operator.inv("rollback.redo", "--host", "prod1", "--yes", "--json", timeout=250)
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    assert plugin_host.look().rows == damaged.rows
    unknown = operator.inv(*words[:-1], "thread")
    assert (unknown.code, unknown.host["hint"]) == (3, "did you mean threads?")


@pytest.mark.long
def test_the_schema_alone_goes_back_where_the_code_does_not_need_it(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("v6")
    words = ("rollback.database", "--host", "prod1", "--yes", "--json", "--to", "-1")
    lossy = (*words, "--accept-data-loss", "users.nickname")
    refused = operator.inv(*words)
    assert (refused.code, refused.document["outcome"]) == (3, "blocked")
    assert "--accept-data-loss users.nickname" in refused.host["hint"]
    needed = operator.inv(*lossy)
    assert (needed.code, needed.document["outcome"]) == (3, "blocked")
    assert "the code that runs was made for" in needed.host["error"]
    assert plugin_host.look() == before
    plugin_host.root(f"docker stop $(docker ps -q -f {APP_LABEL})")
    done = operator.inv(*lossy, timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now = plugin_host.look()
    assert (now.schema, now.head, now.counts) == (("0005",), before.head, before.counts)
    assert [line.split()[1] for line in now.app] == ["exited"]
    assert plugin_host.sql("SELECT count(*) FROM pg_attribute WHERE attname = 'nickname'") == "0"


@pytest.mark.long
def test_database_and_table_come_back_where_compose_is_the_old_one(standalone_host: Stage, operator: Laptop) -> None:
    standalone_host.play("v6")
    take(standalone_host)
    before = standalone_host.look()
    standalone_host.sql(DAMAGE)
    words = ("--host", "prod2", "--yes", "--json", "--backup", "good")
    done = operator.inv("rollback.table", *words, "--table", "threads", "--replace", timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert standalone_host.look().rows["threads"][0] == 5001
    wreck = standalone_host.look()
    done = operator.inv("rollback.restore", *words, "--accept-data-loss", "threads", timeout=250)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    now = standalone_host.look()
    assert (now.rows, now.schema, now.app, now.head) == (before.rows, before.schema, before.app, before.head)
    assert standalone_host.health() == (200, "v6")
    back = operator.inv("rollback.redo", "--host", "prod2", "--yes", "--json", timeout=250)
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err
    now = standalone_host.look()
    assert (now.rows, now.app) == (wreck.rows, wreck.app)
    again = operator.inv("rollback.redo", "--host", "prod2", "--yes", "--json", timeout=250)
    assert (again.code, again.document["outcome"]) == (0, "done"), again.err
    assert standalone_host.look().rows["threads"] != before.rows["threads"]
