"""A real sshd of our own on 127.0.0.1, with its own host key and key pair; it starts in some 12 ms."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollback_tasks.ports import Host
from rollback_tasks.transport.connect import SshTarget, connect
from rollback_tasks.transport.local import LocalHost
from rollback_tasks.transport.ssh import SshHost

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.005)


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return path


class Sshd:
    """One server. ``target()`` reaches it with the right key and its own known_hosts file."""

    def __init__(self, folder: Path, *, options: str = "", host_key: str = "ed25519") -> None:
        assert SSHD is not None
        self.folder = folder
        self.port = free_port()
        self.user = getpass.getuser()
        self.host_key = make_key(folder / "host_key", kind=host_key)
        self.identity = make_key(folder / "identity")
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.identity.with_suffix(".pub").read_text())
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.public_host_key}\n")
        self.home = folder / "home"
        self.home.mkdir()
        self.config = folder / "sshd_config"
        self.config.write_text(
            f"{options}\nPort {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\n"
            f"AuthorizedKeysFile {self.authorized}\nPidFile none\nUsePAM no\nStrictModes no\nUseDNS no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nMaxSessions 20\n"
            # An empty home: nobody's start files, and none of the developer's own.
            f"PermitRootLogin yes\nLogLevel VERBOSE\nSetEnv HOME={self.home}\n"
        )
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def public_host_key(self) -> str:
        """Type and key, as they stand in known_hosts."""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self.config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._is_listening)

    def _is_listening(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def sessions(self) -> list[int]:
        """Process ids of the servers behind open connections."""
        assert self._process is not None
        found: list[int] = []
        waiting = [self._process.pid]
        while waiting:
            for pid in children(waiting.pop()):
                if command_name(pid).startswith("sshd"):
                    found.append(pid)
                    waiting.append(pid)
        return found

    def stop(self) -> None:
        if self._process is None:
            return
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        self._process.terminate()
        self._process.wait(10)

    def target(self, **changes: str | int | None) -> SshTarget:
        values: dict[str, str | int | None] = {
            "name": "prod1",
            "hostname": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "identity_file": str(self.identity),
            "known_hosts_file": str(self.known_hosts),
        }
        return SshTarget(**{**values, **changes})  # type: ignore[arg-type]

    def connect(self, **changes: str | int | None) -> SshHost:
        return connect(self.target(**changes), connect_timeout=10)


def command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    # Not /proc/PID/task/PID/children: sshd hides itself from tracing, and with it that file from us.
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(") ")[2].split()[1] == str(pid):
                found.append(int(path.parent.name))
    return found


@pytest.fixture(scope="session")
def _sshd_is_there() -> None:
    if SSHD is None:
        pytest.skip("sshd is not installed")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


@pytest.fixture(scope="session")
def sshd(_sshd_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The server that most tests share."""
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_sshd(_sshd_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sshd]]:
    """Starts further servers, with ``options`` for their sshd_config."""
    servers: list[Sshd] = []

    def start(**options: str) -> Sshd:
        server = Sshd(tmp_path_factory.mktemp("sshd"), **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def ssh_host(sshd: Sshd) -> Iterator[SshHost]:
    host = sshd.connect()
    yield host
    host.close()


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """The same cases hold for both kinds of host."""
    if request.param == "local":
        yield LocalHost(name="prod1")
    else:
        yield request.getfixturevalue("ssh_host")
