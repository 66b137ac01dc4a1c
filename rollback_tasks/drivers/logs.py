"""What containers have said lately."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.shell import Command, Effect, script

# $1 lines of each, then for each container its name, its id and the time to begin at ('' = its first line). The heads
# begin with a byte that docker's time stamps do not have.
_TAIL = """\
count=$1
shift
while [ "$#" -gt 0 ]; do
  printf '=%s\\n' "$1"
  docker logs --timestamps --tail "$count" ${3:+--since "$3"} "$2" 2>&1 | tail -c 1000000
  printf '\\n'
  shift 3
done
"""

# As logging libraries write a level: a word of its own, or a field. An access log's status is none.
_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL|PANIC|EMERGENCY|SEVERE)\b"
    r"|Traceback \(most recent call last\)"
    r"|^panic: |\bpanicked at\b|\bUnhandled(?:Promise)?(?:Rejection| ?[Ee]xception)"
    r"""|["']?(?:level|severity|levelname|lvl)["']?\s*[=:]\s*["']?(?:error|critical|fatal|panic|emergency)\b""",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log. ``at`` is docker's time, UTC."""

    container: str
    at: str
    text: str

    @property
    def is_error(self) -> bool:
        """True where it reports an error, as far as such a line can be told from others."""
        return _ERROR.search(self.text) is not None


def tail(containers: Sequence[tuple[str, str, str]], *, lines: int) -> Command:
    """Return the command that prints the last lines of containers.

    :param containers: name, id, and the time to begin at as docker takes it (``10m``, or a date); ``""`` = no limit.
    :param lines: the most of each.
    """
    words = [word for container in containers for word in container]
    return script(_TAIL, str(lines), *words, effect=Effect.READ, timeout=60)


def read(text: str) -> tuple[Line, ...]:
    """Given the answer of ``tail``, return its lines, each container's in the order of time. Raise MalformedAnswer."""
    found: list[Line] = []
    name = None
    for line in text.split("\n"):
        if line.startswith("="):
            name = line[1:]
        elif line:
            if name is None:
                raise MalformedAnswer("docker printed a log in an unknown form", details=line[:200])
            at, _, words = line.rstrip("\r").partition(" ")
            found.append(Line(name, at, words))
    # Two streams come in two pieces; a stable sort by time puts them together.
    names = list(dict.fromkeys(line.container for line in found))
    return tuple(sorted(found, key=lambda line: (names.index(line.container), line.at)))
