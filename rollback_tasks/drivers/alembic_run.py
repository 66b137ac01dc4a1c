"""Run alembic in the very image that is deployed, as the deployed container would: its variables, volumes and
network, but none of its start-up command. Only that image holds the newer migration scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, unquote

from rollback_tasks.shell import Command, Effect, Secret, script


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What it takes to start a process like a deployed container's.

    :param container: its id; volumes are taken from it.
    :param network: one that the database is on as well.
    :param environment: what compose added to the image's own variables.
    """

    container: str
    image: str
    network: str
    workdir: str
    environment: tuple[tuple[str, Secret], ...]
    command: tuple[str, ...]


# sshd may hand over a socket as standard input, which cannot be opened by its path: `cat` makes it a pipe.
_RUN = """\
name=$1 container=$2 network=$3 image=$4 program=$5
shift 5
docker rm -f "$name" >/dev/null 2>&1
set -- --rm --name "$name" --volumes-from "$container" --network "$network" --env-file /dev/stdin \\
  -e PGAPPNAME="$name" --label rollback=alembic --entrypoint "$program" "$@"
cat | docker run "$@"
"""


def container_name(run_id: str, project: str) -> str:
    """Return the name of a run's alembic container for one compose project; compensations end it by this name. Two
    projects of one run may share an engine."""
    return f"rollback-{run_id}-{project}-alembic"


def end(run_id: str, project: str) -> Command:
    """Return the command that ends the run's alembic container, where there is one."""
    body = '[ -z "$(docker ps -aq --filter "name=^/$1\\$")" ] || docker rm -f "$1"'
    return script(body, container_name(run_id, project), effect=Effect.WRITE)


def run(
    deployed: Deployed,
    words: tuple[str, ...],
    *,
    run_id: str,
    project: str,
    effect: Effect,
    timeout: float,
    ok_codes: frozenset[int] = frozenset({0}),
) -> Command:
    """Return the command that runs ``alembic WORDS`` in the deployed image.

    :param project: the compose project.
    :param timeout: seconds.

    A variable whose value holds a line break cannot travel and is left out.
    """
    program, *rest = deployed.command
    workdir = ("-w", deployed.workdir) if deployed.workdir else ()
    return script(
        _RUN,
        container_name(run_id, project),
        deployed.container,
        deployed.network,
        deployed.image,
        program,
        *workdir,
        deployed.image,
        *rest,
        *words,
        effect=effect,
        secret_stdin=_env_file(deployed.environment),
        timeout=timeout,
        ok_codes=ok_codes,
    )


def _env_file(environment: tuple[tuple[str, Secret], ...]) -> Secret:
    """Return the variables as docker reads them from a file, without showing one.

    A lock that is not granted must end the downgrade: while it waits, every reader queues behind it.
    """
    text = Secret("")
    options = "-c lock_timeout=10s -c statement_timeout=0"
    own = dict(environment).get("PGOPTIONS", Secret("")).map(lambda given: f"{given} {options}".strip())
    for name, value in (*(pair for pair in environment if pair[0] != "PGOPTIONS"), ("PGOPTIONS", own)):
        if not value.has_line_break:
            text = text.join(value, between=f"{name}=")
    return text


_URL = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*/)(?P<name>[^/?#]+)(?P<tail>[?#].*)?\Z", re.DOTALL)

_HOLDS_DATABASE = re.compile(r"DB|DATABASE")
# A role, a host or a schema often has the same name as the database.
_HOLDS_OTHER = re.compile(r"USER|PASS|HOST|PORT|ROLE|OWNER|LOGIN|SCHEMA")


def pointed_at(environment: tuple[tuple[str, Secret], ...], *, live: str, other: str) -> tuple[tuple[str, Secret], ...]:
    """Return the variables with every mention of the database ``live`` turned into ``other``.

    Urls whose path is the database, libpq strings (``dbname=``), and variables that hold just its name and are
    called after a database. That nothing was missed is proven by ``steps.rehearse_downgrade``, not assumed.
    """

    def change(name: str, value: str) -> str:
        url = _URL.match(value)
        if url and unquote(url["name"]) == live:
            return f"{url['head']}{quote(other, safe='')}{url['tail'] or ''}"
        word = re.compile(rf"(?<!\S)dbname=(?P<mark>'?){re.escape(live)}(?P=mark)(?!\S)")
        if word.search(value):
            return word.sub(lambda found: f"dbname={found['mark']}{other}{found['mark']}", value)
        is_name = _HOLDS_DATABASE.search(name.upper()) and not _HOLDS_OTHER.search(name.upper())
        return other if value == live and is_name else value

    return tuple((name, value.map(partial(change, name))) for name, value in environment)


# A password may hold unescaped slashes (SQLAlchemy takes all up to the `@`), so only `@` and blanks end it.
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#@:]*:(?P<word>[^@\s]*)@")
_WORD = re.compile(r"(?<!\S)password=(?P<word>'(?:[^'\\]|\\.)*'|\S+)")


def secret_parts(environment: tuple[tuple[str, Secret], ...]) -> tuple[Secret, ...]:
    """Return what must never be shown: values of variables that are called after a secret, and the passwords of
    urls and libpq strings as they stand there and decoded."""
    found = []
    for name, value in environment:
        if re.search(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN", name.upper()):
            found.append(value)
        word = value.map(_password)
        found += [word, word.map(unquote)]
    return tuple(dict.fromkeys(secret for secret in found if secret != Secret("")))


def _password(value: str) -> str:
    found = _PASSWORD.match(value) or _WORD.search(value)
    return found["word"].strip("'") if found else ""
