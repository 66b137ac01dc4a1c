"""The sandbox: real deployment hosts on this machine."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rollback_tasks.errors import UsageError
from rollback_tasks.model.events import Note
from rollback_tasks.ports import Clock, Completed, EventSink, Host
from rollback_tasks.sandbox import deploy as deploys
from rollback_tasks.sandbox import inventory, machine, provision
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.faults import Fault, Faults, Kind
from rollback_tasks.sandbox.files import MARK, State
from rollback_tasks.sandbox.fleet import LABEL, Fleet, Node, names
from rollback_tasks.sandbox.images import IMAGE_LABEL, ImageMaker
from rollback_tasks.sandbox.inside import run_inside
from rollback_tasks.sandbox.project import COMICPILE, Project
from rollback_tasks.sandbox.status import Flavour, HostState, HostStatus, Role, SandboxStatus
from rollback_tasks.shell import Command, Effect, script

_MOST_HOSTS = 32

# Another sandbox of this machine may still use the images. $1 label of sandboxes, $2 label of images, then its values,
# children first
_REMOVE_IMAGES = """\
[ -z "$(docker ps --all --quiet --filter "label=$1")" ] || exit 0
label=$2
shift 2
for kind in "$@"; do
  images=$(docker images --quiet --filter "label=$label=$kind" | sort -u)
  if [ -n "$images" ]; then docker rmi --force $images; fi
done
"""

# $1 folder, $2 the file that says whose it is: it goes last, so that a removal that was cut can be done again.
_REMOVE_FOLDER = (
    'find "$1" -mindepth 1 -maxdepth 1 ! -name "$2" -exec rm -rf --one-file-system -- {} + && rm -rf -- "$1"'
)


class Sandbox:
    """Real deployment hosts on this machine, named prod1, prod2... Odd ones have the compose plugin, even ones have
    docker-compose 1.29.

    :param local: this machine; all shell work goes through it.
    :param state: absolute path of the folder that everything of this sandbox lives in; ``down`` removes it.
    :param cache: absolute path of the folder for what was downloaded; it outlives the sandbox.
    :param events: gets progress as ``Note``.
    :param clock: for the seconds that notes name.
    """

    def __init__(self, local: Host, *, state: str, cache: str, events: EventSink, clock: Clock) -> None:
        self._local = local
        self._state = State(local, state)
        self._cache = cache
        self._events = events
        self._clock = clock
        key = hashlib.sha256(str(Path(state).resolve()).encode()).hexdigest()[:8]
        self._engine = Engine(local, state=state, key=key, events=events)
        self._fleet = Fleet(self._engine, key=key)
        self._faults = Faults(self._engine, state=state, network=self._fleet.network)
        self._images = ImageMaker(local, self._engine, cache=cache, events=events)

    @property
    def inventory(self) -> str:
        """Path of the sandbox's hosts.yaml."""
        return str(self._state.inventory)

    def up(self, hosts: int = 3, *, shared_db: bool = False) -> SandboxStatus:
        """Bring up at least ``hosts`` hosts with the database running and nothing deployed; repair those that are
        there. Quick where all stands.

        :param shared_db: one more host, db1, runs the only database; the others run the application. What stands
            stays as it was made.
        :raises UsageError: this machine cannot carry a sandbox, or the number makes no sense.
        :raises CommandFailed: a tool failed.
        """
        if not 1 <= hosts <= _MOST_HOSTS:
            raise UsageError(
                f"a sandbox has 1 to {_MOST_HOSTS} hosts, not {hosts}", hint="Type: inv sandbox.up --hosts 3"
            )
        began = self._clock.monotonic()
        with self._locked():
            machine.need(self._local, ("ssh", "ssh-keygen"), events=self._events, purpose="to reach the hosts")
            self._engine.start()
            images = self._images.make()
            nodes = self._stand_up(hosts, recipe=images.recipe, shared_db=shared_db)
            self._put_files(nodes)
            self._write_known_hosts(nodes)
            self._events.emit(Note("", "waiting for engines, databases and ssh"))
            provision.provision(self._engine, nodes, base_tar=images.base_tar)
            self._write_inventory(nodes)
            provision.prove_ssh(self._engine, nodes, state=self._state.folder)
        self._events.emit(Note("", f"{_count(len(nodes))} up after {self._clock.monotonic() - began:.1f} s"))
        return self.status()

    def deploy(self, host: str, release: str, *, wait: bool = True, project: Project = COMICPILE) -> None:
        """Deploy a release of the demo application as a team does: check out its tag on branch main, build, migrate,
        start. A bad release is no failure: with ``wait`` this returns when it shows what it is.

        :param release: a tag of ``history.RELEASES``.
        :param wait: wait for the release's first typical answer (healthy for a good one).
        :raises CommandFailed: checkout, build, migration or start failed.
        """
        began = self._clock.monotonic()
        deploys.deploy(self._engine, self._fleet.node(host), release, project=project, wait=wait)
        self._events.emit(Note(host, f"deployed {release} in {self._clock.monotonic() - began:.1f} s"))

    def seed_releases(self, host: str, releases: Sequence[str] = ("v4", "v5", "v6")) -> None:
        """Deploy a series of releases, so that there is something to go back to. Raises as ``deploy``."""
        for release in releases:
            self.deploy(host, release)

    def reset(self, host: str) -> None:
        """Make a host as good as new, in seconds: nothing deployed, an empty database, the origin as it was. A shared
        database is emptied with db1 and no other."""
        node = self._fleet.node(host)
        provision.wipe(self._engine, node)
        self._put_files((node,))
        provision.provision(self._engine, (node,), base_tar=self._images.images().base_tar)
        self._events.emit(Note(host, "reset"))

    def add_project(self, host: str, project: Project) -> None:
        """Give a host a second checkout with a database of its own, for example in a folder with an odd name.

        :param project: its directory, compose project, port and image must differ from the other projects' ones.
        :raises UsageError: the sandbox's hosts share a database.
        """
        node = self._fleet.node(host)
        if node.role is not Role.WHOLE:
            raise UsageError(
                f"{host} runs only its part of the one project that shares a database",
                hint="Use a sandbox that was brought up without --shared-db",
            )
        provision.add_project(self._engine, node, project, password=self._state.password())

    def write_inventory(self, name: str, project: Project) -> str:
        """Write an inventory for another project beside the sandbox's own; return its path."""
        self._state.write(name, inventory.hosts_yaml(self.status().hosts, project, state=self._state.folder).encode())
        return str(self._state.folder / name)

    def exec_root(self, host: str, command: Command) -> Completed:
        """Run a command as root inside a host, past ssh: for faults and for looks from outside.

        Raises as ``Host.run``.
        """
        return run_inside(self._engine, self._fleet.node(host), command)

    def pause(self, host: str) -> None:
        """Freeze a host: it hangs, and says nothing more."""
        self._fleet.pause(host)

    def unpause(self, host: str) -> None:
        """End a pause."""
        self._fleet.unpause(host)

    def kill(self, host: str) -> None:
        """Take a host's power away; ``up`` gives it back."""
        self._fleet.kill(host)

    def disconnect(self, host: str) -> None:
        """Pull a host's network cable."""
        self._fleet.disconnect(host)

    def reconnect(self, host: str) -> None:
        """Plug a host's network cable in again; it keeps its address."""
        self._fleet.connect(self._fleet.node(host))

    def inflict(self, fault: Fault) -> None:
        """Begin a fault; it ends by itself. Raises as ``Faults.inflict``."""
        self._faults.inflict(fault, self._fleet.node(fault.host))
        self._events.emit(Note(fault.host, f"{fault.kind} for {fault.seconds:g} s"))

    def end_fault(self, host: str, kind: Kind) -> None:
        """End a fault before its time; returns when it is over. Does nothing where there is none."""
        self._faults.end(kind, self._fleet.node(host))

    def await_fault_end(self, host: str, kind: Kind) -> None:
        """Return when a fault is over."""
        self._faults.await_end(kind, self._fleet.node(host))

    def status(self) -> SandboxStatus:
        """Say what stands. Changes nothing."""
        if not self._state.is_there or not self._engine.answers():
            return SandboxStatus(inventory=self.inventory, is_own_engine=self._engine.is_own)
        return SandboxStatus(
            inventory=self.inventory,
            is_own_engine=self._engine.is_own,
            hosts=tuple(self._host_status(node) for node in self._fleet.nodes()),
        )

    def down(self, *, purge: bool = False) -> None:
        """Remove everything: containers, volumes, network, images, the state folder, and the engine where it is the
        sandbox's own. Safe to call twice.

        :param purge: remove the cache of downloads too; the next ``up`` then takes minutes.
        """
        if self._state.is_there:
            with self._locked():
                self._remove_hosts()
                self._engine.stop()
                folder = str(self._state.folder)
                self._local.run(script(_REMOVE_FOLDER, folder, MARK, effect=Effect.DESTROY, timeout=300.0))
        else:
            self._remove_hosts()  # somebody removed the folder by hand
        if purge:
            self._images.purge()
        kept = "" if purge else f"; downloads stay in {self._cache}"
        self._events.emit(Note("", f"the sandbox is gone{kept}"))

    def _stand_up(self, hosts: int, *, recipe: str, shared_db: bool) -> tuple[Node, ...]:
        there = []
        before = self._fleet.nodes()
        if shared_db and any(node.role is Role.WHOLE for node in before):
            raise UsageError(
                "the hosts that are there have a database each",
                hint="Type: inv sandbox.down, or name another folder with XDG_STATE_HOME",
            )
        wanted = names(hosts, shared_db=shared_db or any(node.role is not Role.WHOLE for node in before))
        for node in before:
            if node.recipe != recipe:
                self._events.emit(Note(node.name, "made by another version; making it anew"))
                self._fleet.discard(node)
                continue
            if node.state is not HostState.UP:
                self._events.emit(Note(node.name, f"was {node.state}; bringing it back"))
                self._fleet.recover(node)
            there.append(node.name)
        missing = {name: role for name, role in wanted.items() if name not in there}
        if missing:
            self._events.emit(Note("", f"starting {', '.join(missing)}"))
            images = self._images.images()
            image_of = {flavour: images.of(flavour) for flavour in Flavour}
            self._fleet.create(missing, image_of=image_of, recipe=recipe)
        return self._fleet.nodes()

    def _put_files(self, nodes: Sequence[Node]) -> None:
        identity = self._state.make_key("id_ed25519")
        shared = [node.address for node in self._fleet.nodes() if node.role is Role.DATABASE]
        for node in nodes:
            name = f"host-keys/{node.name}"
            public = self._state.make_key(name)
            provision.put_files(
                *(self._engine, node),
                password=self._state.password(),
                database=shared[0] if node.role is Role.APP else "db",
                host_key=self._state.read(name),
                public_host_key=public,
                identity=identity,
            )

    def _write_known_hosts(self, nodes: Sequence[Node]) -> None:
        keys = {node.address: self._state.make_key(f"host-keys/{node.name}") for node in nodes}
        self._state.write("known_hosts", inventory.known_hosts(keys))

    def _write_inventory(self, nodes: Sequence[Node]) -> None:
        text = inventory.hosts_yaml([_status(node) for node in nodes], COMICPILE, state=self._state.folder)
        self._state.write("hosts.yaml", text.encode())

    def _host_status(self, node: Node) -> HostStatus:
        release = None
        if node.state in {HostState.UP, HostState.CUT_OFF} and node.role is not Role.DATABASE:
            release = deploys.running_release(self._engine, node, project=COMICPILE)
        return _status(node, release=release)

    def _remove_hosts(self) -> None:
        if self._engine.is_own:
            self._engine.start()  # only a living engine ends its containers; their data goes with its folder
            self._fleet.remove()
        elif self._engine.answers():
            self._fleet.remove()
            words = (LABEL, IMAGE_LABEL, *Flavour, "base")
            self._engine.script(_REMOVE_IMAGES, *words, effect=Effect.DESTROY)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._state.claim()
        with open(self._state.folder / MARK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two at once would both find the same thing missing
            yield


def _status(node: Node, *, release: str | None = None) -> HostStatus:
    return HostStatus(
        name=node.name,
        address=node.address,
        flavour=node.flavour,
        state=node.state,
        role=node.role,
        release=release,
    )


def _count(hosts: int) -> str:
    return "1 host is" if hosts == 1 else f"{hosts} hosts are"
