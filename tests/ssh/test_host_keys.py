"""A connection is made only to a machine whose key somebody has vouched for, on every hop."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import HostKeyChanged, HostKeyUnknown, RollbackError, Unreachable
from rollback_tasks.shell import Command, Effect

TRUE = Command(argv=("true",), effect=Effect.READ)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


def make_key(folder: Path, name: str, kind: str = "ed25519") -> str:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return " ".join((folder / f"{name}.pub").read_text().split()[:2])


def shown_fingerprint(path: Path) -> str:
    """What ssh-keygen says of a public key."""
    return subprocess.run(["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True).stdout.split()[
        1
    ]


# {name} is [127.0.0.1]:port, {key} the host's key, {other} another key of the same type, {rsa} one of another type.
ACCEPTED = {
    "the plain name": "{name} {key}",
    "a comment behind the key": "{name} {key} root@prod1 # written by hand",
    "a list of names": "elsewhere,{name},elsewhere2 {key}",
    "a wildcard over everything": "* {key}",
    "a wildcard in the address": "[127.0.0.?]:* {key}",
    "upper case in the file": "EXAMPLE,{name} {key}",
    "the name without its port, as ssh falls back to it": "127.0.0.1 {key}",
    "a wrong line for another host": "[127.0.0.1]:1 {other}\n{name} {key}",
    "several keys of one type": "{name} {other}\n{name} {key}",
    "a certificate authority beside it": "@cert-authority * {other}\n{name} {key}",
    "another key revoked": "@revoked * {other}\n{name} {key}",
    "an unknown marker beside it": "@future * {other}\n{name} {key}",
    "damaged lines beside it": "{name}\n{name} ssh-ed25519 !!!\n|1|x|y {other}\n\n# note\n{name} {key}",
    "windows line ends": "{name} {key}\r\n",
    "a key of another type as well": "{name} {rsa}\n{name} {key}",
}

UNKNOWN = {
    "an empty file": "",
    "only another port": "[127.0.0.1]:1 {key}",
    "only another host": "prod2 {key}",
    "negated": "!{name},!127.0.0.1,* {key}",
    "only through an authority": "@cert-authority * {key}",
    "under an unknown marker": "@future {name} {key}",
    "only a key of another type": "{name} {rsa}",
    "another key without a port": "127.0.0.1 {rsa}",
}

CHANGED = {
    "another key": "{name} {other}",
    "another key under a wildcard": "* {other}",
    "the right key revoked": "@revoked * {key}\n{name} {key}",
    "the right key revoked for the name without its port": "@revoked 127.0.0.1 {key}\n{name} {key}",
    "another key for the port, the right one without it": "{name} {other}\n127.0.0.1 {key}",
}


Write = Callable[[Any, str], Path]


@pytest.fixture(scope="session")
def foreign_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("foreign")
    return {"other": make_key(folder, "other"), "rsa": make_key(folder, "rsa", "rsa")}


@pytest.fixture
def write_known_hosts(tmp_path: Path, foreign_keys: dict[str, str]) -> Write:
    def write(sshd: Any, text: str) -> Path:
        path = tmp_path / "known_hosts_case"
        path.write_bytes(
            text.format(name=f"[127.0.0.1]:{sshd.port}", key=sshd.public_host_key, **foreign_keys).encode()
        )
        return path

    return write


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_known_key_is_accepted(sshd: Any, write_known_hosts: Write, text: str) -> None:
    host = sshd.connect(known_hosts_file=str(write_known_hosts(sshd, text)))
    assert host.run(TRUE).exit_code == 0
    host.close()


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_key_is_refused(sshd: Any, write_known_hosts: Write, text: str) -> None:
    path = write_known_hosts(sshd, text)
    with pytest.raises(HostKeyUnknown) as caught:
        sshd.connect(known_hosts_file=str(path))
    shown = str(caught.value)
    assert shown_fingerprint(sshd.host_key.with_suffix(".pub")) in shown
    assert f"`ssh-keyscan -t ed25519 -p {sshd.port} 127.0.0.1 >> {path}`" in shown
    assert shown.startswith("prod1: ")


@pytest.mark.parametrize("text", CHANGED.values(), ids=CHANGED.keys())
def test_a_changed_or_revoked_key_is_refused(sshd: Any, write_known_hosts: Write, text: str) -> None:
    path = write_known_hosts(sshd, text)
    with pytest.raises(HostKeyChanged) as caught:
        sshd.connect(known_hosts_file=str(path))
    assert shown_fingerprint(sshd.host_key.with_suffix(".pub")) in str(caught.value)
    assert f"{path}:1" in str(caught.value)


def test_hashed_names_are_found(sshd: Any, write_known_hosts: Write) -> None:
    path = write_known_hosts(sshd, "prod2 {other}\n{name} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "127.0.0.1" not in path.read_text()
    sshd.connect(known_hosts_file=str(path)).close()


def test_the_hints_mend_what_they_speak_of(sshd: Any, write_known_hosts: Write) -> None:
    path = write_known_hosts(sshd, "{name} {other}\n")
    with pytest.raises(HostKeyChanged) as changed:
        sshd.connect(known_hosts_file=str(path))
    remove, record = changed.value.hint.split("`")[1::2]
    subprocess.run(["sh", "-c", remove], check=True, capture_output=True)
    with pytest.raises(HostKeyUnknown) as unknown:
        sshd.connect(known_hosts_file=str(path))
    assert unknown.value.hint.split("`")[1] == record
    subprocess.run(["sh", "-c", record], check=True, capture_output=True)
    sshd.connect(known_hosts_file=str(path)).close()


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_keys_of_other_types_are_accepted(new_sshd: Callable[..., Any], kind: str) -> None:
    server = new_sshd(host_key=kind)
    server.connect().close()


def test_the_host_is_asked_for_the_key_that_is_known(new_sshd: Callable[..., Any], tmp_path: Path) -> None:
    rsa = make_key(tmp_path, "second", "rsa")
    server = new_sshd(options=f"HostKey {tmp_path / 'second'}")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {rsa}\n")
    server.connect().close()


@pytest.mark.parametrize("word", ["no", "off", "accept-new", "ask"])
def test_ssh_config_cannot_switch_the_check_off(sshd: Any, own_home: Path, write_known_hosts: Write, word: str) -> None:
    (own_home / ".ssh" / "config").write_text(
        f"Host *\n  StrictHostKeyChecking {word}\n  UserKnownHostsFile /dev/null\n"
    )
    with pytest.raises(HostKeyUnknown):
        sshd.connect(known_hosts_file=None)
    wrong = write_known_hosts(sshd, "{name} {other}\n")
    with pytest.raises(HostKeyChanged):
        sshd.connect(known_hosts_file=str(wrong))


def test_the_files_and_the_alias_of_ssh_config_hold(sshd: Any, own_home: Path) -> None:
    (own_home / "one").write_text("prod2 ssh-ed25519 AAAA\n")
    (own_home / "two file").write_text(f"the-alias {sshd.public_host_key}\n")
    (own_home / ".ssh" / "config").write_text(
        'Host 127.0.0.1\n  HostKeyAlias the-alias\n  UserKnownHostsFile ~/one "~/two file"\n'
    )
    sshd.connect(known_hosts_file=None).close()
    (own_home / "two file").write_text("")
    with pytest.raises(HostKeyUnknown) as caught:
        sshd.connect(known_hosts_file=None)
    assert "-o HostKeyAlias=the-alias" in caught.value.hint


def test_the_global_file_of_ssh_config_holds(sshd: Any, own_home: Path) -> None:
    (own_home / "global").write_text(f"* {sshd.public_host_key}\n")
    (own_home / ".ssh" / "config").write_text(f"GlobalKnownHostsFile {own_home}/global\n")
    sshd.connect(known_hosts_file=None).close()


def test_the_key_is_checked_before_ours_is_shown(sshd: Any, write_known_hosts: Write) -> None:
    before = sshd.log.read_text().count("publickey")
    with pytest.raises(HostKeyChanged):
        sshd.connect(known_hosts_file=str(write_known_hosts(sshd, "{name} {other}\n")))
    assert sshd.log.read_text().count("publickey") == before


class TestJumpHosts:
    """A hop is checked like any other machine."""

    def test_a_hop_leads_to_the_host(self, sshd: Any, new_sshd: Callable[..., Any], own_home: Path) -> None:
        hop = new_sshd()
        lines = sshd.known_hosts.read_text() + hop.known_hosts.read_text()
        (own_home / "known").write_text(lines)
        hop.authorized.write_text(sshd.authorized.read_text())
        jump = f"{hop.user}@127.0.0.1:{hop.port}"
        host = sshd.connect(known_hosts_file=str(own_home / "known"), proxy_jump=jump)
        assert host.run(Command(argv=("cat",), effect=Effect.READ, stdin=b"x" * 3_000_000)).stdout == b"x" * 3_000_000
        assert "direct-tcpip" in hop.log.read_text() or "Accepted publickey" in hop.log.read_text()
        host.close()

    @pytest.mark.parametrize(("line", "error"), [("", HostKeyUnknown), ("{name} {other}", HostKeyChanged)])
    def test_a_hop_with_a_wrong_key_is_refused(
        self, sshd: Any, new_sshd: Callable[..., Any], write_known_hosts: Write, line: str, error: type[RollbackError]
    ) -> None:
        hop = new_sshd()
        hop.authorized.write_text(sshd.authorized.read_text())
        path = write_known_hosts(hop, line + "\n")
        path.write_text(path.read_text() + sshd.known_hosts.read_text())
        with pytest.raises(error) as caught:
            sshd.connect(known_hosts_file=str(path), proxy_jump=f"{hop.user}@127.0.0.1:{hop.port}")
        assert f"127.0.0.1:{hop.port}" in caught.value.brief

    def test_a_host_behind_a_hop_is_checked_and_its_hint_goes_through_the_hop(
        self, sshd: Any, new_sshd: Callable[..., Any]
    ) -> None:
        hop = new_sshd()
        hop.authorized.write_text(sshd.authorized.read_text())
        jump = f"{hop.user}@127.0.0.1:{hop.port}"
        with pytest.raises(HostKeyUnknown) as caught:
            sshd.connect(known_hosts_file=str(hop.known_hosts), proxy_jump=jump)
        assert f"-J {jump} 127.0.0.1 true" in caught.value.hint

    def test_a_hop_that_cannot_reach_the_host_says_so(self, sshd: Any, new_sshd: Callable[..., Any]) -> None:
        hop = new_sshd(options="AllowTcpForwarding no")
        hop.authorized.write_text(sshd.authorized.read_text())
        with pytest.raises(Unreachable, match=r"jump host 127\.0\.0\.1 cannot reach"):
            sshd.connect(known_hosts_file=str(hop.known_hosts), proxy_jump=f"127.0.0.1:{hop.port}")
