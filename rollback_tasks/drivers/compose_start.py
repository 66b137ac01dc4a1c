"""What a start by compose would do now, compared with what runs, and what the application does when it starts."""

from __future__ import annotations

import re

from rollback_tasks.drivers.compose import EVERY_PROFILE
from rollback_tasks.model.facts import Container
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script


def hashes(project: Project) -> Command:
    """Return the command that prints, for each service, what the label ``com.docker.compose.config-hash`` of its
    containers would be. On stderr compose names the variables that are not set."""
    return Command(
        argv=project.compose_words("config", "--hash", "*"),
        effect=Effect.READ,
        cwd=project.folder,
        env=EVERY_PROFILE,
        timeout=60,
        ok_codes=frozenset(range(124)),
    )


def read_hashes(text: str) -> dict[str, str]:
    """Given the answer of ``hashes``, return service to hash."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


_UNSET = re.compile(r'The \\?"?([A-Za-z_][A-Za-z0-9_]*)\\?"? variable is not set')


def read_unset(text: str) -> tuple[str, ...]:
    """Given what compose said on stderr, return the variables that the file uses and nobody sets."""
    return tuple(dict.fromkeys(_UNSET.findall(text)))


_SCRIPT = re.compile(r"[\w./-]*(?:/[\w.-]+|\.(?:sh|bash|py))\Z")


def start_scripts(container: Container) -> tuple[str, ...]:
    """Return the paths in a container of the scripts that its command names."""
    words = [w for w in container.command if _SCRIPT.match(w) and not w.startswith(("-", "/bin/", "/usr/bin/"))]
    base = container.workdir.rstrip("/")
    return tuple(word if word.startswith("/") else f"{base}/{word}" for word in words)


def show(container: Container, path: str) -> Command:
    """Return the command that prints the beginning of a file of a container, as a tar; it need not run for that."""
    return script(
        'docker cp -L "$1:$2" - 2>/dev/null | head -c 65536',
        container.id,
        path,
        effect=Effect.READ,
        timeout=60,
        ok_codes=frozenset(range(124)),
    )


_UPGRADES = re.compile(r"alembic[^\n]*\bupgrade\b|\bdb\s+upgrade\b|\bcommand\.upgrade\(")


def upgrades(text: str) -> bool:
    """True where a command line or a script upgrades the schema by alembic."""
    return _UPGRADES.search(text) is not None


_LAST_WORDS = """\
for id in "$@"; do docker logs --tail 3 "$id" 2>&1 | tail -c 600; printf '\\0'; done
"""


def last_words(*ids: str) -> Command:
    """Return the command that prints the last lines of each container's log, each followed by a NUL."""
    return script(_LAST_WORDS, *ids, effect=Effect.READ, timeout=60)
