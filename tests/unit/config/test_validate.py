"""Every problem at once, each with its path; or an inventory that is complete."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.config.schema import (
    BackupsConfig,
    Contact,
    DatabaseConfig,
    GitConfig,
    HealthConfig,
    HostConfig,
    Inventory,
    MigrationsConfig,
)
from rollback_tasks.config.validate import BACKUPS, HEALTH, HOST, TOP, validate
from rollback_tasks.errors import ConfigError
from rollback_tasks.shell import Secret

SMALLEST: dict[str, Any] = {
    "version": 1,
    "hosts": {
        "prod1": {
            "project_dir": "/srv/app",
            "app_services": ["app", "worker"],
            "database": {"name": "shop", "user": "owner"},
            "health": {"url": "http://localhost:8000/health"},
        }
    },
}

SMALLEST_HOST = HostConfig(
    name="prod1",
    hostname="prod1",
    user=None,
    port=None,
    identity_file=None,
    proxy_jump=None,
    known_hosts_file=None,
    project_dir="/srv/app",
    compose_files=("docker-compose.yml",),
    compose_project=None,
    app_services=("app", "worker"),
    db_service="db",
    database=DatabaseConfig(name="shop", user="owner"),
    migrations=MigrationsConfig(service="app", command=("alembic",), directory=None),
    health=HealthConfig(url="http://localhost:8000/health", timeout=60.0, interval=0.2, soak=3.0),
    endpoints=(),
    smoke_command=(),
    tables=(),
    backups=BackupsConfig(remote_dir=".rollback/backups", local_dir="/etc/ops/backups", keep=10),
    git=GitConfig(remote="origin", protected_branches=("main",)),
)


def check(data: object) -> Inventory:
    return validate(data, path="hosts.yaml", folder="/etc/ops", home="/home/olga")


def problems(data: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        check(data)
    return caught.value.problems


def changed(path: str, value: object) -> dict[str, Any]:
    """The smallest inventory with one key set, named by its path."""
    data = deepcopy(SMALLEST)
    *above, last = path.split("/")
    place = data
    for name in above:
        place = place.setdefault(name, {})
    place[last] = value
    return data


def test_the_smallest_inventory_gets_every_default() -> None:
    assert check(SMALLEST) == Inventory(path="hosts.yaml", hosts={"prod1": SMALLEST_HOST})


def test_every_key_is_read() -> None:
    data = {
        "version": 1,
        "x-anything": {"at": "all"},
        "defaults": {
            "user": "deploy",
            "port": 2222,
            "identity_file": "~/.ssh/id_ed25519",
            "known_hosts_file": "known_hosts",
            "project_dir": "/srv//app/",
            "compose_files": ["docker-compose.yml", "./deploy/prod.yml"],
            "compose_project": "shop",
            "app_services": ["app"],
            "db_service": "postgres",
            "database": {"name": "shop", "user": "owner"},
            "migrations": {"service": "tools", "command": [".venv/bin/alembic"], "directory": "db/alembic/"},
            "health": {"url": "https://localhost/health", "timeout": 30, "interval": 0.5, "soak": 0},
            "endpoints": ["/api/users?page=1", "https://localhost:8443/"],
            "smoke_command": ["sh", "-c", "pytest -q\npytest -q tests/slow"],
            "tables": ["users", "audit.events"],
            "backups": {"remote_dir": "/var/backups/shop", "local_dir": "~/backups", "keep": 3},
            "git": {"remote": "upstream", "protected_branches": ["main", "release/1"]},
        },
        "hosts": {
            "prod1": {"hostname": "10.0.0.5", "proxy_jump": "olga@bastion:2200"},
            "prod2": {
                "hostname": "fe80::1%eth0",
                "user": None,
                "port": 22,
                "compose_files": ["compose.yml"],
                "health": {"timeout": 5},
                "x-note": 1,
            },
        },
        "groups": {"prod": ["prod2", "prod1"]},
        "contacts": [{"role": "DBA", "name": "Olga", "phone": "+1 555 0100", "slack": "@olga"}, {"role": "Boss"}],
        "notify": {"webhook": "https://chat.example.com/hooks/T0/secret"},
    }
    prod1 = HostConfig(
        name="prod1",
        hostname="10.0.0.5",
        user="deploy",
        port=2222,
        identity_file="/home/olga/.ssh/id_ed25519",
        proxy_jump="olga@bastion:2200",
        known_hosts_file="/etc/ops/known_hosts",
        project_dir="/srv/app",
        compose_files=("docker-compose.yml", "deploy/prod.yml"),
        compose_project="shop",
        app_services=("app",),
        db_service="postgres",
        database=DatabaseConfig(name="shop", user="owner"),
        migrations=MigrationsConfig(service="tools", command=(".venv/bin/alembic",), directory="db/alembic"),
        health=HealthConfig(url="https://localhost/health", timeout=30.0, interval=0.5, soak=0.0),
        endpoints=("/api/users?page=1", "https://localhost:8443/"),
        smoke_command=("sh", "-c", "pytest -q\npytest -q tests/slow"),
        tables=("users", "audit.events"),
        backups=BackupsConfig(remote_dir="/var/backups/shop", local_dir="/home/olga/backups", keep=3),
        git=GitConfig(remote="upstream", protected_branches=("main", "release/1")),
    )
    prod2 = HostConfig(
        name="prod2",
        hostname="fe80::1%eth0",
        user=None,
        port=22,
        identity_file=prod1.identity_file,
        proxy_jump=None,
        known_hosts_file=prod1.known_hosts_file,
        project_dir=prod1.project_dir,
        compose_files=("compose.yml",),
        compose_project=prod1.compose_project,
        app_services=prod1.app_services,
        db_service=prod1.db_service,
        database=prod1.database,
        migrations=prod1.migrations,
        health=HealthConfig(url="https://localhost/health", timeout=5.0, interval=0.5, soak=0.0),
        endpoints=prod1.endpoints,
        smoke_command=prod1.smoke_command,
        tables=prod1.tables,
        backups=prod1.backups,
        git=prod1.git,
    )
    inventory = check(data)
    assert inventory == Inventory(
        path="hosts.yaml",
        hosts={"prod1": prod1, "prod2": prod2},
        groups={"prod": ("prod1", "prod2")},
        contacts=(Contact(role="DBA", name="Olga", phone="+1 555 0100", slack="@olga"), Contact(role="Boss")),
        webhook=Secret("https://chat.example.com/hooks/T0/secret"),
    )
    assert "secret" not in repr(inventory)


def test_all_problems_are_reported_at_once() -> None:
    data = deepcopy(SMALLEST)
    data["hosts"]["prod2"] = {**data["hosts"]["prod1"], "prot": 22, "port": "ssh", "databse": {}}
    data["hosts"]["prod3"] = {"project_dir": "srv/app", "health": {"timeout": True}}
    data["groups"] = {"prod": ["prod1", "prdo2"]}
    data["contact"] = []
    assert problems(data) == (
        'contact: unknown key, did you mean "contacts"?',
        'hosts.prod2.prot: unknown key, did you mean "port"?',
        'hosts.prod2.port: should be an integer, got "ssh"',
        'hosts.prod2.databse: unknown key, did you mean "database"?',
        'hosts.prod3.project_dir: should be an absolute path, got "srv/app"',
        "hosts.prod3.health.timeout: should be a number of seconds, got true",
        "hosts.prod3.app_services: is missing: compose services that a rollback stops, switches and starts",
        "hosts.prod3.database.name: is missing: name of the application's database",
        "hosts.prod3.database.user: is missing: its owner",
        "hosts.prod3.health.url: is missing: what answers 2xx while the application is well",
        'groups.prod[1]: no host is called "prdo2", did you mean "prod2"?',
    )


def test_a_wrong_default_is_reported_once_and_not_for_every_host() -> None:
    data = deepcopy(SMALLEST)
    data["defaults"] = {"port": 0, "hostname": "same.example.com"}
    data["hosts"]["prod2"] = {**data["hosts"]["prod1"], "hostname": "other"}
    assert problems(data) == (
        "defaults.port: should be between 1 and 65535, got 0",
        "defaults.hostname: unknown key",
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, ("the file is empty",)),
        ([], ("the file should be a mapping, got a list",)),
        ("text", ('the file should be a mapping, got "text"',)),
        ({}, ("version: is missing: write version: 1", "hosts: should name at least one host")),
        (
            {"version": 1, "hosts": {"x-only": None}, "groups": None},
            ("hosts: should name at least one host",),
        ),
        ({"version": 1, "hosts": ["prod1"]}, ("hosts: should be a mapping, got a list",)),
        (
            {"version": 1, "hosts": {True: {}}},
            ("hosts.true: a key should be text, got true (put it in quotes)",),
        ),
    ],
)
def test_a_file_that_is_no_inventory(data: object, expected: tuple[str, ...]) -> None:
    assert problems(data) == expected


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("version", 2, "version: should be 1, got 2"),
        ("version", True, "version: should be 1, got true"),
        ("version", "1", 'version: should be 1, got "1"'),
        ("hosts/prod1/port", True, "hosts.prod1.port: should be an integer, got true"),
        ("hosts/prod1/port", 22.0, "hosts.prod1.port: should be an integer, got 22.0"),
        ("hosts/prod1/port", 65536, "hosts.prod1.port: should be between 1 and 65535, got 65536"),
        (
            "hosts/prod1/port",
            10**40,
            "hosts.prod1.port: should be between 1 and 65535, got a very large number",
        ),
        ("hosts/prod1/user", 5, "hosts.prod1.user: should be a user name, got 5 (put it in quotes)"),
        ("hosts/prod1/user", "-x", 'hosts.prod1.user: should be a user name, got "-x"'),
        ("hosts/prod1/hostname", "a b", 'hosts.prod1.hostname: should be a host name or address, got "a b"'),
        (
            "hosts/prod1/hostname",
            "-oProxyCommand=x",
            'hosts.prod1.hostname: should be a host name or address, got "-oProxyCommand=x"',
        ),
        ("hosts/prod1/hostname", "a\x1b[2J", 'hosts.prod1.hostname: holds control characters: "a\\u001b[2J"'),
        ("hosts/prod1/identity_file", "~root/x", 'hosts.prod1.identity_file: only "~/" is expanded, got "~root/x"'),
        ("hosts/prod1/identity_file", ["x"], "hosts.prod1.identity_file: should be a path, got a list"),
        ("hosts/prod1/project_dir", "~/app", 'hosts.prod1.project_dir: should be an absolute path, got "~/app"'),
        ("hosts/prod1/project_dir", "/srv/../etc", 'hosts.prod1.project_dir: should not hold "..", got "/srv/../etc"'),
        (
            "hosts/prod1/project_dir",
            "/",
            'hosts.prod1.project_dir: should be an absolute path to a place of its own, got "/"',
        ),
        ("hosts/prod1/compose_files", [], "hosts.prod1.compose_files: should name at least one of files"),
        ("hosts/prod1/compose_files", "a.yml", 'hosts.prod1.compose_files: should be a list of files, got "a.yml"'),
        (
            "hosts/prod1/compose_files",
            ["/etc/a.yml"],
            'hosts.prod1.compose_files[0]: should be a path relative to project_dir, got "/etc/a.yml"',
        ),
        ("hosts/prod1/compose_files", ["a.yml", "./a.yml"], 'hosts.prod1.compose_files[1]: "a.yml" is named twice'),
        (
            "hosts/prod1/compose_project",
            "Shop",
            'hosts.prod1.compose_project: should be a name of lower case letters, digits, _ and -, got "Shop"',
        ),
        (
            "hosts/prod1/app_services",
            ["a/b"],
            'hosts.prod1.app_services[0]: should be the name of a compose service, got "a/b"',
        ),
        ("hosts/prod1/db_service", "app", 'hosts.prod1.db_service: "app" is also one of app_services'),
        (
            "hosts/prod1/database/name",
            "host=evil dbname=x",
            'hosts.prod1.database.name: should be a plain name without "=" and "/", got "host=evil dbname=x"',
        ),
        (
            "hosts/prod1/database/name",
            "postgresql://evil",
            'hosts.prod1.database.name: should be a plain name without "=" and "/", got "postgresql://evil"',
        ),
        ("hosts/prod1/database/password", "hunter2", "hosts.prod1.database.password: unknown key"),
        ("hosts/prod1/migrations/command", [], "hosts.prod1.migrations.command: should name at least one of words"),
        (
            "hosts/prod1/health/url",
            "ftp://x/",
            'hosts.prod1.health.url: should be an http or https URL, got "ftp://x/"',
        ),
        ("hosts/prod1/health/url", "http://", 'hosts.prod1.health.url: should be an http or https URL, got "http://"'),
        (
            "hosts/prod1/health/url",
            "http://x:99999/",
            'hosts.prod1.health.url: should be an http or https URL, got "http://x:99999/"',
        ),
        ("hosts/prod1/health/url", "http://u:p@x/", "hosts.prod1.health.url: should not hold a user or password"),
        (
            "hosts/prod1/health/soak",
            float("nan"),
            "hosts.prod1.health.soak: should be between 0 and 3600 seconds, got nan",
        ),
        ("hosts/prod1/health/interval", 0, "hosts.prod1.health.interval: should be between 0.05 and 60 seconds, got 0"),
        ("hosts/prod1/health/timeout", 60.5, None),
        (
            "hosts/prod1/endpoints",
            ["counts"],
            'hosts.prod1.endpoints[0]: should be a path that begins with /, or an http or https URL, got "counts"',
        ),
        (
            "hosts/prod1/smoke_command",
            "pytest -q",
            'hosts.prod1.smoke_command: should be a list of words, got "pytest -q"',
        ),
        (
            "hosts/prod1/smoke_command",
            ["sleep", 5],
            "hosts.prod1.smoke_command[1]: should be text, got 5 (put it in quotes)",
        ),
        (
            "hosts/prod1/smoke_command",
            ["a\0b"],
            "hosts.prod1.smoke_command[0]: holds a character that no program can be given",
        ),
        (
            "hosts/prod1/tables",
            ["a.b.c"],
            'hosts.prod1.tables[0]: should be a table: "name" or "schema.name", got "a.b.c"',
        ),
        ("hosts/prod1/backups/keep", 0, "hosts.prod1.backups.keep: should be between 1 and 10000, got 0"),
        (
            "hosts/prod1/backups/remote_dir",
            "a/../..",
            'hosts.prod1.backups.remote_dir: should not hold "..", got "a/../.."',
        ),
        (
            "hosts/prod1/git/protected_branches",
            ["ma in"],
            'hosts.prod1.git.protected_branches[0]: should be a branch, got "ma in"',
        ),
        (
            "hosts/a,b",
            SMALLEST["hosts"]["prod1"] | {"hostname": "other"},
            'hosts."a,b": should be a name of letters, digits, ".", "_" and "-", got "a,b"',
        ),
        (
            "hosts/pro*",
            SMALLEST["hosts"]["prod1"] | {"hostname": "other"},
            'hosts."pro*": should be a name of letters, digits, ".", "_" and "-", got "pro*"',
        ),
        (
            "hosts/a\x07",
            {"x-nothing": 1} | SMALLEST["hosts"]["prod1"],
            'hosts."a\\u0007": holds control characters: "a\\u0007"',
        ),
        (
            "hosts/prod2",
            SMALLEST["hosts"]["prod1"] | {"hostname": "prod1"},
            "hosts.prod2: is the same deployment as hosts.prod1 (hostname, port, project_dir)",
        ),
        ("groups", {"prod1": ["prod1"]}, "groups.prod1: is also the name of a host"),
        ("groups", {"prod": []}, "groups.prod: should name at least one of hosts"),
        ("groups", {"prod": ["prod1", "prod1"]}, 'groups.prod[1]: "prod1" is named twice'),
        ("groups", {"prod": "prod1"}, 'groups.prod: should be a list of hosts, got "prod1"'),
        ("contacts", {"role": "DBA"}, "contacts: should be a list of contacts, got a mapping"),
        ("contacts", [{"name": "Olga"}], "contacts[0].role: is missing: what to call this person for"),
        (
            "notify",
            {"webhook": "chat.example.com/hooks/token"},
            "notify.webhook: should be an http or https URL without user and password",
        ),
        ("defaults", [], "defaults: should be a mapping, got a list"),
    ],
)
def test_each_kind_of_problem_has_its_path_and_its_words(path: str, value: object, problem: str | None) -> None:
    data = changed(path, value)
    if problem is None:
        check(data)
    else:
        assert problems(data) == (problem,)


def test_an_interval_longer_than_the_timeout_is_refused() -> None:
    data = changed("hosts/prod1/health/timeout", 1)
    data["hosts"]["prod1"]["health"]["interval"] = 2
    assert problems(data) == ("hosts.prod1.health.interval: should be at most the timeout, got 2 over 1",)


def test_a_section_without_a_body_changes_nothing() -> None:
    data = deepcopy(SMALLEST) | {"defaults": None, "groups": None, "contacts": None, "notify": None}
    data["hosts"]["prod1"]["backups"] = None
    assert check(data) == check(SMALLEST)


# What YAML can hold, leaning on the words of the schema so that deep places are reached.
_WORDS = st.sampled_from(sorted({*TOP, *HOST.keys, *HEALTH.keys, *BACKUPS.keys, "prod1", "name", "service", "role"}))
_HUGE = st.none().map(lambda _: 10**5000)
_SCALARS = st.none() | st.booleans() | st.integers() | _HUGE | st.floats() | st.text() | _WORDS
_TREES = st.recursive(
    _SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(_WORDS | _SCALARS, below, max_size=6),
    max_leaves=30,
)


def outcome(data: object) -> Inventory | tuple[str, ...]:
    """The inventory, or its problems; any other exception is a failure."""
    try:
        return check(data)
    except ConfigError as error:
        return error.problems


@given(_TREES)
def test_any_tree_is_an_inventory_or_problems_that_can_be_printed(tree: object) -> None:
    found = outcome(tree)
    if isinstance(found, tuple):
        assert found
        assert all(line.isprintable() for line in found)


@given(st.dictionaries(st.sampled_from([*SMALLEST["hosts"]["prod1"], "port", "user", "git"]), _TREES))
def test_any_keys_of_a_host_are_an_inventory_or_problems_of_that_host(keys: dict[str, object]) -> None:
    data = deepcopy(SMALLEST)
    data["hosts"]["prod1"].update(keys)
    found = outcome(data)
    if isinstance(found, Inventory):
        assert list(found.hosts) == ["prod1"]
    else:
        assert found
        assert all(line.startswith("hosts.prod1") and line.isprintable() for line in found)
