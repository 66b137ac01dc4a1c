"""The Docker engine that the hosts run in: the one that is there, else one of our own."""

from __future__ import annotations

from pathlib import Path

from rollback_tasks.errors import StepFailed, UsageError
from rollback_tasks.model.events import Note
from rollback_tasks.ports import Completed, EventSink, Host
from rollback_tasks.sandbox import machine
from rollback_tasks.shell import Command, Effect, script

# A unix socket's path has 108 bytes; the engine's longest one is <exec-root>/containerd/containerd-debug.sock.
_LONGEST_FOLDER = 60

# The hosts need a bridge among themselves and to this machine, and nothing else: so the machine's firewall and
# its forwarding stay as they are. $1 folder, $2 cgroup parent
_START = """\
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$1/exec" && chmod 0700 "$1"
rm -f "$1/pid" "$1/exec/containerd/containerd.pid"
setsid dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" \\
  --cgroup-parent "$2" --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \\
  --log-level warn >>"$1/dockerd.log" 2>&1 </dev/null &
engine=$!
until docker -H "unix://$1/docker.sock" version >/dev/null 2>&1; do
  if ! kill -0 "$engine" 2>/dev/null; then tail -n 5 "$1/dockerd.log" >&2; exit 1; fi
  sleep 0.1
done
"""

# Only a process that says itself that it belongs to this folder is ended. $1 folder, $2 cgroup parent
_STOP = """\
process=$(cat "$1/pid" 2>/dev/null)
if [ -n "$process" ] && tr '\\0' '\\n' <"/proc/$process/cmdline" 2>/dev/null | grep -qxF -- "$1/pid"; then
  kill "$process"
  while kill -0 "$process" 2>/dev/null; do sleep 0.1; done
fi
# An engine that is ended while it starts leaves its data mounted upon itself.
while read -r _ where _; do
  where=$(printf '%b' "$where")
  case $where in "$1"/*) umount -l "$where" ;; esac
done </proc/mounts
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
  if [ -d "$tree$2" ]; then rmdir "$tree$2"; fi
done
"""


class Engine:
    """A Docker engine, and the client that speaks to it.

    :param state: the sandbox's state folder; an own engine lives in ``engine`` below it.
    :param key: tells this sandbox from another one of this machine.
    """

    def __init__(self, local: Host, *, state: str, key: str, events: EventSink) -> None:
        self._local = local
        self._cgroup = f"/rollback-sandbox-{key}"
        self._folder = Path(state) / "engine"
        self._events = events

    @property
    def is_own(self) -> bool:
        """True where the engine was started by the sandbox, and ends with it."""
        return self._folder.exists()

    def answers(self) -> bool:
        """Return True where the engine can be used."""
        answer = self.docker("version", effect=Effect.READ, ok_codes=frozenset({0, 1, 126, 127}))
        return answer.exit_code == 0

    def start(self) -> None:
        """Make sure that an engine answers; installs and starts one where none does. It outlives this process.

        :raises UsageError: no engine answers and none can be started here, or its containers cannot be reached.
        """
        if self.answers():
            if not self.is_own:
                self._check_reach()
            return
        if not self.is_own:
            if not machine.can_install(self._local):
                raise UsageError(
                    "no Docker engine answers, and only root on Debian or Ubuntu can start one for the sandbox",
                    hint="Start Docker, or become root, and then type: inv sandbox.up",
                )
            machine.need(self._local, ("docker", "dockerd", "iptables"), events=self._events, purpose="for the engine")
            if self.answers():  # the package may have started its service
                return
        if len(str(self._folder).encode()) > _LONGEST_FOLDER:
            raise UsageError(
                f"the state folder's path is too long for a socket: {self._folder}",
                hint="Choose a shorter one with XDG_STATE_HOME and then type: inv sandbox.up",
            )
        self._events.emit(Note("", "starting a Docker engine of its own"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._local.run(script(_START, str(self._folder), self._cgroup, effect=Effect.WRITE))

    def stop(self) -> None:
        """End the own engine. Does nothing to one that was there."""
        if self.is_own:
            self._local.run(script(_STOP, str(self._folder), self._cgroup, effect=Effect.DESTROY))

    def docker(
        self,
        *words: str,
        effect: Effect,
        stdin: bytes = b"",
        timeout: float = 60.0,
        ok_codes: frozenset[int] = frozenset({0}),
    ) -> Completed:
        """Run the Docker client with ``words``. Raises as ``Host.run``."""
        argv = ("docker", *words)
        return self.run(Command(argv=argv, effect=effect, stdin=stdin, timeout=timeout, ok_codes=ok_codes))

    def script(
        self,
        body: str,
        *args: str,
        effect: Effect,
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> Completed:
        """Run the fixed script ``body``, whose ``docker`` speaks to this engine. Raises as ``Host.run``."""
        return self.run(script(body, *args, effect=effect, stdin=stdin, timeout=timeout))

    def run(self, command: Command) -> Completed:
        """Run a command of this machine whose ``docker`` speaks to this engine. Raises as ``Host.run``."""
        # The classic builder needs no plugin, and is in every client and engine.
        env: tuple[tuple[str, str], ...] = (*command.env, ("DOCKER_BUILDKIT", "0"))
        if self.is_own:
            env = (*env, ("DOCKER_HOST", f"unix://{self._folder}/docker.sock"))
        return self._local.run(
            Command(
                argv=command.argv,
                effect=command.effect,
                cwd=command.cwd,
                env=env,
                secret_env=command.secret_env,
                stdin=command.stdin,
                secret_stdin=command.secret_stdin,
                timeout=command.timeout,
                ok_codes=command.ok_codes,
            )
        )

    def _check_reach(self) -> None:
        told = self.docker("info", "--format", "{{.OperatingSystem}} {{.SecurityOptions}}", effect=Effect.READ).text
        if "Docker Desktop" in told or "rootless" in told:
            raise UsageError(
                "the hosts are reached by their containers' addresses, which this engine does not give to the machine",
                details=told.strip(),
                hint="Use a Docker engine that runs as root on Linux and then type: inv sandbox.up",
            )


def problem(brief: str, *, details: str = "") -> StepFailed:
    """Return the error for a sandbox that does not come up as it should."""
    return StepFailed(brief, details=details, hint="Start afresh with: inv sandbox.down, and then: inv sandbox.up")
