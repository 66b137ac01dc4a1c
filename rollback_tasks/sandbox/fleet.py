"""The containers that are the hosts: made, started again, and broken on purpose."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass

from rollback_tasks.sandbox.engine import Engine, problem
from rollback_tasks.sandbox.status import Flavour, HostState, Role
from rollback_tasks.shell import Effect

LABEL = "rollback.sandbox"
DATABASE_HOST = "db1"

# An engine only gives fixed addresses in a network whose range was named, so it chooses one first. The network leads
# to this machine and nowhere else.
# $1 name, $2 label
_NETWORK = """\
set -e
docker network inspect "$1" >/dev/null 2>&1 && exit 0
docker network create "$1" >/dev/null
range=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}} {{end}}' "$1")
docker network rm "$1" >/dev/null
docker network create --internal --label "$2" --subnet "${range%% *}" "$1" >/dev/null
"""

# Not --privileged: that fails where the machine itself lacks one capability. What an inner engine needs are mounts
# (SYS_ADMIN), networks (NET_ADMIN), device nodes (MKNOD), a /proc/sys it may write to, and its data on a volume,
# since overlay does not stack. /run is empty after a restart, as on a machine.
# $1 label, $2 network, $3 recipe; then for each host, on standard input: name, container, address, flavour, image, role
_CREATE = """\
create() {
  docker volume create --label "$label" "$2" >/dev/null &&
  docker run --detach --name "$2" --hostname "$1" --network "$network" --ip "$3" \\
    --label "$label" --label "rollback.sandbox.host=$1" --label "rollback.sandbox.flavour=$4" \\
    --label "rollback.sandbox.recipe=$recipe" --label "rollback.sandbox.address=$3" \\
    --label "rollback.sandbox.role=$6" \\
    --cgroupns private --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add MKNOD \\
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt label=disable \\
    --security-opt systempaths=unconfined --sysctl net.ipv4.ip_forward=1 \\
    --tmpfs /run --volume "$2:/var/lib/docker" "$5" </dev/null >/dev/null
}
label=$1 network=$2 recipe=$3 jobs=
while read -r name container address flavour image role; do
  create "$name" "$container" "$address" "$flavour" "$image" "$role" & jobs="$jobs $!"
done
for job in $jobs; do wait "$job" || exit 1; done
"""

# $1 label
_REMOVE = """\
containers=$(docker ps --all --quiet --filter "label=$1")
if [ -n "$containers" ]; then docker rm --force --volumes $containers; fi
volumes=$(docker volume ls --quiet --filter "label=$1")
if [ -n "$volumes" ]; then docker volume rm $volumes; fi
networks=$(docker network ls --quiet --filter "label=$1")
if [ -n "$networks" ]; then docker network rm $networks; fi
"""

_INSPECT = """\
containers=$(docker ps --all --quiet --filter "label=$1")
if [ -n "$containers" ]; then docker inspect $containers; else echo '[]'; fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host's container, as the engine sees it."""

    name: str
    container: str
    address: str
    flavour: Flavour
    state: HostState
    recipe: str
    role: Role = Role.WHOLE


def names(hosts: int, *, shared_db: bool) -> dict[str, Role]:
    """Return what a sandbox's hosts are called, and what each runs.

    :param hosts: how many run the application.
    :param shared_db: one more host runs the database of all of them.
    """
    role = Role.APP if shared_db else Role.WHOLE
    roles = {f"prod{number}": role for number in range(1, hosts + 1)}
    return {**roles, DATABASE_HOST: Role.DATABASE} if shared_db else roles


class Fleet:
    """All containers of one sandbox.

    :param key: tells this sandbox's containers from another one's.
    """

    def __init__(self, engine: Engine, *, key: str) -> None:
        self._engine = engine
        self._label = f"{LABEL}={key}"
        self._network = f"rollback-sandbox-{key}"

    @property
    def network(self) -> str:
        """Name of the network that the hosts stand in."""
        return self._network

    def nodes(self) -> tuple[Node, ...]:
        """Return the hosts that are there, in the order of their numbers, a database host last."""
        told = json.loads(self._engine.script(_INSPECT, self._label, effect=Effect.READ).text)
        nodes = []
        for entry in told:
            labels, state = entry["Config"]["Labels"], entry["State"]
            if state["Paused"]:
                how = HostState.PAUSED
            elif not state["Running"]:
                how = HostState.DOWN
            elif self._network not in entry["NetworkSettings"]["Networks"]:
                how = HostState.CUT_OFF
            else:
                how = HostState.UP
            nodes.append(
                Node(
                    name=labels["rollback.sandbox.host"],
                    container=entry["Name"].lstrip("/"),
                    address=labels["rollback.sandbox.address"],
                    flavour=Flavour(labels["rollback.sandbox.flavour"]),
                    state=how,
                    recipe=labels["rollback.sandbox.recipe"],
                    role=Role(labels.get("rollback.sandbox.role", Role.WHOLE)),
                )
            )
        return tuple(sorted(nodes, key=lambda node: (node.role is Role.DATABASE, _number(node.name))))

    def create(self, roles: Mapping[str, Role], *, image_of: Mapping[Flavour, str], recipe: str) -> None:
        """Make and start hosts; prod1, prod3... and db1 have the plugin, prod2, prod4... have not.

        :param roles: name to what it runs.
        """
        self._engine.script(_NETWORK, self._network, self._label, effect=Effect.WRITE)
        told = self._engine.docker("network", "inspect", self._network, effect=Effect.READ).text
        subnet = ipaddress.ip_network(json.loads(told)[0]["IPAM"]["Config"][0]["Subnet"])
        lines = []
        for name, role in roles.items():
            number = _number(name)
            flavour = (Flavour.STANDALONE, Flavour.PLUGIN)[number % 2]
            address = subnet[10 if role is Role.DATABASE else 10 + number]
            lines.append(f"{name} {self._container(name)} {address} {flavour} {image_of[flavour]} {role}\n")
        self._engine.script(
            *(_CREATE, self._label, self._network, recipe),
            effect=Effect.WRITE,
            stdin="".join(lines).encode(),
        )

    def recover(self, node: Node) -> None:
        """Bring a host back that was paused, cut off or killed."""
        match node.state:
            case HostState.UP:
                pass
            case HostState.PAUSED:
                self.unpause(node.name)
                self._recover_network(node)
            case HostState.CUT_OFF:
                self.connect(node)
            case HostState.DOWN:
                self._recover_network(node)
                self._engine.docker("start", node.container, effect=Effect.WRITE)

    def discard(self, node: Node) -> None:
        """Remove one host with all its data."""
        self._engine.docker("rm", "--force", "--volumes", node.container, effect=Effect.DESTROY)
        self._engine.docker("volume", "rm", node.container, effect=Effect.DESTROY)

    def remove(self) -> None:
        """Remove containers, volumes and the network."""
        self._engine.script(_REMOVE, self._label, effect=Effect.DESTROY, timeout=600.0)

    def pause(self, name: str) -> None:
        """Freeze every process of a host: it hangs, and its network stays silent."""
        self._engine.docker("pause", self._container(name), effect=Effect.WRITE)

    def unpause(self, name: str) -> None:
        """End a pause."""
        self._engine.docker("unpause", self._container(name), effect=Effect.WRITE)

    def kill(self, name: str) -> None:
        """Take a host's power away."""
        self._engine.docker("kill", self._container(name), effect=Effect.WRITE)

    def disconnect(self, name: str) -> None:
        """Pull a host's network cable."""
        words = ("network", "disconnect", "--force", self._network, self._container(name))
        self._engine.docker(*words, effect=Effect.WRITE)

    def connect(self, node: Node) -> None:
        """Plug a host's network cable in; it has its address again."""
        words = ("network", "connect", "--ip", node.address, self._network, node.container)
        self._engine.docker(*words, effect=Effect.WRITE)

    def node(self, name: str) -> Node:
        """Return one host.

        :raises StepFailed: there is none of that name.
        """
        for node in self.nodes():
            if node.name == name:
                return node
        raise problem(f"the sandbox has no host {name}")

    def _recover_network(self, node: Node) -> None:
        told = json.loads(self._engine.docker("inspect", node.container, effect=Effect.READ).text)
        if self._network not in told[0]["NetworkSettings"]["Networks"]:
            self.connect(node)

    def _container(self, name: str) -> str:
        return f"{self._network}-{name}"


def _number(name: str) -> int:
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
