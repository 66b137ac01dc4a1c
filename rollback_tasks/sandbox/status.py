"""What stands, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Flavour(StrEnum):
    """Which generation of compose a host has; it has only that one."""

    PLUGIN = "plugin"
    STANDALONE = "standalone"


class Role(StrEnum):
    """What of the demo application a host runs."""

    WHOLE = "app, db"
    APP = "app"
    DATABASE = "db"


class HostState(StrEnum):
    """How a host is."""

    UP = "up"
    PAUSED = "paused"
    CUT_OFF = "cut off"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """One deployment host.

    :param address: its address on the sandbox's network, which ssh connects to.
    :param role: ``WHOLE``, except where the application hosts share one database host.
    :param release: the tag that its application was built from; None where nothing is deployed or it does not answer.
    """

    name: str
    address: str
    flavour: Flavour
    state: HostState
    role: Role = Role.WHOLE
    release: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """The sandbox as it is now.

    :param inventory: path of its hosts.yaml; the file is there as soon as there are hosts.
    :param is_own_engine: True where the Docker engine was started by the sandbox and ends with it.
    """

    inventory: str
    is_own_engine: bool
    hosts: tuple[HostStatus, ...] = ()
