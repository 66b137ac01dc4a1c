"""What ~/.ssh/config and /etc/ssh/ssh_config say about a host, as OpenSSH would hold it."""

from __future__ import annotations

import glob
import os
import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import paramiko

from rollback_tasks.errors import ConfigError

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"
USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
INCLUDE_DEPTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keywords that this tool obeys; None or empty where the files are silent.

    :param proxy_jump: hops as ``[user@]host[:port]``, the first one dialled first; empty for none.
    :param connect_timeout: seconds.
    """

    hostname: str
    user: str | None = None
    port: int | None = None
    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str | None = None
    known_hosts_files: tuple[str, ...] = ()
    global_known_hosts_files: tuple[str, ...] = ()
    host_key_alias: str | None = None
    connect_timeout: float | None = None


def settings_for(
    name: str,
    *,
    port: int | None = None,
    user: str | None = None,
    user_file: str = USER_FILE,
    system_file: str = SYSTEM_FILE,
) -> Settings:
    """Return what the files say about the host that a person would call ``name``.

    The user's file wins over the system's, the first value of a keyword over later ones (ssh_config(5)).

    :param port: wins over both, also in tokens like ``%p``, as ``ssh -p`` does; ``user`` as ``ssh -l``.
    :raises ConfigError: a file cannot be read or understood.
    """
    paths = tuple(str(Path(path).expanduser()) for path in (user_file, system_file))
    try:
        said = _parsed(paths, tuple(_stamp(path) for path in paths), port, user).lookup(name)
        timeout = said.get("connecttimeout")
        return Settings(
            hostname=said["hostname"],
            user=said.get("user"),
            port=int(said["port"]) if "port" in said else None,
            identity_files=tuple(_path(file) for file in said.get("identityfile", []) if file.lower() != "none"),
            identities_only=said.get("identitiesonly", "no").lower() in ("yes", "true"),
            proxy_jump=split_jumps(said.get("proxyjump", "")),
            proxy_command=said.get("proxycommand"),
            known_hosts_files=_files(said.get("userknownhostsfile", USER_KNOWN_HOSTS)),
            global_known_hosts_files=_files(said.get("globalknownhostsfile", GLOBAL_KNOWN_HOSTS)),
            host_key_alias=said.get("hostkeyalias"),
            connect_timeout=float(timeout) if timeout and timeout.lower() != "none" else None,
        )
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, OSError, ValueError, KeyError) as exc:
        raise ConfigError(
            paths[0],
            [f"{name}: {exc}"],
            hint=f"run `ssh -G {shlex.quote(name)}`: it shows what ssh makes of the file.",
        ) from exc


def split_jumps(value: str) -> tuple[str, ...]:
    """Return the hops of a ``ProxyJump`` value; none for an empty one or ``none``."""
    hops = tuple(hop.strip().removeprefix("ssh://") for hop in value.split(",") if hop.strip())
    return () if len(hops) == 1 and hops[0].lower() == "none" else hops


def split_hop(hop: str) -> tuple[str | None, str, int | None]:
    """Return user, name and port of one ``[user@]host[:port]``; an IPv6 address with a port stands in brackets."""
    user, _, rest = hop.rpartition("@")
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", rest)
    if bracketed:
        name, port = bracketed.group(1), bracketed.group(2)
    elif rest.count(":") == 1:
        name, _, port = rest.partition(":")
    else:
        name, port = rest, None
    return user or None, name, int(port) if port else None


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _parsed(
    paths: tuple[str, ...], stamps: tuple[tuple[int, int], ...], port: int | None, user: str | None
) -> paramiko.SSHConfig:
    # One fleet asks for many hosts: read again only when a file changed.
    lines = [f"Port {port}"] if port else []
    lines += [f"User {user}"] if user else []
    for path, stamp in zip(paths, stamps, strict=True):
        if stamp != (0, 0):
            lines += ["Host *", *_lines(Path(path), depth=0)]
    return paramiko.SSHConfig.from_text("\n".join(lines))


def _lines(path: Path, *, depth: int) -> list[str]:
    """Return the lines of a file with its ``Include`` lines replaced: paramiko does not know that keyword."""
    if depth > INCLUDE_DEPTH:
        raise ValueError(f"{path}: Include goes deeper than {INCLUDE_DEPTH} files")
    found: list[str] = []
    block = "Host *"
    for raw in path.read_text("utf-8", "replace").splitlines():
        line = raw.strip()
        keyword, _, value = line.replace("=", " ", 1).partition(" ")
        match keyword.lower():
            case "host" | "match":
                block = line
                found.append(line)
            case "include":
                for pattern in shlex.split(value, comments=True):
                    for name in sorted(glob.glob(str(_beside(pattern)))):
                        found += _lines(Path(name), depth=depth + 1)
                # The included file may end inside another block.
                found.append(block)
            case _:
                found.append(line)
    return found


def _beside(pattern: str) -> Path:
    return Path("~/.ssh").expanduser() / Path(pattern).expanduser()


def _path(text: str) -> str:
    return str(Path(text.replace("%d", str(Path.home()))).expanduser())


def _files(value: str) -> tuple[str, ...]:
    return tuple(_path(word) for word in shlex.split(value) if word.lower() != "none")
