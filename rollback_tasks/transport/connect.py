"""From a line of the inventory to an open connection: hop by hop, every host key checked, the right key shown first."""

from __future__ import annotations

import getpass
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fabric
import paramiko

from rollback_tasks.errors import AuthenticationFailed, RollbackError, Unreachable
from rollback_tasks.transport import dial, known_hosts, ssh_config
from rollback_tasks.transport.channel import MOST_WINDOW_BYTES
from rollback_tasks.transport.hops import Hops, Link
from rollback_tasks.transport.identities import KeyOffer, Wanted
from rollback_tasks.transport.protocol import HandshakeTimedOut, StrictTransport
from rollback_tasks.transport.proxy import ProxyWire
from rollback_tasks.transport.ssh import SshHost

DEFAULT_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """How to reach a host. What is None is looked up in ~/.ssh/config and /etc/ssh/ssh_config under ``hostname``.

    :param name: the host's name in the inventory.
    :param hostname: a DNS name, an address, or an alias of ssh_config.
    :param port: TCP port; 22 where nobody says otherwise.
    :param user: login; the local user's name where nobody says otherwise.
    :param identity_file: a private key, or the public half of one that the agent holds; shown before any other.
    :param proxy_jump: hops as ``ssh -J`` takes them, ``none`` for a direct connection in spite of ssh_config.
    :param known_hosts_file: in place of the user's own known_hosts, also for hops whose configuration names none.
    """

    name: str
    hostname: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    proxy_jump: str | None = None
    known_hosts_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """One connection to make, all questions answered."""

    host: str
    hostname: str
    port: int
    user: str
    wanted: Wanted
    place: known_hosts.Place
    proxy_command: str | None
    timeout: float
    hops: tuple[str, ...]

    @property
    def spot(self) -> str:
        return f"{self.user}@{self.hostname}:{self.port}"


def connect(target: SshTarget, *, connect_timeout: float | None = None, hops: Hops | None = None) -> SshHost:
    """Open a connection to a host.

    :param connect_timeout: seconds for each of: the TCP connection, the key exchange, the authentication of each
        hop. None takes ``ConnectTimeout`` of ssh_config, or 10.
    :param hops: shared jump hosts, closed by whoever made them; without it the connection has its own.
    :raises HostKeyUnknown: nobody has vouched for the key of the host or of a hop.
    :raises HostKeyChanged: it shows another key than the known one.
    :raises AuthenticationFailed: it took none of our keys.
    :raises Unreachable: no such name, refused, no answer in time, no SSH server.
    :raises ConfigError: ssh_config cannot be understood.
    """
    _require_identity(target)
    own = Hops() if hops is None else None
    try:
        link = _connect(_route(target, connect_timeout), target, hops or own or Hops())
    except BaseException:
        if own is not None:
            own.close()
        raise

    def close() -> None:
        link.connection.close()
        if own is not None:
            own.close()

    return SshHost(target.name, link.connection.transport, round_trip=link.round_trip, close=close)


def _require_identity(target: SshTarget) -> None:
    """A missing file of ssh_config is passed over, as ``ssh`` does; one that the inventory names is a mistake."""
    if target.identity_file is None:
        return
    path = Path(target.identity_file).expanduser()
    if not path.exists():
        raise AuthenticationFailed(
            f"the identity file {target.identity_file} does not exist",
            hint=f"correct `identity_file` of {target.name} in hosts.yaml, or leave it out to use the agent.",
            host=target.name,
        )


def _route(target: SshTarget, connect_timeout: float | None) -> _Route:
    said = ssh_config.settings_for(target.hostname, port=target.port, user=target.user)
    hostname, port = said.hostname, said.port or known_hosts.SSH_PORT
    explicit = (str(Path(target.identity_file).expanduser()),) if target.identity_file else ()
    jumps = said.proxy_jump if target.proxy_jump is None else ssh_config.split_jumps(target.proxy_jump)
    own_files = said.known_hosts_files
    if target.known_hosts_file is not None:
        own_files = (str(Path(target.known_hosts_file).expanduser()),)
    place = known_hosts.Place(
        host=target.name,
        hostname=hostname,
        port=port,
        alias=said.host_key_alias,
        files=own_files + said.global_known_hosts_files,
        jumps=",".join(jumps),
    )
    return _Route(
        host=target.name,
        hostname=hostname,
        port=port,
        user=said.user or getpass.getuser(),
        wanted=Wanted(named=tuple(dict.fromkeys(explicit + said.identity_files)), only_named=said.identities_only),
        place=place,
        proxy_command=None if jumps or target.proxy_jump is not None else said.proxy_command,
        timeout=connect_timeout or said.connect_timeout or DEFAULT_CONNECT_SECONDS,
        hops=jumps,
    )


def _connect(route: _Route, target: SshTarget, hops: Hops, trail: tuple[str, ...] = ()) -> Link:
    if not route.hops:
        return _open(route, *_first_wire(route))
    gateway = _through(route.hops, target, route.timeout, hops, trail)
    started = time.monotonic()
    try:
        wire = _step(gateway, route)
    except Unreachable:
        if hops.is_alive(gateway):
            raise
        # The jump host was lost since it was opened for somebody else.
        gateway = _through(route.hops, target, route.timeout, hops, trail)
        started = time.monotonic()
        wire = _step(gateway, route)
    return _open(route, wire, time.monotonic() - started)


def _through(jumps: tuple[str, ...], target: SshTarget, timeout: float, hops: Hops, trail: tuple[str, ...]) -> Link:
    """Open the last of ``jumps``, each through the ones before it.

    The key and the known_hosts file that the inventory names for the target serve for a hop too, behind the hop's own.
    """
    if jumps[-1] in trail:
        raise Unreachable(f"the jump hosts form a loop: {' via '.join((*trail, jumps[-1]))}", host=target.name)
    user, name, port = ssh_config.split_hop(jumps[-1])
    route = _route(SshTarget(name=target.name, hostname=name, port=port, user=user), timeout)
    before = jumps[:-1] or tuple(hop for hop in route.hops if ssh_config.split_hop(hop)[1] != name)
    files, wanted = route.place.files, route.wanted
    if target.known_hosts_file is not None:
        files = (str(Path(target.known_hosts_file).expanduser()), *files)
    if target.identity_file is not None and not wanted.only_named:
        wanted = replace(wanted, named=(*wanted.named, str(Path(target.identity_file).expanduser())))
    place = replace(route.place, files=files, jumps=",".join(before))
    route = replace(route, hops=before, place=place, wanted=wanted)
    key = (*jumps, *files, *wanted.named)
    return hops.get(key, lambda: _connect(route, target, hops, (*trail, jumps[-1])), host=target.name)


def _first_wire(route: _Route) -> tuple[dial.Wire, float]:
    if route.proxy_command:
        return ProxyWire(route.proxy_command), 0.0
    return dial.dial(route.hostname, route.port, timeout=route.timeout, host=route.host)


def _step(gateway: Link, route: _Route) -> dial.Wire:
    """Open the way from a jump host to the next machine."""
    transport = gateway.connection.transport
    try:
        channel: paramiko.Channel = transport.open_channel(
            "direct-tcpip",
            (route.hostname, route.port),
            ("127.0.0.1", 0),
            window_size=MOST_WINDOW_BYTES,
            timeout=route.timeout,
        )
    except (paramiko.SSHException, EOFError, OSError) as exc:
        via = gateway.connection.host
        raise Unreachable(
            f"the jump host {via} cannot reach {route.hostname}:{route.port}",
            details=str(exc),
            hint=f"try from there: `ssh {via} nc -vz {route.hostname} {route.port}`.",
            host=route.host,
        ) from exc
    return channel


class _StrictPolicy(paramiko.MissingHostKeyPolicy):
    """Judges every key: paramiko is given no known hosts, so that it asks here each time."""

    def __init__(self, known: known_hosts.KnownKeys) -> None:
        self._known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        self._known.check(key.get_name(), key.asbytes())


def _open(route: _Route, wire: dial.Wire, round_trip: float) -> Link:
    known = known_hosts.look_up(route.place)

    def make_transport(sock: Any, disabled_algorithms: Any = None) -> StrictTransport:
        made = StrictTransport(sock, known_types=known.key_types, disabled_algorithms=disabled_algorithms)
        made.handshake_timeout = 2 * route.timeout  # ours (`timeout` below) is over first, and has a name
        return made

    # Fabric and paramiko write into what they are given: nothing is shared between connections. An empty ssh_config,
    # no files (lazy) and gateway=False, because all that was answered above; nobody's ~/.fabric.yaml has a say.
    connection = fabric.Connection(
        route.hostname,
        user=route.user,
        port=route.port,
        config=fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True),
        gateway=False,
        forward_agent=False,
        connect_kwargs={
            "sock": dial.BufferedWire(wire),
            "transport_factory": make_transport,
            "auth_strategy": KeyOffer(route.wanted, user=route.user, host=route.host),
            "timeout": route.timeout + 0.5,  # behind that of the banner
            "banner_timeout": route.timeout,
            "auth_timeout": route.timeout,
        },
    )
    connection.client.set_missing_host_key_policy(_StrictPolicy(known))
    try:
        connection.open()
    except BaseException as exc:
        connection.client.close()
        wire.close()
        if isinstance(exc, RollbackError) or not isinstance(exc, (paramiko.SSHException, EOFError, OSError)):
            raise
        raise _translated(route, exc) from exc
    return Link(connection, round_trip)


def _translated(route: _Route, exc: Exception) -> Unreachable:
    where = f"{route.hostname}:{route.port}"
    hint = f"see what ssh says: `ssh -v -p {route.port} {route.user}@{route.hostname} true`."
    text = str(exc) or type(exc).__name__
    if isinstance(exc, paramiko.AuthenticationException):
        return AuthenticationFailed(f"{where} did not let {route.user} in", details=text, hint=hint, host=route.host)
    if isinstance(exc, HandshakeTimedOut):
        brief, text = f"{where} did not finish the handshake", f"waited {route.timeout:g} seconds"
    elif "banner" in text:
        brief = f"no SSH server speaks at {where}"
        text = f"{text}; a sshd that is busy (MaxStartups) hangs up like this too"
    elif isinstance(exc, paramiko.ssh_exception.IncompatiblePeer):
        brief = f"{where} speaks only outdated SSH algorithms"
    else:
        brief = f"the connection to {where} broke off while it was made"
    return Unreachable(brief, details=text, hint=hint, host=route.host)
