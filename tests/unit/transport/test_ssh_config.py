"""What ssh_config says about a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollback_tasks.errors import ConfigError
from rollback_tasks.transport.ssh_config import Settings, settings_for, split_hop, split_jumps


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def settings(home: Path, text: str, name: str = "prod1", system: str = "") -> Settings:
    (home / ".ssh" / "config").write_text(text)
    (home / "system").write_text(system)
    return settings_for(name, system_file=str(home / "system"))


def test_silent_files_leave_the_defaults(home: Path) -> None:
    assert settings_for("prod1", system_file="/nowhere") == Settings(
        hostname="prod1",
        known_hosts_files=(f"{home}/.ssh/known_hosts", f"{home}/.ssh/known_hosts2"),
        global_known_hosts_files=("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"),
    )


def test_every_keyword_that_is_obeyed_is_read(home: Path) -> None:
    text = """
        Host prod1
            HostName 10.0.0.7
            User deploy
            Port 2222
            IdentityFile ~/.ssh/prod
            IdentityFile "%d/.ssh/second key"
            IdentitiesOnly yes
            ProxyJump bastion, ops@inner:2200
            UserKnownHostsFile ~/known "~/two words"
            GlobalKnownHostsFile none
            HostKeyAlias prod
            ConnectTimeout 7
    """
    assert settings(home, text) == Settings(
        hostname="10.0.0.7",
        user="deploy",
        port=2222,
        identity_files=(f"{home}/.ssh/prod", f"{home}/.ssh/second key"),
        identities_only=True,
        proxy_jump=("bastion", "ops@inner:2200"),
        known_hosts_files=(f"{home}/known", f"{home}/two words"),
        global_known_hosts_files=(),
        host_key_alias="prod",
        connect_timeout=7.0,
    )


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("User one\nHost prod1\n  User two\n", "one"),
        ("Host prod*\n  User one\nHost *\n  User two\n", "one"),
        ("Host * !prod1\n  User one\nHost *\n  User two\n", "two"),
        ("Match host prod1\n  User one\n", "one"),
        ("Host=prod1\n  User=one\n", "one"),
        ("", "system"),
    ],
)
def test_the_first_value_wins_and_the_system_s_file_comes_last(home: Path, text: str, user: str) -> None:
    assert settings(home, text, system="Host *\n  User system\n").user == user


def test_included_files_stand_where_they_are_named(home: Path) -> None:
    folder = home / ".ssh" / "conf.d"
    folder.mkdir()
    (folder / "a").write_text("Host prod1\n  User from-a\n")
    (folder / "b").write_text("Host prod2\n  User from-b\n")
    text = "Include conf.d/* ~/.ssh/missing\nPort 2200\nHost *\n  User late\n"
    found = [settings(home, text, name) for name in ("prod1", "prod2", "prod3")]
    assert [(said.user, said.port) for said in found] == [("from-a", 2200), ("from-b", 2200), ("late", 2200)]


def test_an_include_of_itself_is_an_error_and_not_a_hang(home: Path) -> None:
    with pytest.raises(ConfigError, match="Include goes deeper"):
        settings(home, "Include config\n")


@pytest.mark.parametrize(
    "text", ["Host *\n  Port ssh\n", "Match nonsense\n", "Host *\n  ConnectTimeout soon\n", "???\n"]
)
def test_what_cannot_be_understood_names_file_and_command(home: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(home, text)
    assert caught.value.path == f"{home}/.ssh/config"
    assert "ssh -G prod1" in caught.value.hint


def test_explicit_port_and_user_win_also_in_tokens(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  User x\n  ProxyCommand connect %r %h %p\n")
    said = settings_for("prod1", port=2222, user="deploy", system_file="/nowhere")
    assert (said.port, said.user, said.proxy_command) == (2222, "deploy", "connect deploy prod1 2222")


def test_a_changed_file_is_read_again(home: Path) -> None:
    assert settings(home, "User one\n").user == "one"
    (home / ".ssh" / "config").write_text("User three\n")
    os.utime(home / ".ssh" / "config", ns=(1, 1))
    assert settings_for("prod1", system_file=str(home / "system")).user == "three"


@pytest.mark.parametrize(
    ("value", "hops"),
    [
        ("", ()),
        ("none", ()),
        ("NONE", ()),
        ("a", ("a",)),
        (" a , u@b:1 ", ("a", "u@b:1")),
        ("ssh://u@a:22", ("u@a:22",)),
    ],
)
def test_jumps_are_split(value: str, hops: tuple[str, ...]) -> None:
    assert split_jumps(value) == hops


@pytest.mark.parametrize(
    ("hop", "parts"),
    [
        ("bastion", (None, "bastion", None)),
        ("ops@bastion", ("ops", "bastion", None)),
        ("ops@bastion:2222", ("ops", "bastion", 2222)),
        ("bastion:22", (None, "bastion", 22)),
        ("fe80::1", (None, "fe80::1", None)),
        ("ops@[fe80::1]:2222", ("ops", "fe80::1", 2222)),
        ("[fe80::1]", (None, "fe80::1", None)),
        ("user@domain@bastion", ("user@domain", "bastion", None)),
    ],
)
def test_a_hop_is_split(hop: str, parts: tuple[str | None, str, int | None]) -> None:
    assert split_hop(hop) == parts
