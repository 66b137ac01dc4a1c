"""Thirty hosts, one of which lets everybody connect and never says a word: the others do not wait for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rollback_tasks
from tests.ssh.conftest import Sshd

CHECKOUT = Path(rollback_tasks.__file__).parents[1]
HOSTS = 30
DEADLINE = 10.0  # for the banner


class Ran(NamedTuple):
    code: int
    document: dict[str, Any]
    seconds: float
    megabytes: float
    threads: int


@pytest.fixture
def servers(new_sshd: Callable[..., Sshd]) -> list[Sshd]:
    """A server for each host that speaks."""
    return [new_sshd() for _ in range(HOSTS - 1)]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose connections are accepted by the system and never served."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])


def inventory(path: Path, servers: list[Sshd], *, silent: int | None = None) -> Path:
    """Write hosts.yaml; the silent host, where there is one, is its first."""
    hosts = [
        {
            "hostname": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "identity_file": str(server.identity),
            "known_hosts_file": str(server.known_hosts),
        }
        for server in servers
    ]
    if silent is not None:
        hosts.insert(0, {**hosts[0], "port": silent})
    document = {
        "version": 1,
        "defaults": {
            "project_dir": "/srv/comicpile",
            "compose_files": ["docker-compose.yml"],
            "app_services": ["app"],
            "db_service": "db",
            "database": {"name": "comicpile", "user": "comicpile"},
            "migrations": {"service": "app", "command": ["alembic"]},
            "health": {"url": "http://localhost:1/health"},
        },
        "hosts": {f"web{number:02d}": host for number, host in enumerate(hosts, 1)},
    }
    path.write_text(json.dumps(document))  # every JSON document is a YAML document
    return path


def inv(*words: str, hosts: Path, home: Path) -> Ran:
    """Run ``inv WORDS --json`` and watch how big it gets."""
    environ = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "ROLLBACK_HOSTS_FILE": str(hosts)}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words, "--json"],
        cwd=CHECKOUT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    biggest: dict[str, int] = {"VmHWM": 0, "Threads": 0}

    def watch() -> None:
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            for line in lines:
                name, _, value = line.partition(":")
                if name in biggest:
                    biggest[name] = max(biggest[name], int(value.split()[0]))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate(timeout=100)
    watcher.join()
    seconds = time.monotonic() - began
    return Ran(process.returncode, json.loads(out), seconds, biggest["VmHWM"] / 1024, biggest["Threads"])


@pytest.mark.parametrize(
    "words", [("host.status", "--host", "*"), ("rollback.plan", "--host", "*")], ids=["host.status", "rollback.plan"]
)
def test_a_host_that_never_speaks_costs_the_fleet_no_more_than_its_own_deadline(
    servers: list[Sshd], silent: int, tmp_path: Path, record_property: Any, words: tuple[str, ...]
) -> None:
    without = inv(*words, hosts=inventory(tmp_path / "without.yaml", servers), home=tmp_path)
    with_it = inv(*words, hosts=inventory(tmp_path / "with.yaml", servers, silent=silent), home=tmp_path)
    said = (
        f"{words[0]} on {HOSTS} hosts with one silent: {with_it.seconds:.1f} s, without it {without.seconds:.1f} s; "
        f"{with_it.megabytes:.0f} MB, {with_it.threads} threads"
    )
    record_property("measured", said)
    hosts = with_it.document["hosts"]
    mute = [host["host"] for host in hosts if "no SSH server speaks" in (host["error"] or "")]
    assert (len(hosts), mute, with_it.code) == (HOSTS, ["web01"], 7), with_it.document
    assert with_it.seconds < without.seconds + DEADLINE + 3
    assert with_it.megabytes < 250
    assert with_it.threads < 64
