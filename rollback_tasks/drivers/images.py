"""Docker images: addressed by id, pinned by a tag so that a prune cannot take them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.shell import Command, Effect, Secret, script


def listing() -> Command:
    """Return the command that prints id and name of every image, untagged ones included."""
    return Command(
        argv=(
            "docker",
            "image",
            "ls",
            "--all",  # newer clients leave out what has no name, older ones what another image was built upon
            "--no-trunc",
            "--format",
            "{{.ID}} {{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}",
        ),
        effect=Effect.READ,
        timeout=60,
    )


def read_listing(text: str) -> dict[str, str]:
    """Given the answer of ``listing``, return name to id, with every id standing for itself too."""
    found = {}
    for line in text.splitlines():
        image, *names = line.split(" ")
        if not image.startswith("sha256:"):
            raise MalformedAnswer("docker listed an image in an unknown form", details=line[:200])
        found[image] = image
        found |= {name: image for name in names if "<none>" not in name}
    return found


def find(images: Mapping[str, str], reference: str) -> str | None:
    """Return the image id that ``reference`` means among the listed ``images``; None where it means none.

    A name without a tag means ``latest``, one without a registry means Docker Hub (docker's rules).
    """
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"):
        if reference.startswith(prefix):
            reference = reference.removeprefix(prefix)
            break
    if is_fixed(reference):  # the digest decides; a tag before it is decoration
        name, _, digest = reference.partition("@")
        head, slash, tail = name.rpartition("/")
        reference = f"{head}{slash}{tail.partition(':')[0]}@{digest}"
    if reference in images:
        return images[reference]
    has_tag = ":" in reference.rpartition("/")[2] or "@" in reference
    return None if has_tag else images.get(f"{reference}:latest")


def is_fixed(reference: str) -> bool:
    """True where the reference names a digest: it can mean one image only, and docker refuses to tag it."""
    return "@" in reference


def pin_name(project: str, service: str, key: str) -> str:
    """Return the tag that keeps an image from a prune.

    :param key: image id (``sha256:...``) or commit; its first 12 hex digits stand in the tag.
    """
    digits = key.rpartition(":")[2][:12]
    prefix = "" if key.startswith("sha256:") else "commit-"
    part = re.sub(r"[^a-z0-9]+", "-", f"{project}-{service}".lower()).strip("-")
    return f"rollback-keep/{part}:{prefix}{digits}"


def pull(reference: str, name: str) -> Command:
    """Return the command that fetches an image and calls it ``name`` as well."""
    body = 'docker pull -q "$1" >/dev/null && docker tag "$1" "$2"'
    return script(body, reference, name, effect=Effect.WRITE, timeout=1800)


_TAG = """\
while [ "$#" -gt 0 ]; do
  docker tag "$1" "$2" || exit 1
  shift 2
done
"""


def tag(names: Mapping[str, str]) -> Command:
    """Return the command that makes each key of ``names`` a name of the image that its value names."""
    words = [word for name, image in sorted(names.items()) for word in (image, name)]
    return script(_TAG, *words, effect=Effect.WRITE, timeout=60)


# Only the name goes, and only while another name (the pin) keeps the image.
_RETAG = """\
pairs=$1
shift
while [ "$pairs" -gt 0 ]; do
  docker tag "$1" "$2" || exit 1
  shift 2
  pairs=$((pairs - 1))
done
for name in "$@"; do
  names=$(docker image inspect --format '{{len .RepoTags}}' "$name" 2>/dev/null) || continue
  [ "$names" -gt 1 ] || continue
  docker rmi --no-prune "$name" >/dev/null || exit 1
done
"""


def retag(names: Mapping[str, str], absent: Collection[str]) -> Command:
    """Return the command that does as ``tag``, and takes the names ``absent`` away from their images."""
    words = [word for name, image in sorted(names.items()) for word in (image, name)]
    return script(_RETAG, str(len(names)), *words, *sorted(absent), effect=Effect.WRITE, timeout=60)


_MEANS = """\
while [ "$#" -gt 0 ]; do
  have=$(docker image inspect --format '{{.Id}}' "$1" 2>/dev/null) || { echo "$1 is not on the host" >&2; exit 1; }
  want=$(docker image inspect --format '{{.Id}}' "$2" 2>/dev/null) || { echo "$2 is not on the host" >&2; exit 1; }
  [ "$have" = "$want" ] || { echo "$1 is $have, not $want" >&2; exit 1; }
  shift 2
done
"""


def mean(names: Mapping[str, str]) -> Command:
    """Return the check that each key of ``names`` is the image that its value names; both must exist."""
    words = [word for name, image in sorted(names.items()) for word in (name, image)]
    return script(_MEANS, *words, effect=Effect.READ, timeout=60)


def build_problem(build: Mapping[str, Any], folder: str) -> str:
    """Return why a service cannot be built out of another checkout than ``folder``; empty where it can."""
    context = str(build.get("context") or ".")
    for path in (context, str(PurePosixPath(context) / str(build.get("dockerfile") or "Dockerfile"))):
        if "://" in path or not _is_below(path, folder):
            return f"its build reads {path}, which is no part of the checkout"
    if build.get("dockerfile_inline"):
        return "its Dockerfile stands in the compose file"
    for key, value in _arguments(build.get("args")).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or "\n" in value:
            return f"its build argument {key!r} holds a line break or is no name of a variable"
    return ""


def _is_below(path: str, folder: str) -> bool:
    place = PurePosixPath(posixpath.normpath(PurePosixPath(folder) / path))
    return place.is_relative_to(folder)


def build(build: Mapping[str, Any], *, folder: str, tree: str, name: str) -> Command:
    """Return the command that builds a service's image out of ``tree`` under ``name``.

    :param build: the ``build`` part of the resolved compose file, whose paths lie below ``folder``
        (``build_problem`` says so).
    :param tree: the checkout of the target commit, as it stands for ``folder``.
    Build arguments travel in the environment: one of them may be a token.
    """
    context = PurePosixPath(str(build.get("context") or "."))
    dockerfile = context / str(build.get("dockerfile") or "Dockerfile")
    words = ["docker", "build", "-t", name, "-f", _moved(dockerfile, folder, tree)]
    arguments = _arguments(build.get("args"))
    for key in arguments:
        words += ["--build-arg", key]
    if build.get("target"):
        words += ["--target", str(build["target"])]
    if build.get("network"):
        words += ["--network", str(build["network"])]
    return Command(
        argv=(*words, _moved(context, folder, tree)),
        effect=Effect.WRITE,
        cwd=tree,
        secret_env=tuple((key, Secret(value)) for key, value in arguments.items()),
        timeout=1800,
    )


def _moved(path: PurePosixPath, folder: str, tree: str) -> str:
    """Return ``path`` as it lies below ``tree`` where it was meant below ``folder``."""
    place = posixpath.normpath(PurePosixPath(folder) / path)
    return posixpath.join(tree, posixpath.relpath(place, folder)).removesuffix("/.")


def _arguments(said: object) -> dict[str, str]:
    """Return the build arguments; a resolved compose file writes every ``$`` of a value twice."""
    if isinstance(said, dict):
        pairs = {str(key): "" if value is None else str(value) for key, value in said.items()}
    elif isinstance(said, list):
        pairs = {key: value for key, _, value in (str(entry).partition("=") for entry in said)}
    else:
        return {}
    return {key: value.replace("$$", "$") for key, value in pairs.items()}


# An image that runs, or that a container was made from, is never taken: docker refuses it, and so does this.
_UNPIN = """\
while [ "$#" -gt 0 ]; do
  have=$(docker image inspect --format '{{.Id}}' "$1" 2>/dev/null) || { shift 2; continue; }
  [ "$have" = "$2" ] || { echo "$1 is $have, not $2" >&2; exit 1; }
  [ -z "$(docker ps --all --quiet --filter "ancestor=$2")" ] || { echo "a container uses $1" >&2; exit 1; }
  docker rmi --no-prune "$1" >/dev/null || exit 1
  shift 2
done
"""

_ARE_UNPINNED = """\
for name; do
  if docker image inspect "$name" >/dev/null 2>&1; then echo "$name is still there" >&2; exit 1; fi
done
"""

_REPIN = """\
while [ "$#" -gt 0 ]; do
  if docker image inspect "$2" >/dev/null 2>&1; then docker tag "$2" "$1" || exit 1; fi
  shift 2
done
"""


# Of the containers of all projects, and of what the run that would be undone next needs.
_NEEDED = """\
docker ps --all --quiet | xargs -r docker inspect --format '{{.Image}}' || exit 1
[ -z "$2" ] || cat "$1/runs/$2/undo"/*.sh 2>/dev/null | grep -oE 'sha256:[0-9a-f]{64}|rollback-keep/[a-z0-9:.-]+'
exit 0
"""


def needed(state_folder: str, run_id: str) -> Command:
    """Return the command that prints, one a line, the images that must stay: ids, and names of ours.

    :param run_id: the run that would be undone next; empty where there is none.
    """
    return script(_NEEDED, state_folder, run_id, effect=Effect.READ, timeout=60)


def unpin(pins: Mapping[str, str]) -> Command:
    """Return the command that takes the names ``pins`` away from their images; one that has no other name goes."""
    words = [word for name, image in sorted(pins.items()) for word in (name, image)]
    return script(_UNPIN, *words, effect=Effect.DESTROY, timeout=300)


def are_unpinned(pins: Collection[str]) -> Command:
    """Return the check that none of the names is there."""
    return script(_ARE_UNPINNED, *sorted(pins), effect=Effect.READ, timeout=60)


def repin(pins: Mapping[str, str]) -> Command:
    """Return the command that gives the names ``pins`` back to those images that are still there."""
    words = [word for name, image in sorted(pins.items()) for word in (name, image)]
    return script(_REPIN, *words, effect=Effect.WRITE, timeout=60)
