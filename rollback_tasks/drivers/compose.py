"""docker compose, both generations: what it would start, starting it, putting back what ran."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import Container
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# The files of a commit go to a private folder for the time of the question; `.env` is that of the project. A file that
# git does not track stays what it is when the commit is checked out.
_RESOLVE = """\
project=$1 folder=$2 commit=$3 count=$4
shift 4
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
"$@" --project-directory "$folder" -p "$project" config
"""


def config(project: Project, commit: str = "") -> Command:
    """Return the command that prints the resolved compose file (YAML) of ``commit``, or of the work tree.

    Exit code 4 where the commit lacks a file, others where compose refuses the file.
    """
    return script(
        _RESOLVE,
        project.name,
        # Where compose itself takes relative paths and `.env` from: the folder of the first file.
        posixpath.join(project.folder, posixpath.dirname(project.files[0])).rstrip("/"),
        commit,
        str(len(project.files)),
        *project.files,
        *project.compose,
        effect=Effect.READ,
        cwd=project.folder,
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
    """

    image: str
    build: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    container_name: str = ""
    is_pulled: bool = False


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
    separator = "-" if project.compose == ("docker", "compose") else "_"
    return {
        str(name): Service(
            image=str(body.get("image") or f"{project.name}{separator}{name}"),
            build=_build(body.get("build")),
            command=" ".join(_listed(body.get("entrypoint")) + _listed(body.get("command"))),
            container_name=str(body.get("container_name") or ""),
            is_pulled=str(body.get("pull_policy") or "missing") not in _LOCAL,
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


def _listed(said: object) -> list[str]:
    if isinstance(said, str):
        return [said]
    return [str(word) for word in said] if isinstance(said, list) else []


# A pull would move the name from the image that is gone back to.
_NO_PULL = ("--pull", "never")


def up(project: Project, services: Sequence[str], *, is_pulled: bool = False) -> Command:
    """Return the command that recreates services from the images that are there, without building.

    :param is_pulled: the file asks for a pull, which is held back. Not every compose knows how, so only then.
    """
    held = _NO_PULL if is_pulled else ()
    return Command(
        argv=project.compose_words("up", "-d", "--no-deps", "--no-build", "--force-recreate", *held, *services),
        effect=Effect.WRITE,
        cwd=project.folder,
        timeout=300,
    )


# The very containers come back where they still are; else compose makes them anew from the restored files and tags,
# and starts only what ran.
_REVIVE = """\
project=$1 folder=$2 held=$3 count=$4
shift 4
ran= slept=
while [ "$count" -gt 0 ]; do
  service=$1 id=$2 running=$3
  shift 3
  count=$((count - 1))
  docker version >/dev/null || exit 1
  if docker inspect --type container "$id" >/dev/null 2>&1; then
    if [ "$running" = yes ]; then docker start "$id" >/dev/null || exit 1; fi
  elif [ "$running" = yes ]; then
    case " $ran " in *" $service "*) ;; *) ran="$ran $service" ;; esac
  else
    case " $slept " in *" $service "*) ;; *) slept="$slept $service" ;; esac
  fi
done
cd -- "$folder" || exit 1
[ -z "$slept" ] || "$@" up --no-start --no-deps --no-build --force-recreate $held $slept || exit 1
[ -z "$ran" ] || "$@" up -d --no-deps --no-build --force-recreate $held $ran
"""


def revive(project: Project, old: Sequence[Container], *, is_pulled: bool = False) -> Command:
    """Return the command that gives the services the containers that they had. Safe at any time and twice.

    :param is_pulled: as in ``up``.
    """
    words = [word for c in old for word in (c.service, c.id, "yes" if c.state in ("running", "restarting") else "no")]
    return script(
        _REVIVE,
        project.name,
        project.folder,
        " ".join(_NO_PULL) if is_pulled else "",
        str(len(old)),
        *words,
        *project.compose_words(),
        effect=Effect.WRITE,
        timeout=300,
    )
