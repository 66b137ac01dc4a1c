"""Reaching a host: ssh_config, keys, agents, hops, and every way in which it can fail."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import AuthenticationFailed, ConfigError, Unreachable
from rollback_tasks.shell import Command, Effect
from rollback_tasks.transport.connect import SshTarget, connect
from rollback_tasks.transport.hops import Hops

TRUE = Command(argv=("true",), effect=Effect.READ)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


def make_key(path: Path, passphrase: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An ssh-agent of our own; the fixture adds a key to it."""
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 5
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.005)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))

    def add(key: Path) -> None:
        environ = {
            **os.environ,
            "SSH_ASKPASS": str(_askpass(tmp_path)),
            "SSH_ASKPASS_REQUIRE": "force",
            "DISPLAY": ":0",
        }
        subprocess.run(
            ["ssh-add", "-q", str(key)], check=True, env=environ, stdin=subprocess.DEVNULL, capture_output=True
        )

    yield add
    process.terminate()
    process.wait(5)


def _askpass(folder: Path) -> Path:
    program = folder / "askpass"
    program.write_text("#!/bin/sh\necho open sesame\n")
    program.chmod(0o700)
    return program


class TestSshConfig:
    def test_everything_may_come_from_an_alias(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text(
            f"Include conf.d/*\nHost *\n  User nobody\n  UserKnownHostsFile {sshd.known_hosts}\n"
        )
        (home / ".ssh" / "conf.d").mkdir()
        (home / ".ssh" / "conf.d" / "prod").write_text(
            f"Host prod-alias\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
            f"  User {sshd.user}\n  IdentityFile {sshd.identity}\n"
        )
        host = connect(SshTarget(name="prod1", hostname="prod-alias"), connect_timeout=5)
        assert host.run(TRUE).exit_code == 0
        host.close()

    def test_the_inventory_wins_over_ssh_config(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text(
            "Host *\n  Port 1\n  User nobody\n  IdentityFile /nowhere\n  ProxyJump nowhere.invalid\n"
        )
        sshd.connect(proxy_jump="none").close()

    def test_proxyjump_none_is_no_host_of_that_name(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text("Host *\n  ProxyJump none\n")
        sshd.connect().close()

    def test_a_proxycommand_carries_the_connection(self, sshd: Any, home: Path) -> None:
        pump = home / "pump.py"
        pump.write_text(
            "import os, socket, sys, threading\n"
            "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
            "def up():\n    while d := os.read(0, 65536): s.sendall(d)\n    s.shutdown(1)\n"
            "threading.Thread(target=up, daemon=True).start()\n"
            "while d := s.recv(65536): os.write(1, d)\n"
        )
        (home / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand {sys.executable} {pump} %h %p\n")
        host = sshd.connect()
        assert host.run(TRUE).exit_code == 0
        host.close()

    def test_a_file_that_cannot_be_understood_is_named(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text("Host *\n  Port ssh\n")
        with pytest.raises(ConfigError, match=re.escape(str(home / ".ssh" / "config"))):
            sshd.connect(port=None)

    def test_connecttimeout_holds_where_the_caller_is_silent(self, home: Path, mute: int) -> None:
        (home / ".ssh" / "config").write_text("ConnectTimeout 1\n")
        started = time.monotonic()
        with pytest.raises(Unreachable):
            connect(SshTarget(name="prod1", hostname="127.0.0.1", port=mute))
        assert 0.5 < time.monotonic() - started < 5


class TestKeys:
    def test_a_named_key_comes_before_seven_others_of_the_agent(
        self, sshd: Any, home: Path, agent: Callable[[Path], None]
    ) -> None:
        for number in range(7):
            agent(make_key(home / f"other{number}"))
        sshd.connect().close()

    @pytest.mark.parametrize("only", ["yes", "no"])
    def test_an_encrypted_key_is_signed_by_the_agent(
        self, new_sshd: Callable[..., Any], home: Path, agent: Callable[[Path], None], only: str
    ) -> None:
        server = new_sshd()
        key = make_key(home / "encrypted", "open sesame")
        server.authorized.write_text(key.with_suffix(".pub").read_text())
        for number in range(7):
            agent(make_key(home / f"other{number}"))
        agent(key)
        key.with_suffix(".pub").unlink()
        (home / ".ssh" / "config").write_text(f"Host *\n  IdentityFile {key}\n  IdentitiesOnly {only}\n")
        server.connect(identity_file=None).close()

    def test_a_public_file_picks_a_key_of_the_agent(self, sshd: Any, home: Path, agent: Callable[[Path], None]) -> None:
        agent(sshd.identity)
        (home / "picked.pub").write_text(sshd.identity.with_suffix(".pub").read_text())
        sshd.connect(identity_file=str(home / "picked.pub")).close()

    def test_the_agent_serves_where_nobody_names_a_key(
        self, sshd: Any, home: Path, agent: Callable[[Path], None]
    ) -> None:
        agent(sshd.identity)
        sshd.connect(identity_file=None).close()

    def test_a_key_under_its_usual_name_is_found(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "id_ed25519").write_text(sshd.identity.read_text())
        sshd.connect(identity_file=None).close()

    def test_identitiesonly_offers_nothing_else(self, sshd: Any, home: Path, agent: Callable[[Path], None]) -> None:
        agent(sshd.identity)
        other = make_key(home / "other")
        (home / ".ssh" / "config").write_text(f"Host *\n  IdentityFile {other}\n  IdentitiesOnly yes\n")
        with pytest.raises(AuthenticationFailed) as caught:
            sshd.connect(identity_file=None)
        assert f"offered as {sshd.user}: {other}" in caught.value.details

    def test_a_missing_key_of_ssh_config_is_passed_over(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text(f"Host *\n  IdentityFile /nowhere\n  IdentityFile {sshd.identity}\n")
        sshd.connect(identity_file=None).close()

    def test_a_missing_key_of_the_inventory_is_an_error(self, sshd: Any) -> None:
        with pytest.raises(AuthenticationFailed, match="identity file /nowhere does not exist"):
            sshd.connect(identity_file="/nowhere")

    def test_an_encrypted_key_without_an_agent_names_the_way_out(self, sshd: Any, home: Path) -> None:
        key = make_key(home / "encrypted", "open sesame")
        with pytest.raises(AuthenticationFailed) as caught:
            sshd.connect(identity_file=str(key))
        assert caught.value.hint == f"unlock the key first: `ssh-add {key}`."

    def test_a_key_that_the_host_does_not_know_is_refused(self, sshd: Any, home: Path) -> None:
        with pytest.raises(AuthenticationFailed, match="accepted none of the keys"):
            sshd.connect(identity_file=str(make_key(home / "stranger")))

    def test_a_file_that_is_no_key_is_named(self, sshd: Any, home: Path) -> None:
        (home / "text").write_text("not a key\n")
        with pytest.raises(AuthenticationFailed, match="cannot be used"):
            sshd.connect(identity_file=str(home / "text"))

    def test_too_many_keys_are_an_authentication_failure(
        self, sshd: Any, home: Path, agent: Callable[[Path], None]
    ) -> None:
        for number in range(8):
            agent(make_key(home / f"other{number}"))
        with pytest.raises(AuthenticationFailed, match="hung up"):
            sshd.connect(identity_file=None)


class TestHops:
    def jump(self, hop: Any) -> str:
        return f"{hop.user}@127.0.0.1:{hop.port}"

    def test_a_chain_of_two_hops_leads_to_the_host(self, sshd: Any, new_sshd: Callable[..., Any], home: Path) -> None:
        one, two = new_sshd(), new_sshd()
        for hop in (one, two):
            hop.authorized.write_text(sshd.authorized.read_text())
        known = home / "known"
        known.write_text("".join(server.known_hosts.read_text() for server in (sshd, one, two)))
        host = sshd.connect(known_hosts_file=str(known), proxy_jump=f"{self.jump(one)},{self.jump(two)}")
        assert host.run(TRUE).exit_code == 0
        assert len(one.sessions()) > 0
        assert len(two.sessions()) > 0
        host.close()
        until = time.monotonic() + 5
        while one.sessions() or two.sessions():
            assert time.monotonic() < until, "the hops are still open"
            time.sleep(0.01)

    def test_hosts_share_one_connection_to_a_hop(self, sshd: Any, new_sshd: Callable[..., Any], home: Path) -> None:
        hop = new_sshd()
        hop.authorized.write_text(sshd.authorized.read_text())
        known = home / "known"
        known.write_text(sshd.known_hosts.read_text() + hop.known_hosts.read_text())
        hops, done = Hops(), []

        def work() -> None:
            target = sshd.target(known_hosts_file=str(known), proxy_jump=self.jump(hop))
            host = connect(target, connect_timeout=10, hops=hops)
            done.append(host.run(TRUE).exit_code)
            host.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hops.close()
        assert done == [0] * 6
        assert hop.log.read_text().count("Accepted publickey") == 1

    def test_a_hop_that_is_down_costs_all_hosts_together_one_time_limit(self, sshd: Any, mute: int) -> None:
        hops, told = Hops(), []

        def work(name: str) -> None:
            target = replace(sshd.target(proxy_jump=f"me@127.0.0.1:{mute}"), name=name)
            with pytest.raises(Unreachable) as caught:
                connect(target, connect_timeout=2, hops=hops)
            told.append((caught.value.host, caught.value.brief))

        names = [f"prod{number}" for number in range(6)]
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [(name, f"no SSH server speaks at 127.0.0.1:{mute}") for name in names]
        assert time.monotonic() - started < 10  # six limits of 2 s one after the other are 12 s

    def test_a_hop_that_was_lost_is_opened_anew_for_the_next_host(
        self, sshd: Any, new_sshd: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rollback_tasks.transport.hops.SILENT_SECONDS", 0.5)
        hop = new_sshd()
        hop.authorized.write_text(sshd.authorized.read_text())
        known = home / "known"
        known.write_text(sshd.known_hosts.read_text() + hop.known_hosts.read_text())
        hops = Hops()
        target = sshd.target(known_hosts_file=str(known), proxy_jump=self.jump(hop))
        first = connect(target, connect_timeout=2, hops=hops)
        for pid in hop.sessions():
            os.kill(pid, signal.SIGSTOP)  # as a cut: nothing is said any more, and nothing is closed
        second = connect(target, connect_timeout=2, hops=hops)
        assert second.run(TRUE).exit_code == 0
        for pid in hop.sessions():
            os.kill(pid, signal.SIGCONT)
        assert first.run(TRUE).exit_code == 0  # it was only slow, and is still there for whom it had
        for host in (first, second):
            host.close()
        hops.close()

    def test_a_loop_of_hops_is_an_error(self, sshd: Any, home: Path) -> None:
        (home / ".ssh" / "config").write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
        with pytest.raises(Unreachable, match="form a loop"):
            sshd.connect(proxy_jump="a")


@pytest.fixture
def mute() -> Iterator[int]:
    """A port where somebody listens who never speaks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _speaks_http() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


speaks_http = pytest.fixture(_speaks_http)


class TestUnreachable:
    def refused(self, port: int, hostname: str = "127.0.0.1") -> Unreachable:
        started = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            connect(SshTarget(name="prod1", hostname=hostname, port=port), connect_timeout=1)
        assert time.monotonic() - started < 5
        assert caught.value.host == "prod1"
        assert caught.value.hint
        return caught.value

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert self.refused(port).brief == f"connection refused by 127.0.0.1:{port}"

    def test_no_such_name(self) -> None:
        assert self.refused(22, "no-such-host.invalid").brief == "the name no-such-host.invalid is not known"

    def test_a_listener_that_never_speaks(self, mute: int) -> None:
        assert self.refused(mute).brief == f"no SSH server speaks at 127.0.0.1:{mute}"

    def test_a_server_of_another_kind(self, speaks_http: int) -> None:
        assert self.refused(speaks_http).brief == f"no SSH server speaks at 127.0.0.1:{speaks_http}"

    def test_a_server_that_is_stopped_in_the_handshake(self, mute: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            kept: list[socket.socket] = []

            def serve() -> None:
                client, _ = server.accept()
                client.sendall(b"SSH-2.0-Silent\r\n")
                kept.append(client)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            assert self.refused(port).brief == f"127.0.0.1:{port} did not finish the handshake"
            thread.join()
            kept[0].close()

    def test_a_full_queue_gives_no_answer(self) -> None:
        with socket.socket() as server, socket.socket() as one, socket.socket() as two:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            for filler in (one, two):
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
            port = server.getsockname()[1]
            assert self.refused(port).brief == f"no answer from 127.0.0.1:{port}"

    def test_every_address_of_a_name_is_tried(self, sshd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        known = sshd.folder / "known_localhost"
        known.write_text(sshd.known_hosts.read_text().replace("127.0.0.1", "localhost"))
        # "localhost" may stand for ::1 first, where nobody listens.
        sshd.connect(hostname="localhost", known_hosts_file=str(known)).close()


def test_nothing_of_a_failure_leaks_to_stderr(mute: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable):
        connect(SshTarget(name="prod1", hostname="127.0.0.1", port=mute), connect_timeout=0.3)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_failed_connections_leave_no_open_files(sshd: Any, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            sshd.connect(identity_file=str(stranger))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            sshd.connect(identity_file=str(stranger))
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_connection_uses_the_cheap_cipher_and_never_renews_its_keys_in_a_dump(ssh_host: Any) -> None:
    transport = ssh_host._transport
    assert (transport.local_cipher, transport.remote_cipher) == ("aes128-gcm@openssh.com", "aes128-gcm@openssh.com")
    assert transport.packetizer.REKEY_BYTES == 2**36
