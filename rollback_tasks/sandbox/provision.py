"""What a fresh host gets: keys, the base image, the origin, a checkout and the database. Safe to repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rollback_tasks.sandbox import history
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.files import HostFile, archive
from rollback_tasks.sandbox.fleet import Node
from rollback_tasks.sandbox.project import COMICPILE, PUBLISHED, PUBLISHED_FILE, Project, dotenv
from rollback_tasks.sandbox.status import Role
from rollback_tasks.shell import Effect

COMPOSE = """\
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  compose() { docker-compose "$@"; }
fi
"""

# $1 hash of the history
_ORIGIN = """\
set -e
cd /srv/origin.git
[ "$(cat sandbox-history 2>/dev/null)" != "$1" ] || exit 0
git init --quiet --bare --initial-branch main .
git fast-import --quiet --done --force </srv/history
printf '%s\\n' "$1" >sandbox-history
"""

# $1 folder of the checkout
_CHECKOUT = """\
set -e
cd -- "$1"
if [ ! -e .git ]; then
  git init --quiet --initial-branch main .
  echo /docker-compose.override.yml >>.git/info/exclude  # of this host alone
  git remote add origin /srv/origin.git
  git fetch --quiet --tags origin
  git checkout --quiet -B main --track origin/main
fi
"""

# The first start makes the cluster behind a local socket only: a TCP answer means that it is ready.
# $1 folder of the checkout, $2 compose project
DATABASE = (
    COMPOSE
    + """\
set -e
cd -- "$1"
find_db() {
  docker ps --quiet --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.service=db
}
db=$(find_db "$2")
if [ -z "$db" ]; then
  compose build --quiet db >&2  # else compose would look for the image in a registry first
  compose up -d db >&2
  db=$(find_db "$2")
fi
until docker exec "$db" pg_isready -q -h 127.0.0.1 -U comicpile -d comicpile; do sleep 0.1; done
"""
)

# A container that only exists keeps its image from the prune.
_WIPE = """\
set -e
pkill -KILL -u deploy || true
docker ps --all --quiet | xargs -r docker rm --force --volumes
# A container whose removal has begun is no longer listed, and still holds its volume for a moment.
tries=0
until docker volume ls --quiet | xargs -r docker volume rm; do
  tries=$((tries + 1))
  [ "$tries" -lt 100 ] || exit 1
  sleep 0.2
done
docker network prune --force
keeper=$(docker create comicpile-base true)
docker image prune --all --force
docker rm "$keeper"
find /srv /home/deploy /tmp -mindepth 1 -maxdepth 1 ! -name .ssh -exec rm -rf {} +
install -d -m 0700 -o deploy -g deploy /srv/origin.git /srv/comicpile
"""

# $1 base image as a tar file, $2 origin script, $3 its hash, $4 checkout script, $5 folder, $6 database script,
# $7 compose project; then for each host: its container, what it runs
_PROVISION = """\
base=$1 origin=$2 hash=$3 checkout=$4 folder=$5 database=$6 project=$7 jobs=
shift 7
deploy() {
  container=$1
  shift
  docker exec --user deploy --env HOME=/home/deploy "$container" sh -c "$@"
}
provision() {
  docker exec "$1" sh -c 'until docker version >/dev/null 2>&1; do sleep 0.1; done' || return
  if ! docker exec "$1" docker image inspect comicpile-base >/dev/null 2>&1; then
    docker exec --interactive "$1" docker import - comicpile-base <"$base" >/dev/null || return
  fi
  deploy "$1" "$origin" sandbox "$hash" || return
  deploy "$1" "$checkout" sandbox "$folder" || return
  case $2 in *db*) deploy "$1" "$database" sandbox "$folder" "$project" ;; esac
}
while [ "$#" -gt 0 ]; do
  provision "$1" "$2" </dev/null & jobs="$jobs $!"
  shift 2
done
for job in $jobs; do wait "$job" || exit 1; done
"""

# Says that a host lets in whom it should, by the key that it should have. $1 state folder, then addresses
_PROVE_SSH = """\
cd -- "$1" || exit 1
shift
prove() {
  until message=$(ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=5 -o IdentitiesOnly=yes \\
    -o UserKnownHostsFile=known_hosts -o StrictHostKeyChecking=yes -i id_ed25519 "deploy@$1" true 2>&1)
  do
    tries=$((${tries:-0} + 1))
    if [ "$tries" -ge 100 ]; then printf '%s: %s\\n' "$1" "$message" >&2; return 1; fi
    sleep 0.1
  done
}
jobs=
for address in "$@"; do prove "$address" </dev/null & jobs="$jobs $!"; done
for job in $jobs; do wait "$job" || exit 1; done
"""


def put_files(
    engine: Engine,
    node: Node,
    *,
    password: str,
    database: str,
    host_key: bytes,
    public_host_key: bytes,
    identity: bytes,
) -> None:
    """Give a host its key, its project's ``.env`` and the history; let the sandbox's identity in. sshd starts as
    soon as it has its key.

    :param password: of the database.
    :param database: name or address that the application finds it at.
    :param identity: public key.
    """
    files = [
        HostFile(path="/home/deploy/.ssh/authorized_keys", content=identity, owner=1000),
        HostFile(path="/etc/ssh/ssh_host_ed25519_key.pub", content=public_host_key, mode=0o644),
        HostFile(path="/etc/ssh/ssh_host_ed25519_key", content=host_key),
        HostFile(path="/srv/history", content=history.stream(), mode=0o644),
        _dotenv(COMICPILE, password, database=database),
    ]
    if node.role is Role.DATABASE:
        path = f"{COMICPILE.directory}/{PUBLISHED_FILE}"
        files.append(HostFile(path=path, content=PUBLISHED.encode(), owner=1000, mode=0o644))
    _put(engine, node, files)


def add_project(engine: Engine, node: Node, project: Project, *, password: str) -> None:
    """Make another checkout and bring its database up.

    :param password: of the database.
    """
    make = ("exec", node.container, "install", "-d", "-o", "deploy", "-g", "deploy", "--", project.directory)
    engine.docker(*make, effect=Effect.WRITE)
    _put(engine, node, (_dotenv(project, password),))
    who = ("exec", "--user", "deploy", "--env", "HOME=/home/deploy", node.container)
    for body in (_CHECKOUT, DATABASE):
        engine.docker(
            *who, "sh", "-c", body, "sandbox", project.directory, project.name, effect=Effect.WRITE, timeout=120.0
        )


def _dotenv(project: Project, password: str, *, database: str = "db") -> HostFile:
    content = dotenv(project, password, database=database).encode()
    return HostFile(path=f"{project.directory}/.env", content=content, owner=1000)


def _put(engine: Engine, node: Node, files: Sequence[HostFile]) -> None:
    words = ("exec", "--interactive", node.container, "tar", "-x", "-C", "/")
    engine.docker(*words, effect=Effect.WRITE, stdin=archive(files))


def wipe(engine: Engine, node: Node) -> None:
    """Take a host back to what it was before anything was put into it; only the base image stays."""
    engine.docker("exec", node.container, "sh", "-c", _WIPE, effect=Effect.DESTROY, timeout=120.0)


def provision(engine: Engine, nodes: Sequence[Node], *, base_tar: str) -> None:
    """Give every host what it still lacks, all hosts at once.

    :param base_tar: root file system of the application's base image.
    """
    digest = hashlib.sha256(history.stream()).hexdigest()
    engine.script(
        *(_PROVISION, base_tar, _ORIGIN, digest, _CHECKOUT, COMICPILE.directory, DATABASE, COMICPILE.name),
        *(word for node in nodes for word in (node.container, node.role)),
        effect=Effect.WRITE,
        timeout=600.0,
    )


def prove_ssh(engine: Engine, nodes: Sequence[Node], *, state: Path) -> None:
    """Wait until every host lets ``deploy`` in by strict host key.

    :raises CommandFailed: one does not, with ssh's own words.
    """
    engine.script(_PROVE_SSH, str(state), *(node.address for node in nodes), effect=Effect.READ, timeout=120.0)
