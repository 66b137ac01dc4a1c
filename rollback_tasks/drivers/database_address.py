"""Where the database answers, as its host sees it: found in its container."""

from __future__ import annotations

import json

from rollback_tasks.drivers.postgres import FIND_DB
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.ports import DatabaseAddress
from rollback_tasks.shell import Command, Effect, Secret, script

# A password may hold anything, line breaks too: it travels in hex.
_WHERE = (
    FIND_DB
    + """\
docker inspect --type container --format '{{json .NetworkSettings.Networks}}' "$db" || exit 1
docker exec "$db" sh -c 'echo "${PGPORT:-5432}"
if [ -n "${POSTGRES_PASSWORD:-}" ]; then printf %s "$POSTGRES_PASSWORD"
elif [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then printf %s "$(cat "$POSTGRES_PASSWORD_FILE")"; fi | od -An -v -tx1'
"""
)


def where(project: Project) -> Command:
    """Return the command that prints the networks, the port and the password of the database's container."""
    at = project.database_site
    return script(_WHERE, at.project, at.service, effect=Effect.READ, timeout=60, place=at.place)


def read(text: str, project: Project) -> DatabaseAddress:
    """Given the answer of ``where``, return the address. Raise MalformedAnswer where the host cannot reach it."""
    networks, _, rest = text.partition("\n")
    port, _, digits = rest.partition("\n")
    try:
        known = json.loads(networks)
        if "host" in known:
            address = "127.0.0.1"
        else:
            found = [net.get(key) for net in known.values() for key in ("IPAddress", "GlobalIPv6Address")]
            address = next(ip for ip in found if ip)
        password = bytes.fromhex("".join(digits.split())).decode()
        return DatabaseAddress(
            address=str(address),
            port=int(port),
            user=project.database_user,
            password=Secret(password) if password else None,
            name=project.database,
        )
    except (ValueError, StopIteration, AttributeError, TypeError):
        # The answer itself must not be shown: it holds the password.
        raise MalformedAnswer("the host has no way to the database's container") from None
