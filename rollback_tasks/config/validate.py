"""A mapping to an inventory, or every problem of it at once. The tables below are the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_tasks.config.nearest import did_you_mean
from rollback_tasks.config.rules import (
    MISSING,
    Key,
    Section,
    Spot,
    entries,
    integer,
    items,
    local_path,
    merge,
    nullable,
    remote_path,
    seconds,
    secret_url,
    shown,
    text,
    url,
    word,
)
from rollback_tasks.config.schema import (
    BackupsConfig,
    Contact,
    DatabaseConfig,
    GitConfig,
    GuardConfig,
    HealthConfig,
    HostConfig,
    Inventory,
    MigrationsConfig,
)
from rollback_tasks.errors import ConfigError

VERSION = 1

# A name is a folder on the laptop and a word of --host: no comma, glob, space or slash.
_NAME = text('a name of letters, digits, ".", "_" and "-"', pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SERVICE = text("the name of a compose service", pattern=r"[A-Za-z0-9._][A-Za-z0-9._-]*")
_PROJECT = text("a name of lower case letters, digits, _ and -", pattern=r"[a-z0-9][a-z0-9_-]*")
_ADDRESS = text("a host name or address", pattern=r"[^\s@/,\[\]-][^\s@/,\[\]]*")
_USER = text("a user name", pattern=r"[^\s@:/-][^\s@:/]*")
_JUMP = text("a host to jump over, as ssh -J takes it", pattern=r"[^\s-]\S*")
# psql and pg_dump read a name with "=" or "://" as connection settings, not as a name:
# https://www.postgresql.org/docs/current/app-psql.html (option -d)
_DATABASE = text('a plain name without "=" and "/"', pattern=r"[^=/-][^=/]{0,62}")
_TABLE = text('a table: "name" or "schema.name"', pattern=r"[^.]{1,63}(\.[^.]{1,63})?")
_ENDPOINT = text("a path that begins with /, or an http or https URL", pattern=r"(/|https?://[^/\s])\S*")
_BRANCH = text("a branch", pattern=r"[^\s~^:?*\[\\-][^\s~^:?*\[\\]*")
_REMOTE = text("the name of a git remote", pattern=r"[A-Za-z0-9._][A-Za-z0-9._/-]*")

CONNECTION: Mapping[str, Key] = {
    "user": Key("login name on the host", nullable(_USER), None),
    "port": Key("port of sshd", nullable(integer(1, 65535)), None),
    "identity_file": Key("private key on the laptop", nullable(local_path), None),
    "proxy_jump": Key("host to jump over", nullable(_JUMP), None),
    "known_hosts_file": Key("known_hosts file on the laptop for this host", nullable(local_path), None),
}

DATABASE = Section(
    {
        "name": Key("name of the application's database", _DATABASE),
        "user": Key("its owner", _DATABASE),
        "host": Key("the inventory host that serves it, where that is another one", nullable(_NAME), None),
    }
)

MIGRATIONS = Section(
    {
        "service": Key("compose service whose image carries alembic", nullable(_SERVICE), None),
        "command": Key("words that start alembic", items("words", word, at_least=1, is_unique=False), ["alembic"]),
        "directory": Key(
            "script folder in the checkout", nullable(remote_path(can_be_absolute=False, can_be_relative=True)), None
        ),
    }
)

HEALTH = Section(
    {
        "url": Key("what answers 2xx while the application is well", url),
        "timeout": Key("seconds to the first good answer", seconds(1, 3600), 60),
        "interval": Key("seconds between two questions", seconds(0.05, 60), 0.2),
        "soak": Key("seconds that it has to stay well", seconds(0, 3600), 3),
    }
)

BACKUPS = Section(
    {
        "remote_dir": Key(
            "folder on the host", remote_path(can_be_absolute=True, can_be_relative=True), ".rollback/backups"
        ),
        "local_dir": Key("folder on the laptop", local_path, "backups"),
        "keep": Key("proven backups that a prune leaves", integer(1, 10000), 10),
        "wal_archive": Key(
            "folder of the archived log, in the database's container",
            remote_path(can_be_absolute=True, can_be_relative=False),
            "/wal_archive",
        ),
    }
)

GUARD = Section(
    {
        "lease": Key("seconds without a sign of life until the host undoes a run by itself", seconds(5, 3600), 30),
    }
)
GIT = Section(
    {
        "remote": Key("the remote that releases come from", _REMOTE, "origin"),
        "protected_branches": Key("branches that are never pushed by force", items("branches", _BRANCH), ["main"]),
    }
)

DEPLOYMENT: Mapping[str, Key] = {
    "project_dir": Key(
        "absolute path of the git checkout on the host", remote_path(can_be_absolute=True, can_be_relative=False)
    ),
    "compose_files": Key(
        "compose files in the checkout",
        items("files", remote_path(can_be_absolute=False, can_be_relative=True), at_least=1),
        ["docker-compose.yml"],
    ),
    "compose_project": Key("name of the compose project", nullable(_PROJECT), None),
    "app_services": Key(
        "compose services that a rollback stops, switches and starts", items("services", _SERVICE, at_least=1)
    ),
    "db_service": Key("compose service of PostgreSQL", _SERVICE, "db"),
    "database": Key("the database", DATABASE),
    "migrations": Key("alembic", MIGRATIONS),
    "health": Key("the health gate", HEALTH),
    "endpoints": Key("what verify.endpoints asks", items("endpoints", _ENDPOINT), []),
    "smoke_command": Key(
        "words that verify.tests runs inside the first app service", items("words", word, is_unique=False), []
    ),
    "tables": Key("tables that reports count; none = every table", items("tables", _TABLE), []),
    "backups": Key("where dumps lie", BACKUPS),
    "git": Key("the remote and its branches", GIT),
    "guard": Key("the dead-man guard", GUARD),
}

DEFAULTS = Section({**CONNECTION, **DEPLOYMENT})

HOST = Section({"hostname": Key("what to connect to", nullable(_ADDRESS), None), **CONNECTION, **DEPLOYMENT})

CONTACT = Section(
    {
        "role": Key("what to call this person for", text(pattern=r".*\S.*")),
        "name": Key("their name", text(), ""),
        "phone": Key("their phone", text(), ""),
        "slack": Key("their slack name", text(), ""),
    }
)

NOTIFY = Section({"webhook": Key("where reports are sent to", nullable(secret_url), None)})

TOP = ("version", "defaults", "hosts", "groups", "contacts", "notify")


def validate(data: object, *, path: str, folder: str, home: str, problems: list[str] | None = None) -> Inventory:
    """Given what a YAML file holds, return the inventory.

    :param path: the file's name, for the error.
    :param folder: absolute folder that relative paths of the laptop start from.
    :param home: what ``~`` stands for.
    :param problems: those that were found while reading; they are reported together with the new ones.
    :raises ConfigError: with every problem and its path.
    """
    top = Spot(path="", problems=[] if problems is None else list(problems), folder=folder, home=home)
    if not isinstance(data, dict):
        top.wrong("the file is empty" if data is None else f"the file should be a mapping, got {shown(data)}")
        raise ConfigError(path, top.problems)
    sections = dict(entries(data, top))
    for name in sections:
        if name not in TOP:
            top.key(name).wrong(f"unknown key{did_you_mean(name, TOP)}")
    _check_version(sections, top)
    defaults = DEFAULTS(sections.get("defaults"), top.key("defaults"))
    hosts = _hosts(sections.get("hosts"), defaults, top.key("hosts"))
    groups = _groups(sections.get("groups"), hosts, top.key("groups"))
    contacts = _contacts(sections.get("contacts"), top.key("contacts"))
    notify = NOTIFY.complete(NOTIFY(sections.get("notify"), top.key("notify")), top.key("notify"))
    if top.problems:
        raise ConfigError(path, top.problems)
    return Inventory(
        path=path,
        hosts={name: _host(name, keys) for name, keys in hosts.items()},
        groups=groups,
        contacts=tuple(Contact(**contact) for contact in contacts),
        webhook=notify["webhook"],
    )


def _check_version(sections: Mapping[str, Any], top: Spot) -> None:
    version = sections.get("version", MISSING)
    if version is MISSING:
        top.key("version").wrong(f"is missing: write version: {VERSION}")
    elif version != VERSION or not isinstance(version, int) or isinstance(version, bool):
        top.key("version").expected(str(VERSION), version)


def _hosts(value: Any, defaults: Mapping[str, Any], spot: Spot) -> dict[str, dict[str, Any]]:
    known = len(spot.problems)
    found = {}
    for name, body in entries(value, spot):
        _NAME(name, spot.key(name))
        merged = merge(defaults, HOST(body, spot.key(name)))
        keys = HOST.complete(merged, spot.key(name))
        _check_services(keys, spot.key(name))
        found[name] = keys
    if not found and len(spot.problems) == known:
        spot.wrong("should name at least one host")
    _check_distinct(found, spot)
    _check_database_hosts(found, spot)
    return found


def _check_database_hosts(hosts: Mapping[str, Mapping[str, Any]], spot: Spot) -> None:
    """The host that serves a shared database is one of the inventory, and serves it itself."""
    for name, keys in hosts.items():
        there = keys["database"]["host"]
        place = spot.key(name).key("database").key("host")
        if not isinstance(there, str):
            continue
        if there not in hosts:
            place.wrong(f"{shown(there)} is no host of this inventory{did_you_mean(there, hosts)}")
        elif there == name or hosts[there]["database"]["host"] is not None:
            place.wrong(f"{shown(there)} should be another host, which serves the database itself")


def _check_services(keys: Mapping[str, Any], spot: Spot) -> None:
    services = keys["app_services"]
    if services is not MISSING and keys["db_service"] in services:
        spot.key("db_service").wrong(f"{shown(keys['db_service'])} is also one of app_services")
    timeout, interval = keys["health"]["timeout"], keys["health"]["interval"]
    if timeout is not MISSING and interval is not MISSING and interval > timeout:
        spot.key("health").key("interval").wrong(f"should be at most the timeout, got {interval:g} over {timeout:g}")


def _check_distinct(hosts: Mapping[str, Mapping[str, Any]], spot: Spot) -> None:
    """One deployment under two names would wait for its own lock."""
    seen: dict[tuple[object, ...], str] = {}
    for name, keys in hosts.items():
        place = (keys["hostname"] or name, keys["port"], keys["proxy_jump"], keys["project_dir"])
        if MISSING in place:
            continue
        first = seen.setdefault(place, name)
        if first != name:
            spot.key(name).wrong(f"is the same deployment as {spot.key(first).path} (hostname, port, project_dir)")


def _groups(value: Any, hosts: Mapping[str, object], spot: Spot) -> dict[str, tuple[str, ...]]:
    groups = {}
    for name, members in entries(value, spot):
        own = spot.key(name)
        _NAME(name, own)
        if name in hosts:
            own.wrong("is also the name of a host")
        parsed = items("hosts", text(), at_least=1)(members, own)
        if parsed is MISSING:
            continue
        for index, member in enumerate(parsed):
            if member is not MISSING and member not in hosts:
                own.item(index).wrong(f"no host is called {shown(member)}{did_you_mean(member, hosts)}")
        groups[name] = tuple(host for host in hosts if host in parsed)
    return groups


def _contacts(value: Any, spot: Spot) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        spot.expected("a list of contacts", value)
        return []
    return [CONTACT.complete(CONTACT(entry, spot.item(n)), spot.item(n)) for n, entry in enumerate(value)]


def _host(name: str, keys: Mapping[str, Any]) -> HostConfig:
    migrations = dict(keys["migrations"])
    migrations["service"] = migrations["service"] or keys["app_services"][0]
    whole = {
        **keys,
        "hostname": keys["hostname"] or name,
        "database": DatabaseConfig(**keys["database"]),
        "migrations": MigrationsConfig(**migrations),
        "health": HealthConfig(**keys["health"]),
        "backups": BackupsConfig(**keys["backups"]),
        "git": GitConfig(**keys["git"]),
        "guard": GuardConfig(**keys["guard"]),
    }
    return HostConfig(name=name, **whole)
