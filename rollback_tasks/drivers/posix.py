"""What any host can say of itself: tools, room, time."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import Tools
from rollback_tasks.shell import Command, Effect, script

# Free space is asked where the folder lies, or where its first existing parent does.
_SURVEY = """\
say() { printf '%s=%s\\n' "$1" "$2"; }
say now "$(date +%s)"
say git "$(git --version 2>/dev/null)"
say docker "$(docker version --format '{{.Server.Version}}' 2>/dev/null)"
say docker_client "$(command -v docker)"
say plugin "$(docker compose version --short 2>/dev/null)"
say standalone "$(docker-compose version --short 2>/dev/null)"
say bash "$(command -v bash)"
say folder "$([ -d "$1" ] && echo yes)"
say checkout "$([ -d "$1" ] && git -C "$1" rev-parse --show-toplevel 2>/dev/null)"
say checkout_problem "$(git -C "$1" rev-parse --show-toplevel 2>&1 >/dev/null | head -n 1)"
say env_project "$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$3/.env" 2>/dev/null | tail -n 1)"
say writable "$([ -w "$1" ] && echo yes)"
ours='(/|\\*\\*/)?(\\.rollback/?(\\*\\*?)?|\\.\\*|\\*\\*?)[[:space:]]*'
say in_builds "$(grep -qxE "$ours" "$1/.dockerignore" 2>/dev/null || echo yes)"
free() {
  place=$2
  while [ ! -e "$place" ] && [ "$place" != / ]; do place=$(dirname -- "$place"); done
  say "$1_kib" "$(df -Pk -- "$place" 2>/dev/null | awk 'NR==2 {print $4}')"
  say "$1_disk" "$(stat -c %d -- "$place" 2>/dev/null)"
}
free backup "$2"
about=$(docker info --format '{{.ID}} {{.DockerRootDir}}' 2>/dev/null)
say engine "${about%% *}"
free docker "${about#* }"
shift 3
named=$(sed -n 's/^name:[[:space:]]*//p' "$@" </dev/null 2>/dev/null | tail -n 1)
case $named in *'$'*) ;; *) say file_project "${named%% #*}" ;; esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Answer of ``survey``. Sizes in bytes, and two disks that are called alike are one; ``problem`` says what a
    rollback would miss; ``env_project`` is the compose project that ``.env`` names, or else the compose files;
    ``engine`` is the Docker engine's own id; ``is_in_builds``: a ``.dockerignore`` in the folder does not keep the
    tool's own files out of an image."""

    tools: Tools
    now: float
    backup_free_bytes: int
    docker_free_bytes: int
    backup_disk: str = ""
    docker_disk: str = ""
    engine: str = ""
    env_project: str = ""
    problem: str = ""
    is_in_builds: bool = False


def survey(folder: str, backup_folder: str, files: Sequence[str] = ()) -> Command:
    """Return the command that tells which tools the host has, how much room, and its clock.

    :param files: the compose files, relative to ``folder``; `.env` lies beside the first.
    """
    paths = [posixpath.join(folder, file) for file in files]
    beside = posixpath.dirname(paths[0]) if paths else folder
    return script(_SURVEY, folder, backup_folder, beside, *paths, effect=Effect.READ, timeout=60)


def read_survey(text: str) -> Survey:
    """Given the answer of ``survey``, return it as values. Raise MalformedAnswer where it has no clock."""
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not said.get("now", "").isdigit():
        raise MalformedAnswer("the host did not answer the survey", details=text[:500])
    if said.get("plugin"):
        compose: tuple[str, ...] = ("docker", "compose")
        version = said["plugin"]
    elif said.get("standalone"):
        compose, version = ("docker-compose",), said["standalone"]
    else:
        compose, version = (), ""
    tools = Tools(
        git=said.get("git", "").removeprefix("git version "),
        docker=said.get("docker", ""),
        compose=compose,
        compose_version=version.removeprefix("v"),
        has_bash=bool(said.get("bash")),
    )
    return Survey(
        tools=tools,
        now=float(said["now"]),
        backup_free_bytes=_kib(said.get("backup_kib", "")),
        docker_free_bytes=_kib(said.get("docker_kib", "")),
        backup_disk=said.get("backup_disk", ""),
        docker_disk=said.get("docker_disk", ""),
        engine=said.get("engine", ""),
        env_project=(said.get("env_project") or said.get("file_project", "")).strip().strip("'\""),
        problem=_missing(said, tools),
        is_in_builds=bool(said.get("in_builds")),
    )


def _missing(said: dict[str, str], tools: Tools) -> str:
    """Say the first thing without which no rollback can work; empty where nothing is missing."""
    if not tools.git:
        return "git is not installed on the host"
    if not said.get("docker_client"):
        return "docker is not installed on the host"
    if not tools.docker:
        return "the Docker engine does not answer this user (is it running, is the user in the docker group?)"
    if not tools.compose:
        return "neither `docker compose` nor `docker-compose` works on the host"
    if not said.get("folder"):
        return "project_dir does not exist on the host"
    if not said.get("checkout"):
        # It may be one that belongs to somebody else, which git refuses to touch ("dubious ownership").
        why = said.get("checkout_problem", "")
        return "project_dir is not a git checkout" + (f" for this user: {why[:200]}" if why else "")
    if not said.get("writable"):
        return "project_dir is not writable for this user"
    return ""


def _kib(text: str) -> int:
    return int(text) * 1024 if text.isdigit() else 0
