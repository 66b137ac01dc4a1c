"""Deploys as a team does them by hand: check out a tag, build, migrate, start."""

from __future__ import annotations

from rollback_tasks.errors import UsageError
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.fleet import Node
from rollback_tasks.sandbox.history import RELEASES, Behaviour
from rollback_tasks.sandbox.project import Project
from rollback_tasks.sandbox.provision import COMPOSE, DATABASE
from rollback_tasks.sandbox.status import Role
from rollback_tasks.shell import Effect

_CHECK_OUT = (
    COMPOSE
    + """\
set -e
cd -- "$1"
git fetch --quiet --tags --force origin
git checkout --quiet --force -B main "refs/tags/$2^{commit}"
"""
)

# $1 folder of the checkout, $2 tag, $3 script that brings the database up, $4 compose project
_DEPLOY = (
    _CHECK_OUT
    + """\
compose build --quiet
sh -c "$3" sandbox "$1" "$4"
compose run --rm -T app alembic upgrade head
db=$(docker ps --quiet --filter "label=com.docker.compose.project=$4" --filter label=com.docker.compose.service=db)
if [ "$(docker exec "$db" psql -XAt -U comicpile -d comicpile -c 'SELECT EXISTS (SELECT FROM users)')" = f ]; then
  compose run --rm -T app python3 -m app.seed
fi
compose up -d --remove-orphans
"""
)

# With the database on another host, of which nothing but its address is known here. $1 folder of the checkout, $2 tag
_DEPLOY_APP = (
    _CHECK_OUT
    + """\
compose build --quiet app
compose run --rm -T --no-deps app sh -c 'alembic upgrade head && exec python3 -m app.seed'
compose up -d --no-deps app
"""
)

# $1 health URL, $2 status that the release answers with, $3 tag
_AWAIT_ANSWER = """\
body=$(mktemp)
trap 'rm -f "$body"' EXIT
until [ "$(curl -s -m 5 -o "$body" -w '%{http_code}' "$1")" = "$2" ] && grep -qF "\\"release\\":\\"$3\\"" "$body"; do
  sleep 0.1
done
"""

# $1 compose project
_AWAIT_CRASH = """\
app=$(docker ps --all --quiet --filter label=com.docker.compose.service=app \\
  --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False)
until [ "$(docker inspect --format '{{.RestartCount}}' "$app")" -gt 0 ]; do sleep 0.1; done
"""

_STATUS = {
    Behaviour.GOOD: "200",
    Behaviour.SLOW: "200",
    Behaviour.FAILING: "500",
    Behaviour.NEVER_READY: "503",
}

# $1 compose project
_RUNNING = """\
app=$(docker ps --all --quiet --filter label=com.docker.compose.service=app \\
  --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False)
[ -n "$app" ] || exit 0
docker inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' $app
"""


def deploy(engine: Engine, node: Node, release: str, *, project: Project, wait: bool) -> None:
    """Deploy a release. With ``wait``, return when it shows how it behaves: good ones are healthy then.

    :raises UsageError: there is no such release, or the host runs no application.
    :raises CommandFailed: checkout, build, migration or start failed.
    :raises CommandTimedOut: with ``wait``, it does not behave as it should.
    """
    if release not in RELEASES:
        raise UsageError(
            f"no release {release!r}; there are {', '.join(RELEASES)}",
            hint="Type: inv sandbox.deploy --host prod1 --release v6",
        )
    match node.role:
        case Role.DATABASE:
            raise UsageError(
                f"{node.name} runs only the database, so nothing is deployed there",
                hint=f"Type: inv sandbox.deploy --host prod --release {release}",
            )
        case Role.APP:
            _as_deploy(engine, node, _DEPLOY_APP, project.directory, release, timeout=300.0)
        case Role.WHOLE:
            _as_deploy(engine, node, _DEPLOY, project.directory, release, DATABASE, project.name, timeout=300.0)
    if wait:
        behaviour = RELEASES[release].behaviour
        if behaviour is Behaviour.CRASHING:
            _as_deploy(engine, node, _AWAIT_CRASH, project.name, timeout=60.0)
        else:
            _as_deploy(engine, node, _AWAIT_ANSWER, project.health_url, _STATUS[behaviour], release, timeout=60.0)


def running_release(engine: Engine, node: Node, *, project: Project) -> str | None:
    """Return the tag that the application's container was made from; None where there is none."""
    words = ("exec", node.container, "sh", "-c", _RUNNING, "sandbox", project.name)
    return engine.docker(*words, effect=Effect.READ).text.strip() or None


def _as_deploy(engine: Engine, node: Node, body: str, *args: str, timeout: float) -> None:
    who = ("exec", "--user", "deploy", "--env", "HOME=/home/deploy", node.container)
    limit = ("timeout", "-k", "10", str(round(timeout)))
    engine.docker(*who, *limit, "sh", "-c", body, "sandbox", *args, effect=Effect.WRITE, timeout=timeout + 15)
