"""Faults for the sandbox's hosts: bounded, ending by themselves, the same again from a seed.

Whatever becomes of the process that inflicts one, a detached script of this machine ends it after its time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rollback_tasks.errors import UsageError
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.fleet import Node
from rollback_tasks.sandbox.project import COMICPILE
from rollback_tasks.shell import Effect

LONGEST = 600.0


class Kind(StrEnum):
    """What can be done to a host."""

    CUT = "cut"
    HANG = "hang"
    KILL = "kill"
    ENGINE = "engine"
    SSHD = "sshd"
    DISK = "disk"
    SLOW = "slow"
    CLOCK = "clock"


SAYS = {
    Kind.CUT: "pull the network cable, and plug it in again; nobody is told, packets just end",
    Kind.HANG: "freeze every process: the host neither answers nor refuses",
    Kind.KILL: "take the power away, and give it back",
    Kind.ENGINE: "stop the host's Docker engine, and start it again; its containers end and start with it",
    Kind.SSHD: "kill sshd and every session: connections break at once, new ones are refused",
    Kind.DISK: "fill the disk that .rollback lies on to its last byte",
    Kind.SLOW: "slow what the host sends to 256 kbit/s (and 100 ms later, where the kernel has netem)",
    Kind.CLOCK: "let `date` say a day later; the machine's own clock is left alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of one host.

    :param seconds: after which it ends by itself; more than 0, at most ``LONGEST``.
    :param step: begins at this step of a rollback, 1 for the first; None for now.
    :param inside: seconds after that step began.
    """

    host: str
    kind: Kind = Kind.CUT
    seconds: float = 10.0
    step: int | None = None
    inside: float = 0.0


def drawn(seed: int, host: str, *, steps: int) -> Fault:
    """Return the fault that ``seed`` stands for, always the same one.

    :param steps: steps of the run that it falls into.
    """
    dice = random.Random(f"{seed} {host}")
    return Fault(
        host=host,
        kind=dice.choice(list(Kind)),
        seconds=float(dice.choice((1, 3, 10, 30))),
        step=dice.randint(1, steps),
        inside=round(dice.uniform(0, 2), 2),
    )


def kind_of(name: str) -> Kind:
    """Given what was typed, return the kind.

    :raises UsageError: there is none of that name.
    """
    try:
        return Kind(name)
    except ValueError:
        raise UsageError(
            f"there is no fault {name!r}",
            details=f"there are {', '.join(Kind)}",
            hint="`inv sandbox.faults` says what each does.",
        ) from None


# All of these run on this machine. $1 container, $2 network, $3 address, $4 folder of the disk that fills up
_IN_HOST = 'in_host() { docker exec -i "$container" sh -s; }\n'

# The loop that keeps a server running is stopped first, so that the server stays away until the loop goes on. The
# engine is asked to end, as a service manager does it: after a KILL, Docker 20.10 leaves its containers stopped.
_AWAY = """\
in_host <<'END'
server=$(pgrep -o -x {name}) || exit 0
keeper=$(ps -o ppid= -p "$server" | tr -d ' ')
[ "$keeper" != 1 ] || exit 1
kill -STOP "$keeper" && echo "$keeper" >/run/fault-{name} && pkill -{signal} -x {name}
END
"""
_BACK = """\
in_host <<'END'
[ -e /run/fault-{name} ] || exit 0
kill -CONT "$(cat /run/fault-{name})"; rm -f /run/fault-{name}
END
"""

# The files move to a small disk and, at the end, back again to the big one.
_FILL = """\
docker exec -i "$container" sh -s "$folder" <<'END'
set -e
install -d -m 0770 -o deploy -g deploy "$1" /run/fault-disk
size=$(($(du -sk "$1" | cut -f1) + 1024))
mount -t tmpfs -o "size=${size}k,mode=0770,uid=1000,gid=1000" sandbox-full "/run/fault-disk"
cp -a "$1/." /run/fault-disk/
mount --move /run/fault-disk "$1"
cat /dev/zero >"$1/.fill" 2>/dev/null || true
END
"""
_EMPTY = """\
docker exec -i "$container" sh -s "$folder" <<'END'
grep -q '^sandbox-full ' /proc/mounts || exit 0
mkdir -p /run/fault-under && mount --bind / /run/fault-under || exit 1
rm -f "$1/.fill"
find "/run/fault-under$1" -mindepth 1 -delete
cp -a "$1/." "/run/fault-under$1/"
umount -l "$1"
umount /run/fault-under
END
"""

_NETEM = "tc qdisc replace dev eth0 root netem delay 100ms 20ms rate 256kbit 2>/dev/null"
_TBF = "tc qdisc replace dev eth0 root tbf rate 256kbit burst 16k latency 400ms"

_CLOCK = """\
in_host <<'END'
printf '#!/bin/sh\\nexec /usr/bin/date -d "+1 day" "$@"\\n' >/usr/local/bin/date.new
chmod 0755 /usr/local/bin/date.new
mv /usr/local/bin/date.new /usr/local/bin/date
END
"""

_SCRIPTS = {
    Kind.CUT: (
        'docker network disconnect --force "$network" "$container"',
        'docker network connect --ip "$address" "$network" "$container"',
    ),
    Kind.HANG: ('docker pause "$container"', 'docker unpause "$container"'),
    Kind.KILL: ('docker kill "$container"', 'docker start "$container"'),
    Kind.ENGINE: (_AWAY.format(name="dockerd", signal="TERM"), _BACK.format(name="dockerd")),
    Kind.SSHD: (_AWAY.format(name="sshd", signal="KILL"), _BACK.format(name="sshd")),
    Kind.DISK: (_FILL, _EMPTY),
    Kind.SLOW: (
        f'docker exec "$container" sh -c "{_NETEM} || {_TBF}"',
        'docker exec "$container" tc qdisc del dev eth0 root 2>/dev/null || true',
    ),
    Kind.CLOCK: (_CLOCK, 'docker exec "$container" rm -f /usr/local/bin/date'),
}

_NAMES = "container=$1 network=$2 address=$3 folder=$4\n"

# Whoever takes the token away ends the fault, once: the timer, or somebody who does not want to wait. The token is
# laid first, the timer started before the fault: nothing can leave a fault without an end. It says whose timer ends it,
# since that of a fault that was ended early still runs when the next one is there.
# $5 token, $6 seconds, $7 what inflicts, $8 what ends, $9 log
_INFLICT = (
    _NAMES
    + _IN_HOST
    + """\
token=$5 seconds=$6 inflict=$7 end=$8 log=$9
mkdir -p "${token%/*}"
mine=$$-$(date +%s%N)
( set -C; echo "$mine" >"$token" ) 2>/dev/null || { echo "this fault is already there" >&2; exit 3; }
setsid sh -c 'sleep "$6"
  [ "$(cat "$5" 2>/dev/null)" = "$8" ] || exit 0
  sh -c "$7" sandbox "$1" "$2" "$3" "$4" "$5"' \\
  sandbox "$1" "$2" "$3" "$4" "$token" "$seconds" "$end" "$mine" </dev/null >>"$log" 2>&1 &
if eval "$inflict" >>"$log"; then exit 0; fi
sh -c "$end" sandbox "$1" "$2" "$3" "$4" "$token" >>"$log" 2>&1
exit 1
"""
)

# $5 token
_END = (
    _NAMES
    + _IN_HOST
    + """\
token=$5
mv "$token" "$token.ending" 2>/dev/null || exit 0
{
%s
}
code=$?
rm -f "$token.ending"
exit "$code"
"""
)

# $1 token
_AWAIT = 'while [ -e "$1" ] || [ -e "$1.ending" ]; do sleep 0.1; done'


class Faults:
    """Inflicts faults on the hosts of one sandbox.

    :param state: the sandbox's folder; what is under way lies in ``faults`` below it.
    :param network: that the hosts stand in.
    """

    def __init__(self, engine: Engine, *, state: str, network: str) -> None:
        self._engine = engine
        self._folder = Path(state) / "faults"
        self._network = network

    def inflict(self, fault: Fault, node: Node) -> None:
        """Begin a fault; it ends by itself after its seconds. ``step`` and ``inside`` are not waited for.

        :raises UsageError: its time makes no sense.
        :raises CommandFailed: it is already there, or it cannot be done to the host as it is.
        """
        if not 0 < fault.seconds <= LONGEST:
            raise UsageError(
                f"a fault lasts more than 0 and at most {LONGEST:g} seconds, not {fault.seconds:g}",
                hint="Type: inv sandbox.fault --host prod1 --kind cut --seconds 10",
            )
        begin, _ = _SCRIPTS[fault.kind]
        self._run(
            *(_INFLICT, fault.kind, node, f"{fault.seconds:g}"),
            *(begin, self._ender(fault.kind), str(self._folder / "log")),
        )

    def end(self, kind: Kind, node: Node) -> None:
        """End a fault before its time; returns when it is over. Does nothing where there is none."""
        self._run(self._ender(kind), kind, node)
        self.await_end(kind, node)

    def await_end(self, kind: Kind, node: Node) -> None:
        """Return when the fault is over."""
        token = str(self._token(kind, node))
        self._engine.script(_AWAIT, token, effect=Effect.READ, timeout=LONGEST + 60)

    def _run(self, body: str, kind: Kind, node: Node, *more: str) -> None:
        words = (node.container, self._network, node.address, f"{COMICPILE.directory}/.rollback")
        token = str(self._token(kind, node))
        self._engine.script(body, *words, token, *more, effect=Effect.WRITE, timeout=120.0)

    def _token(self, kind: Kind, node: Node) -> Path:
        return self._folder / f"{node.name}-{kind}"

    def _ender(self, kind: Kind) -> str:
        return _END % _SCRIPTS[kind][1]
