"""The sandbox's hosts.yaml is one that the tasks accept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rollback_tasks.config.loader import load
from rollback_tasks.sandbox.inventory import hosts_yaml, known_hosts
from rollback_tasks.sandbox.project import COMICPILE, Project
from rollback_tasks.sandbox.status import Flavour, HostState, HostStatus, Role

HOSTS = [
    HostStatus(name="prod1", address="172.17.0.11", flavour=Flavour.PLUGIN, state=HostState.UP),
    HostStatus(name="prod2", address="172.17.0.12", flavour=Flavour.STANDALONE, state=HostState.UP),
]


def test_every_host_is_in_the_inventory_with_the_sandboxs_own_keys(tmp_path: Path) -> None:
    state = tmp_path / 'a "b" state'
    state.mkdir()
    file = state / "hosts.yaml"
    file.write_text(hosts_yaml(HOSTS, COMICPILE, state=state))
    inventory = load(file)
    seen = [
        (one.name, one.hostname, one.user, one.identity_file, one.known_hosts_file, one.backups.local_dir)
        for one in inventory.hosts.values()
    ]
    own = ("deploy", str(state / "id_ed25519"), str(state / "known_hosts"), str(state / "backups"))
    assert seen == [("prod1", "172.17.0.11", *own), ("prod2", "172.17.0.12", *own)]
    assert inventory.groups == {"prod": ("prod1", "prod2")}
    assert [contact.role for contact in inventory.contacts] == ["On-call engineer", "Database administrator"]


def test_hosts_that_share_a_database_name_its_host_which_is_in_no_group(tmp_path: Path) -> None:
    shared = [
        *(replace(host, role=Role.APP) for host in HOSTS),
        HostStatus(name="db1", address="172.17.0.10", flavour=Flavour.PLUGIN, state=HostState.UP, role=Role.DATABASE),
    ]
    told: dict[str, Any] = yaml.safe_load(hosts_yaml(shared, COMICPILE, state=tmp_path))
    database = {"name": "comicpile", "user": "comicpile", "host": "db1"}
    assert told["hosts"] == {
        "prod1": {"hostname": "172.17.0.11", "database": database},
        "prod2": {"hostname": "172.17.0.12", "database": database},
        "db1": {"hostname": "172.17.0.10", "compose_files": ["docker-compose.yml", "docker-compose.override.yml"]},
    }
    defaults = told["defaults"]
    assert (defaults["compose_files"], defaults["database"]) == (
        ["docker-compose.yml"],
        {"name": "comicpile", "user": "comicpile"},
    )
    assert told["groups"] == {"prod": ["prod1", "prod2"]}


def test_a_project_in_a_hostile_folder_is_written_as_it_is(tmp_path: Path) -> None:
    directory = """/srv/it's a "pile" $(id) \\ é: #"""
    project = Project(directory=directory, name="second", port=8001, image="second-pile")
    file = tmp_path / "hosts.yaml"
    file.write_text(hosts_yaml(HOSTS, project, state=tmp_path))
    host = load(file).hosts["prod2"]
    assert (host.project_dir, host.compose_project, host.health.url) == (
        directory,
        "second",
        "http://localhost:8001/health",
    )


def test_known_hosts_leaves_comments_out() -> None:
    keys = {"172.17.0.11": b"ssh-ed25519 AAAA1 sandbox\n", "172.17.0.12": b"ssh-ed25519 AAAA2\n"}
    assert known_hosts(keys) == b"172.17.0.11 ssh-ed25519 AAAA1\n172.17.0.12 ssh-ed25519 AAAA2\n"
