"""Tasks in one command line: each host is dialled once, and none that was lost between two tasks is used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import ConnectionLost
from rollback_tasks.shell import Command, Effect, script
from rollback_tasks.transport.connect import SshTarget, connect
from rollback_tasks.transport.kept import Kept
from rollback_tasks.transport.ssh import SshHost
from tests.ssh.conftest import Sshd, wait_until
from tests.ssh.test_many import CHECKOUT, inventory

TRUE = Command(argv=("true",), effect=Effect.READ)


class Dialler:
    """Connects, and remembers how often."""

    def __init__(self) -> None:
        self.dialled: list[SshTarget] = []

    def __call__(self, target: SshTarget) -> SshHost:
        self.dialled.append(target)
        return connect(target)


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    made.close()


def test_what_one_task_closes_the_next_one_gets(sshd: Sshd, kept: Kept) -> None:
    dial = Dialler()
    for _ in range(3):
        host = kept.get(sshd.target(), dial)
        assert host.run(TRUE).exit_code == 0
        host.close()
        host.close()
    assert len(dial.dialled) == 1
    with pytest.raises(ConnectionLost):  # whoever closed it has it no longer
        host.run(TRUE)
    other = kept.get(sshd.target(name="another"), dial)
    assert len(dial.dialled) == 2
    other.close()


def test_two_at_a_time_never_share_one(sshd: Sshd, kept: Kept) -> None:
    dial = Dialler()
    one, two = (kept.get(sshd.target(), dial) for _ in range(2))
    one.close()
    assert two.run(TRUE).exit_code == 0
    two.close()
    assert len(dial.dialled) == 2


def test_one_that_was_lost_meanwhile_is_dialled_anew(new_sshd: Callable[..., Sshd], kept: Kept) -> None:
    server, dial = new_sshd(), Dialler()
    kept.get(server.target(), dial).close()
    for pid in server.sessions():
        os.kill(pid, signal.SIGKILL)
    host = kept.get(server.target(), dial)
    assert (host.run(TRUE).exit_code, len(dial.dialled)) == (0, 2)
    host.close()


def test_one_on_which_something_is_under_way_ends_with_it(
    new_sshd: Callable[..., Sshd], kept: Kept, tmp_path: Path
) -> None:
    server, dial, begun = new_sshd(), Dialler(), tmp_path / "begun"
    host = kept.get(server.target(), dial)
    lost: list[ConnectionLost] = []

    def work() -> None:
        try:
            host.run(script('touch "$1"; exec sleep 60', str(begun), effect=Effect.WRITE, timeout=60))
        except ConnectionLost as error:
            lost.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(begun.exists)
    host.close()
    thread.join(20)
    assert len(lost) == 1
    kept.get(server.target(), dial).close()
    assert len(dial.dialled) == 2


def test_at_the_end_nothing_is_left_open(new_sshd: Callable[..., Sshd]) -> None:
    server, kept = new_sshd(), Kept()
    host, late = (kept.get(server.target(), connect) for _ in range(2))
    host.close()
    kept.close()
    late.close()
    wait_until(lambda: not server.sessions())


# What a deployment host without containers says.
DOCKER = """\
#!/bin/sh
case "$*" in
  *version*) echo 20.10.24 ;;
  *info*) echo engine ;;
  *" config"*) printf 'services:\\n  app: {image: a}\\n  db: {image: b}\\n' ;;
esac
"""


@pytest.fixture
def deployed(new_sshd: Callable[..., Sshd], tmp_path: Path) -> tuple[Sshd, dict[str, str]]:
    """A host with a checkout and an engine that runs nothing; and the variables of somebody who may go there."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER)
    (tmp_path / "bin/docker").chmod(0o755)
    project = tmp_path / "project"
    project.mkdir()
    (project / "docker-compose.yml").write_text("services: {}\n")
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    server = new_sshd(options=f"SetEnv PATH={tmp_path}/bin:{os.environ['PATH']}")
    path = inventory(tmp_path / "hosts.yaml", [server])
    document = json.loads(path.read_text())
    document["defaults"]["project_dir"] = str(project)
    path.write_text(json.dumps(document))
    home = tmp_path / "laptop"
    home.mkdir()
    return server, {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "ROLLBACK_HOSTS_FILE": str(path)}


def shell(line: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `$inv` is Invoke."""
    return subprocess.run(
        ["bash", "-c", f'inv="{sys.executable} -m invoke"; {line}'],
        cwd=CHECKOUT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def dialled(server: Sshd) -> int:
    return server.log.read_text().count("Accepted publickey")


def test_a_chain_dials_once_runs_equal_tasks_and_stops_at_the_first_failure(
    deployed: tuple[Sshd, dict[str, str]],
) -> None:
    server, environ = deployed
    log, red = "git.log --host web01", "verify.containers --host web01"
    done = shell(f"$inv {log} {log} {log}", environ)
    assert (done.returncode, done.stdout.count("first"), dialled(server)) == (0, 3, 1), done.stderr
    done = shell(f"$inv {log} {red} {log}", environ)
    assert (done.returncode, done.stdout.count("first"), dialled(server)) == (9, 1, 2), done.stderr
    assert "app has no container" in done.stdout


def test_tasks_stand_in_lines_of_a_shell_as_other_programs_do(deployed: tuple[Sshd, dict[str, str]]) -> None:
    _, environ = deployed
    log, red = "git.log --host", "verify.containers --host web01"
    done = shell(f"$inv {log} web01 >/dev/null && echo well; $inv {red} >/dev/null || echo code $?", environ)
    assert (done.stdout, done.returncode) == ("well\ncode 9\n", 0), done.stderr
    done = shell(f"printf 'web01\\nweb01\\n' | while read h; do $inv {log} $h --json; done", environ)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["task"] for one in said] == ["git.log", "git.log"]
    done = shell(f"$inv {red} --json | {sys.executable} -m json.tool >/dev/null; echo ${{PIPESTATUS[*]}}", environ)
    assert done.stdout == "9 0\n"
    done = shell(f"$inv {red} | head -1; echo ${{PIPESTATUS[*]}}", environ)
    assert (done.stdout.splitlines()[-1], "Traceback" in done.stderr) == ("9 0", False)
