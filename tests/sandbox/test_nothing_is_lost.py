"""Neither a file nor a row is lost without leave, and no secret is found."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollback_tasks.sandbox.project import Project
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.shell import Effect, Secret, script
from tests.sandbox.stage import FOLDER, Laptop, Stage, away, laptop, until, watched

pytestmark = pytest.mark.timeout(600, func_only=True)

FULL = ("rollback.full", "--host", "prod1", "--yes", "--json")

# A morning's work by hand, as deploy: changed, staged, staged and changed again, deleted, new, new and ignored.
_WORK = """\
cd -- "$1" || exit 1
runuser -u deploy -- sh -c '
umask 022
echo "# by hand" >>app/health.py
echo staged >>README.md && git add README.md && echo more >>README.md
rm tests/test_smoke.py
git mv alembic.ini kept.ini && git mv kept.ini alembic.ini
echo new >"notes of the night.txt" && echo new >added.txt && git add added.txt
mkdir -p app/__pycache__ && echo ignored >app/__pycache__/cache.pyc && chmod 600 app/__pycache__/cache.pyc
'
"""


@pytest.fixture
def dirty(plugin_host: Stage) -> Iterator[Stage]:
    """Bad code is deployed, and somebody tried to mend it in place."""
    plugin_host.play("bad-code")
    plugin_host.root(_WORK, FOLDER)
    yield plugin_host
    plugin_host.disarm()


@pytest.mark.long
def test_work_in_the_checkout_is_saved_and_can_be_found_again(dirty: Stage, operator: Laptop) -> None:
    done = operator.inv(*FULL)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    assert "app/health.py" in done.err
    run = done.document["run_id"]

    def saved(kind: str, name: str) -> str:
        return dirty.root(f"runuser -u deploy -- git -C {FOLDER} show refs/rollback/{run}/{kind}:$1 2>&1 || true", name)

    assert saved("worktree", "app/health.py").endswith("# by hand\n")
    assert saved("index", "README.md").endswith("\nstaged\n")
    assert saved("worktree", "README.md").endswith("\nstaged\nmore\n")
    assert saved("index", "added.txt") == "new\n"
    assert "tests/test_smoke.py" in saved("worktree", "tests/test_smoke.py")
    still = dirty.root(f'cd {FOLDER} && cat "notes of the night.txt" app/__pycache__/cache.pyc')
    assert still == "new\nignored\n"
    branch = f"rollback/before-{run}"
    assert dirty.root(f"runuser -u deploy -- git -C {FOLDER} rev-parse {branch}").strip() == dirty.commit_of("bad-code")


def test_work_in_the_checkout_is_there_again_after_a_rollback_that_failed(dirty: Stage, operator: Laptop) -> None:
    before = dirty.look()
    dirty.when_docker("compose *up -d*", "exit 1")
    done = operator.inv(*FULL)
    assert (done.code, done.document["outcome"]) == (4, "restored"), done.err
    now = dirty.look()
    assert (now.files, now.index, now.status) == (before.files, before.index, before.status)
    assert (now.head, now.branch, now.app) == (before.head, before.branch, before.app)


@pytest.mark.long
def test_data_is_given_up_only_by_name_and_stays_in_the_backup(
    standalone_host: Stage, operator: Laptop, record_property: Callable[[str, object], None]
) -> None:
    before = standalone_host.play("v6")
    words = ("rollback.full", "--host", "prod2", "--yes", "--json", "--to", "v4")
    with watched(standalone_host) as asked:
        done = operator.inv(*words, "--accept-data-loss", "users.nickname")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    record_property("measured", f"prod2, v6 to v4, healthy before: away {away(asked):.2f} s for a client")
    now = standalone_host.look()
    assert (now.schema, now.counts, standalone_host.health()) == (("0005",), before.counts, (200, "v4"))
    assert {name for name in now.rows if now.rows[name] != before.rows[name]} == {"alembic_version", "users"}
    found = standalone_host.root(
        "db=$(docker ps -q -f label=com.docker.compose.service=db); "
        'docker exec -i "$db" pg_restore -f - -a -t users <"$1" | grep -cP "\\t.*pile"',
        done.host["backup"]["remote_path"],
    )
    assert int(found) == 1800


_SAMPLE = """\
import glob, os, time
seen = set()
open("/run/sampled", "w").close()
while os.path.exists("/run/sampled"):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                seen.add(file.read())
        except OSError:
            pass
    time.sleep(0.01)
for line in sorted(seen):
    print(line.replace(b"\\\\0", b" ").decode("utf-8", "replace").replace("\\\\n", " "))
"""


@contextmanager
def sampled(stage: Stage) -> Iterator[list[str]]:
    """Note every command line on the host; the list is there afterwards."""
    lines: list[str] = []
    body = 'rm -f /run/sampled; exec python3 -c "$1"'

    def sample() -> None:
        lines.extend(stage.root(body, _SAMPLE, timeout=200).splitlines())

    thread = threading.Thread(target=sample, name="sampler")
    thread.start()
    until(lambda: stage.root("ls /run/sampled 2>/dev/null || true") != "", seconds=60)
    try:
        yield lines
    finally:
        stage.root("rm -f /run/sampled")
        thread.join()


def test_the_password_of_the_database_is_nowhere(
    plugin_host: Stage, operator: Laptop, sandbox_state: Path, sandbox: Sandbox
) -> None:
    password = (sandbox_state / "password").read_text()
    # Part of the password in whatever way it is quoted, escaped or encoded for a URL.
    (core,) = re.findall("[0-9a-f]{16}", password)
    plugin_host.play("bad-migration")
    with sampled(plugin_host) as lines:
        done = operator.inv(*FULL, "--verbose")
        control = 'exec sh -c "sleep 0.2" control "$SHOWN"'
        shown = script(control, effect=Effect.READ, secret_env=(("SHOWN", Secret(password)),))
        sandbox.exec_root("prod1", shown)
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    met = [line for line in lines if core in line]
    assert [line for line in met if "control" not in line] == []
    assert len(met) == 1, "the sampler does not see what it should"
    assert any("pg_dump" in line for line in lines)
    assert any("alembic" in line for line in lines)
    assert core not in done.out + done.err
    for path in operator.folder.rglob("*"):
        assert not path.is_file() or core.encode() not in path.read_bytes(), path
    where = plugin_host.root(
        'cd -- "$1" && grep -rlF -e "$2" .rollback /home/deploy /tmp --exclude=\'*.log\' 2>/dev/null || true;'
        'runuser -u deploy -- git cat-file --batch-all-objects --batch | grep -caF -e "$2" || true',
        FOLDER,
        core,
    )
    assert where.split() == ["0"]
    assert plugin_host.root(f"grep -cF -e {core} {FOLDER}/.env").strip() == "2"


@pytest.mark.long
def test_a_folder_with_a_hostile_name_is_rolled_back_like_any_other(
    plugin_host: Stage, sandbox: Sandbox, tmp_path: Path
) -> None:
    directory = """/srv/it's a "pile" $(touch /tmp/owned) ; `id`"""
    project = Project(directory=directory, name="second", port=8001, image="second-pile")
    remove = (
        "docker ps -aq -f label=com.docker.compose.project=second | xargs -r docker rm -fv; "
        'docker volume rm -f second_pgdata second_wal_archive; docker network rm second_default; rm -rf -- "$1"; true'
    )
    plugin_host.root(remove, directory)
    sandbox.add_project("prod1", project)
    sandbox.deploy("prod1", "v6", project=project)
    operator = laptop(tmp_path / "laptop", sandbox.write_inventory("hostile.yaml", project))
    marked = operator.inv("release.mark", "--good", "--host", "prod1")
    assert marked.code == 0, marked.err
    sandbox.deploy("prod1", "bad-migration", project=project)
    done = operator.inv(*FULL)
    health = plugin_host.health(8001)
    owned = plugin_host.root("ls /tmp/owned 2>&1 || true")
    plugin_host.root(remove, directory)
    assert (done.code, done.document["outcome"], health) == (0, "done", (200, "v6")), done.err
    assert owned.startswith("ls: ")
