"""docker compose, both generations: what it would start, and starting it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, Secret, script

# A variable and no flag: docker-compose before 1.28 knows neither, and only the flag would disturb it.
EVERY_PROFILE = (("COMPOSE_PROFILES", "*"),)

# The files of a commit go to a private folder for the time of the question, `.env` too where the commit has it. A file
# that git does not track stays what it is when the commit is checked out. Services of every profile are told: naming
# one starts it, whatever profiles are asked for.
_RESOLVE = """\
project=$1 folder=$2 commit=$3 variables=$4 count=$5
shift 5
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
umask 077
while [ "$count" -gt 0 ]; do
  file=$1
  shift
  count=$((count - 1))
  if [ -n "$commit" ]; then
    if git cat-file -e "$commit:./$file" 2>/dev/null; then
      mkdir -p "$place/$(dirname -- "$file")" && git cat-file blob "$commit:./$file" >"$place/$file" || exit 1
      file=$place/$file
    elif [ ! -f "$file" ] || git ls-files --error-unmatch -- "$file" >/dev/null 2>&1; then
      echo "the commit has no file $file" >&2
      exit 4
    fi
  fi
  set -- "$@" -f "$file"
done
if [ -n "$commit" ] && [ -n "$variables" ]; then
  if git cat-file -e "$commit:./$variables" 2>/dev/null; then
    git cat-file blob "$commit:./$variables" >"$place/.env" || exit 1
    set -- "$@" --env-file "$place/.env"
  elif git ls-files --error-unmatch -- "$variables" >/dev/null 2>&1; then
    : >"$place/.env"
    set -- "$@" --env-file "$place/.env"
  fi
fi
"$@" --project-directory "$folder" -p "$project" config
"""


def config(project: Project, commit: str = "", *, keeps_variables: bool = False) -> Command:
    """Return the command that prints the resolved compose file (YAML) of ``commit``, or of the work tree.

    :param keeps_variables: ``.env`` stays what it is now: only the compose files are those of the commit.

    Exit code 4 where the commit lacks a file, others where compose refuses the file.
    """
    # Where compose itself takes relative paths and `.env` from: the folder of the first file.
    beside = posixpath.dirname(project.files[0])
    return script(
        _RESOLVE,
        project.name,
        posixpath.join(project.folder, beside).rstrip("/"),
        commit,
        "" if keeps_variables else posixpath.join(beside, ".env"),
        str(len(project.files)),
        *project.files,
        *project.compose,
        effect=Effect.READ,
        cwd=project.folder,
        env=EVERY_PROFILE,
        timeout=60,
        ok_codes=frozenset(range(124)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of a resolved compose file.

    :param image: the reference that compose would start.
    :param build: context, dockerfile, target and args where it is built; empty otherwise.
    :param container_name: fixed by the file; empty otherwise.
    :param is_pulled: compose would ask the registry even where the image is on the host (``pull_policy``).
    :param replicas: containers that compose makes of it.
    :param environment: variables as the file says them; every value may be a password.
    :param ports: of the host that it takes for itself; a range or an arbitrary port is none.
    :param listens: port that the file says that it listens on inside (``expose``); None where it says none.
    :param is_one_shot: another service waits for it to end well (``service_completed_successfully``).
    :param network_mode: ``host``, ``none``, ``service:NAME``...; empty for networks of its own.
    :param restart: its restart policy; ``no`` where the file names none.
    :param is_optional: compose starts it only where one of its profiles is asked for.
    """

    image: str
    build: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    container_name: str = ""
    is_pulled: bool = False
    replicas: int = 1
    environment: Mapping[str, Secret] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    network_mode: str = ""
    is_one_shot: bool = False
    restart: str = "no"
    is_optional: bool = False
    listens: int | None = None


def read_config(text: str, project: Project) -> dict[str, Service]:
    """Given a resolved compose file, return its services. Raise MalformedAnswer where it is no YAML mapping."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Only what is wrong: the error's own text quotes the file, which may hold a password.
        problem = str(getattr(error, "problem", ""))
        raise MalformedAnswer("compose printed no readable configuration", details=problem) from error
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict):
        raise MalformedAnswer("compose printed a configuration without services")
    awaited = {name for body in services.values() if isinstance(body, dict) for name in _awaited(body)}
    separator = "-" if project.compose == ("docker", "compose") else "_"
    return {
        str(name): Service(
            image=str(body.get("image") or f"{project.name}{separator}{name}"),
            build=_build(body.get("build")),
            command=" ".join(_listed(body.get("entrypoint")) + _listed(body.get("command"))),
            container_name=str(body.get("container_name") or ""),
            is_pulled=str(body.get("pull_policy") or "missing") not in _LOCAL,
            replicas=_replicas(body, is_plugin=separator == "-"),
            environment=_environment(body.get("environment")),
            ports=tuple(_fixed_ports(body.get("ports"))),
            network_mode=str(body.get("network_mode") or ""),
            is_one_shot=str(name) in awaited,
            restart=str(body.get("restart") or "no"),
            is_optional=bool(body.get("profiles")),
            listens=next((int(port) for port in _listed(body.get("expose")) if port.isdigit()), None),
        )
        for name, body in services.items()
        if isinstance(body, dict)
    }


# The compose specification, "pull_policy": these never replace an image that is there.
_LOCAL = frozenset(("never", "missing", "if_not_present", "build"))


def _build(said: object) -> Mapping[str, Any]:
    if isinstance(said, str):
        return {"context": said}
    return dict(said) if isinstance(said, dict) else {}


def _replicas(body: Mapping[str, Any], *, is_plugin: bool) -> int:
    """Return how many containers compose makes; docker-compose takes no notice of ``deploy``."""
    deploy = body.get("deploy")
    said = body.get("scale")
    if said is None and is_plugin and isinstance(deploy, dict):
        said = deploy.get("replicas")
    return said if isinstance(said, int) else 1


def _awaited(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the services whose good end a service waits for."""
    said = body.get("depends_on")
    for name, how in said.items() if isinstance(said, dict) else ():
        if isinstance(how, dict) and how.get("condition") == "service_completed_successfully":
            yield str(name)


def _environment(said: object) -> dict[str, Secret]:
    """Return the variables; a resolved compose file writes every ``$`` of a value twice."""
    if isinstance(said, list):
        said = dict(str(entry).partition("=")[::2] for entry in said)
    if not isinstance(said, dict):
        return {}
    texts = {str(name): value for name, value in said.items() if value is not None}
    return {name: Secret(_scalar(value).replace("$$", "$")) for name, value in texts.items()}


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fixed_ports(said: object) -> Iterator[str]:
    """Yield the host's ports that only one container can have at a time."""
    for entry in said if isinstance(said, list) else ():
        if isinstance(entry, dict):
            published = str(entry.get("published") or "")
        else:
            published = str(entry).rpartition(":")[0].rpartition(":")[2]
        if published not in ("", "0") and "-" not in published:
            yield published


def _listed(said: object) -> list[str]:
    if isinstance(said, str):
        return [said]
    return [str(word) for word in said] if isinstance(said, list) else []


# A pull would move the name from the image that is gone back to.
NO_PULL = ("--pull", "never")


def up(
    project: Project,
    services: Sequence[str],
    *,
    is_pulled: bool = False,
    scale: Mapping[str, int] | None = None,
    is_anew: bool = True,
) -> Command:
    """Return the command that recreates services from the images that are there, without building.

    :param is_anew: False leaves containers that already are what the file says.
    :param is_pulled: the file asks for a pull, which is held back. Not every compose knows how, so only then.
    :param scale: service to its number of containers, where that is not the file's.
    """
    held = NO_PULL if is_pulled else ()
    scaled = [word for service, count in sorted((scale or {}).items()) for word in ("--scale", f"{service}={count}")]
    forced = ("--force-recreate",) if is_anew else ()
    words = ("up", "-d", "--no-deps", "--no-build", *forced, *held, *scaled, *services)
    return Command(
        argv=project.compose_words(*words),
        effect=Effect.WRITE,
        cwd=project.folder,
        timeout=300,
    )
