"""One real host, and the laptop that rolls it back: put into a known state, looked at past the product, broken on
purpose.

What is said of a host here is asked as root inside it, never through the product.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

import rollback_tasks
from rollback_tasks.sandbox.history import RELEASES, Behaviour
from rollback_tasks.sandbox.sandbox import Sandbox
from rollback_tasks.shell import Effect, script

CHECKOUT = Path(rollback_tasks.__file__).parents[1]
FOLDER = "/srv/comicpile"
APP_LABEL = "label=com.docker.compose.service=app"

# One row a table: rows, and a digest over all of them, so that equal counts of other rows do not pass.
_ROWS = """\
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) '
  'FROM public.%I t', table_name, table_name)
FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
\\gexec
"""

# Sections are parted by a line that no answer holds. $1 folder, $2 compose project, $3 the question about rows
_LOOK = """\
part() { printf '\\n=====\\n'; }
cd -- "$1" || exit 1
export GIT_OPTIONAL_LOCKS=0
git() { runuser -u deploy -- git "$@"; }
git rev-parse HEAD; part
git symbolic-ref -q HEAD; part
git ls-files --stage | sha256sum; part
git status --porcelain=v1; part
git worktree list | wc -l; part
find . -path ./.git -prune -o -path ./.rollback -prune -o \\( -type f -o -type l \\) -printf '%m %u %p ' \\
  -exec sha256sum {} \\; | sort; part
git for-each-ref; part
docker ps --all --no-trunc --filter label=com.docker.compose.service=app --format '{{.ID}} {{.State}}' | sort; part
docker ps --all --no-trunc --format '{{.Names}}' | sort; part
docker ps --all --quiet --filter label=com.docker.compose.service=app |
  xargs -r docker inspect --format '{{.Image}}' | sort; part
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v '^rollback-keep/' | sort; part
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep '^rollback-keep/' | sort; part
find .rollback -type f -printf '%m %p ' -exec sha256sum {} \\; 2>/dev/null | sort; part
db=$(docker ps --quiet --filter "label=com.docker.compose.project=$2" --filter label=com.docker.compose.service=db)
ask() { [ -z "$db" ] || docker exec -i "$db" psql -XAt -U comicpile -d "$1"; }
echo "SELECT datname FROM pg_database WHERE datname LIKE 'comicpile%' ORDER BY 1" | ask postgres; part
echo 'SELECT version_num FROM alembic_version ORDER BY 1' | ask comicpile; part
printf '%s' "$3" | ask comicpile
"""

# $1 folder, $2 release, $3 database to copy, $4 tag of its image; leaves no trace of what a test did
_PLAY = """\
umount "$1/.rollback/backups" 2>/dev/null
rm -f /usr/local/bin/docker /run/fault*
project=label=com.docker.compose.project=comicpile
for one in $(docker ps --all --quiet); do
  case $(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$one") in
    db) db=$one ;;
    *) docker rm --force "$one" >/dev/null ;;
  esac
done
docker start "$db" >/dev/null || exit 1
docker network inspect comicpile_default --format '{{json .Containers}}' |
  grep -q "$(docker inspect --format '{{.Id}}' "$db")" ||
  docker network connect --alias db comicpile_default "$db" || exit 1
until docker exec "$db" pg_isready -q -h 127.0.0.1 -U comicpile -d postgres; do sleep 0.1; done
docker exec -i "$db" psql -XqAt -v ON_ERROR_STOP=1 -v golden="$3" -U comicpile -d postgres >/dev/null <<'END' || exit 1
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'comicpile%';
SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE datname LIKE 'comicpile%'
\\gexec
CREATE DATABASE comicpile TEMPLATE :"golden";
END
docker exec "$db" find /wal_archive -type f -delete
find "$1" -mindepth 1 -delete && tar -xpf /root/base.tar -C "$1" || exit 1
kept=$(cat /root/base.pins)
for name in $(docker image ls --format '{{.Repository}}:{{.Tag}}' 'rollback-keep/*'); do
  case " $kept " in *" $name "*) ;; *) docker rmi "$name" >/dev/null ;; esac
done
docker tag "$4" comic-pile:latest || exit 1
cd -- "$1" && runuser -u deploy -- git checkout --quiet --force -B main "refs/tags/$2^{commit}" || exit 1
if docker compose version >/dev/null 2>&1; then set -- docker compose; else set -- docker-compose; fi
runuser -u deploy -- env HOME=/home/deploy "$@" up -d --no-deps --no-build --force-recreate app 2>/dev/null
"""

_SAVE_BASE = """\
tar -cpf /root/base.tar -C "$1" . || exit 1
docker image ls --format '{{.Repository}}:{{.Tag}}' 'rollback-keep/*' | tr '\\n' ' ' >/root/base.pins
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a host is, as far as a rollback could change it.

    :param index: digest of git's index.
    :param files: mode, owner, name and digest of everything in the checkout, ignored files too.
    :param app: id and state of each container of the application.
    :param running: image ids of these containers.
    :param images: names and ids, without the product's pins, which stand in ``pins``.
    :param record: every file of ``.rollback`` with its digest.
    :param databases: of the application, with whatever a run left.
    :param rows: table to number of rows and digest of all of them.
    """

    head: str
    branch: str
    index: str
    status: str
    worktrees: str
    files: tuple[str, ...]
    refs: tuple[str, ...]
    app: tuple[str, ...]
    containers: tuple[str, ...]
    running: tuple[str, ...]
    images: tuple[str, ...]
    pins: tuple[str, ...]
    record: tuple[str, ...]
    databases: tuple[str, ...]
    schema: tuple[str, ...]
    rows: Mapping[str, tuple[int, str]]

    @property
    def counts(self) -> dict[str, int]:
        """Table to number of rows."""
        return {name: count for name, (count, _) in self.rows.items()}

    def without_traces(self) -> Seen:
        """The same without what a run keeps on purpose: its journal, its backup, its safety branch, its pins."""
        refs = tuple(ref for ref in self.refs if "refs/heads/rollback/" not in ref and "refs/rollback/" not in ref)
        return replace(self, record=(), refs=refs, pins=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How `inv` ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it has to be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def host(self) -> dict[str, Any]:
        """The only host of the document."""
        (host,) = self.document["hosts"]
        assert isinstance(host, dict)
        return host


@dataclass(slots=True, kw_only=True)
class Stage:
    """One host of the sandbox."""

    sandbox: Sandbox
    name: str
    address: str
    _golden: dict[str, str] = field(default_factory=dict)

    def root(self, body: str, *args: str, stdin: bytes = b"", timeout: float = 120.0) -> str:
        """Run a fixed script as root inside the host; return what it printed."""
        return self.sandbox.exec_root(
            self.name, script(body, *args, effect=Effect.WRITE, stdin=stdin, timeout=timeout)
        ).text

    def await_engine(self) -> None:
        """Return when the host's Docker engine answers."""
        self.root("until docker version >/dev/null 2>&1; do sleep 0.1; done")

    def restart_engine(self) -> None:
        """Do what `systemctl restart docker` does, and return when the engine and the database answer."""
        body = (
            'old=$(pgrep -o -x dockerd); kill -s TERM "$old"; while [ -e "/proc/$old" ]; do sleep 0.1; done\n'
            "until docker version >/dev/null 2>&1; do sleep 0.1; done\n"
            "db=$(docker ps -aq -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"
            'docker start "$db" && until docker exec "$db" pg_isready -q; do sleep 0.1; done'
        )
        self.root(body)

    def sql(self, text: str, *, database: str = "comicpile") -> str:
        """Run SQL in the host's database, past the application."""
        body = (
            "db=$(docker ps -q -f label=com.docker.compose.project=comicpile -f label=com.docker.compose.service=db)\n"
            'exec docker exec -i "$db" psql -XqAt -v ON_ERROR_STOP=1 -U comicpile -d "$1"'
        )
        return self.root(body, database, stdin=text.encode()).strip()

    def build(self) -> None:
        """Make the base: v6 deployed for real, nothing recorded."""
        self.sandbox.reset(self.name)
        self.sandbox.deploy(self.name, "v6")
        self._keep("v6")

    def save_base(self) -> None:
        """What the checkout is now is what every test starts from."""
        self.root(_SAVE_BASE, FOLDER)

    def play(self, release: str = "v6") -> Seen:
        """Put the host into the state "v6 was good, then ``release`` was deployed"; return what it is then.

        The first time it is deployed as a team does it; later its image and its database are laid in place again.
        """
        if release not in self._golden:
            self.play("v6")
            self.sandbox.deploy(self.name, release)
            self._keep(release)
        self.root(_PLAY, FOLDER, release, self._golden[release], f"stage:{release}", timeout=300)
        self.await_behaviour(release)
        return self.look()

    def _keep(self, release: str) -> None:
        has_own = release == "v6" or RELEASES[release].heads != RELEASES["v6"].heads
        golden = f"golden_{release}" if has_own else "golden_v6"
        self.root(f"docker tag comic-pile:latest stage:{release}")
        if has_own:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'comicpile';"
            self.sql(
                f"ALTER DATABASE comicpile ALLOW_CONNECTIONS false;\n{end}\n"
                f'DROP DATABASE IF EXISTS "{golden}";\nCREATE DATABASE "{golden}" TEMPLATE comicpile;\n'
                "ALTER DATABASE comicpile ALLOW_CONNECTIONS true;",
                database="postgres",
            )
        self._golden[release] = golden

    def await_behaviour(self, release: str) -> None:
        """Wait until the release shows what it is."""
        behaviour = RELEASES[release].behaviour
        if behaviour is Behaviour.CRASHING:
            body = f'until [ "$(docker inspect -f "{{{{.RestartCount}}}}" $(docker ps -aq -f {APP_LABEL}))" -gt 0 ]; do'
            self.root(body + " sleep 0.1; done")
            return
        status = {Behaviour.GOOD: 200, Behaviour.SLOW: 200, Behaviour.FAILING: 500, Behaviour.NEVER_READY: 503}
        until(lambda: self.health() == (status[behaviour], release), seconds=180)

    def look(self) -> Seen:
        """Ask the host itself."""
        parts = self.root(_LOOK, FOLDER, "comicpile", _ROWS).split("\n=====\n")
        lines = [tuple(line for line in part.splitlines() if line) for part in parts]
        one = ["\n".join(part) for part in lines]
        rows = {}
        for line in lines[15]:
            table, count, digest = line.split("|")
            rows[table] = (int(count), digest)
        return Seen(
            head=one[0],
            branch=one[1],
            index=one[2],
            status=one[3],
            worktrees=one[4],
            files=lines[5],
            refs=lines[6],
            app=lines[7],
            containers=lines[8],
            running=lines[9],
            images=lines[10],
            pins=lines[11],
            record=lines[12],
            databases=lines[13],
            schema=lines[14],
            rows=rows,
        )

    def health(self, port: int = 8000) -> tuple[int, str]:
        """Ask /health from outside: status (0 = nothing answers) and the release that answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}/health", timeout=5) as answer:
                return answer.status, json.load(answer)["release"]
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, json.load(problem)["release"]
        except (OSError, ValueError):
            return 0, ""

    def image_of(self, release: str) -> str:
        """The id of a release's image."""
        return self.root('docker image inspect --format "{{.Id}}" "stage:$1"', release).strip()

    def commit_of(self, release: str) -> str:
        """The commit of a release."""
        return self.root(f'runuser -u deploy -- git -C {FOLDER} rev-parse "$1^{{commit}}"', release).strip()

    def when_docker(self, pattern: str, then: str, *, call: int = 1, is_after: bool = False) -> None:
        """Lay a trap: at the ``call``-th run of the docker client by deploy whose words match ``pattern`` (as in a
        shell's `case`), run the shell text ``then`` before it, or ``is_after`` it. `exit 1` in it makes the client
        fail."""
        act = f'/usr/bin/docker "$@"; code=$?; {then}; exit $code' if is_after else then
        spaced = pattern.replace(" ", "\\ ")
        trap = f"""\
#!/bin/bash
case "$*" in
  {spaced})
    exec 9>>/run/fault.calls; flock 9
    echo x >&9
    number=$(wc -l </run/fault.calls)
    exec 9>&-
    if [ "$number" = {call} ]; then {act}; fi ;;
esac
exec /usr/bin/docker "$@"
"""
        self.root(
            "cat >/run/fault.trap && bash -n /run/fault.trap && : >/run/fault.calls && chmod 666 /run/fault.calls && "
            "install -m 755 /run/fault.trap /usr/local/bin/docker",
            stdin=trap.encode(),
        )

    def disarm(self) -> None:
        """Take the trap away."""
        self.root("rm -f /usr/local/bin/docker")

    @contextmanager
    def root_waits(self, act: str) -> Iterator[str]:
        """Give the text for a trap that lets root run ``act``, and goes on when that is done."""
        self.root("rm -f /run/fault.done; : >/run/fault.go; chmod 666 /run/fault.go")
        wait = f"until [ -s /run/fault.go ]; do sleep 0.02; done; {act}\n: >/run/fault.done"
        thread = threading.Thread(target=self.root, args=(wait,), kwargs={"timeout": 120.0}, name="root")
        thread.start()
        try:
            yield "echo x >/run/fault.go; until [ -e /run/fault.done ]; do sleep 0.02; done"
        finally:
            self.root("echo x >/run/fault.go")
            thread.join()

    def was_sprung(self) -> bool:
        """True where the trap was met."""
        return self.root("cat /run/fault.calls").strip() != ""


@dataclass(slots=True, kw_only=True)
class Laptop:
    """An operator's machine: a home and a state folder of its own, and an inventory."""

    folder: Path
    inventory: Path

    @property
    def state(self) -> Path:
        """Where journals and reports go."""
        return self.folder / "state"

    @property
    def backups(self) -> Path:
        """Where backups are pulled to."""
        return self.folder / "backups"

    def environ(self) -> dict[str, str]:
        """The variables that `inv` runs with."""
        return {
            **os.environ,
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.state),
            "ROLLBACK_HOSTS_FILE": str(self.inventory),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `inv WORDS` in the checkout, in a process group of its own, without a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=CHECKOUT,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
            umask=0,  # what is private has to say so itself
        )

    def inv(self, *words: str, timeout: float = 300) -> Ended:
        """Run `inv WORDS` to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"inv {' '.join(words)} did not end within {timeout} s\n{out}\n{err}") from None
        except BaseException:
            process.kill()  # a test that is given up leaves nobody behind who acts on its hosts
            process.communicate()
            raise
        return Ended(code=process.returncode, out=out, err=err)

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the inventory's document in place."""
        document = yaml.safe_load(self.inventory.read_text())
        change(document)
        self.inventory.write_text(yaml.safe_dump(document))


def laptop(folder: Path, inventory: str) -> Laptop:
    """Return a laptop whose inventory is that of the sandbox, with a backup folder of its own."""
    folder.mkdir(exist_ok=True)
    made = Laptop(folder=folder, inventory=folder / "hosts.yaml")
    made.inventory.write_text(Path(inventory).read_text())
    made.change(lambda document: document["defaults"]["backups"].update(local_dir=str(made.backups)))
    # A machine that is busy with something else is slow, not broken.
    made.change(lambda document: document["defaults"]["health"].update(timeout=180))
    return made


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to /health: seconds by the monotonic clock, and the status; 0 = nothing answered."""

    began: float
    ended: float
    status: int


@contextmanager
def watched(stage: Stage) -> Iterator[list[Asked]]:
    """Ask a host's /health every 20 ms from outside, in a thread of its own; yields the list that grows."""
    asked: list[Asked] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            status, _ = stage.health()
            asked.append(Asked(began, time.monotonic(), status))
            is_over.wait(max(0.0, 0.02 - (time.monotonic() - began)))

    thread = threading.Thread(target=ask, name="client")
    thread.start()
    try:
        yield asked
    finally:
        is_over.set()
        thread.join()


def away(asked: list[Asked]) -> float:
    """Return the seconds from the last answer of the release that was left, good or bad, to the first good answer
    of the one that came: what a client had to wait, at worst."""
    first_missed = next(number for number, one in enumerate(asked) if one.status == 0)
    first_good = next(one for one in asked[first_missed:] if one.status == 200)
    return first_good.ended - asked[first_missed - 1].ended
