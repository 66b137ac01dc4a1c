"""Docker images: addressed by id, pinned by a tag so that a prune cannot take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.shell import Command, Effect, Secret, script


def listing() -> Command:
    """Return the command that prints id and name of every image, untagged ones included."""
    return Command(
        argv=("docker", "image", "ls", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
        effect=Effect.READ,
        timeout=30,
    )


def read_listing(text: str) -> dict[str, str]:
    """Given the answer of ``listing``, return name to id, with every id standing for itself too."""
    found = {}
    for line in text.splitlines():
        image, _, name = line.partition(" ")
        if not image.startswith("sha256:"):
            raise MalformedAnswer("docker listed an image in an unknown form", details=line[:200])
        found[image] = image
        if "<none>" not in name:
            found[name] = image
    return found


def find(images: Mapping[str, str], reference: str) -> str | None:
    """Return the image id that ``reference`` means among the listed ``images``; None where it means none.

    A name without a tag means ``latest`` (docker's rule).
    """
    if reference in images:
        return images[reference]
    has_tag = ":" in reference.rpartition("/")[2] or "@" in reference
    return None if has_tag else images.get(f"{reference}:latest")


def pin_name(project: str, service: str, key: str) -> str:
    """Return the tag that keeps an image from a prune.

    :param key: image id (``sha256:...``) or commit; its first 12 hex digits stand in the tag.
    """
    digits = key.rpartition(":")[2][:12]
    prefix = "" if key.startswith("sha256:") else "commit-"
    part = re.sub(r"[^a-z0-9]+", "-", f"{project}-{service}".lower()).strip("-")
    return f"rollback-keep/{part}:{prefix}{digits}"


_TAG = """\
while [ "$#" -gt 0 ]; do
  docker tag "$1" "$2" || exit 1
  shift 2
done
"""


def tag(names: Mapping[str, str]) -> Command:
    """Return the command that makes each key of ``names`` a name of the image that its value names."""
    words = [word for name, image in sorted(names.items()) for word in (image, name)]
    return script(_TAG, *words, effect=Effect.WRITE, timeout=30)


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
    return script(_MEANS, *words, effect=Effect.READ, timeout=30)


def build(build: Mapping[str, Any], *, folder: str, tree: str, name: str) -> Command:
    """Return the command that builds a service's image out of ``tree`` under ``name``.

    :param build: the ``build`` part of the resolved compose file, whose paths lie below ``folder``.
    :param tree: the checkout of the target commit, as it stands for ``folder``.
    Build arguments travel in the environment: one of them may be a token.
    """
    context = _moved(str(build.get("context") or "."), folder, tree)
    dockerfile = str(build.get("dockerfile") or "Dockerfile")
    words = ["docker", "build", "-t", name, "-f", str(PurePosixPath(context) / dockerfile)]
    arguments = _arguments(build.get("args"))
    for key in arguments:
        words += ["--build-arg", key]
    if build.get("target"):
        words += ["--target", str(build["target"])]
    if build.get("network"):
        words += ["--network", str(build["network"])]
    return Command(
        argv=(*words, context),
        effect=Effect.WRITE,
        cwd=tree,
        secret_env=tuple((key, Secret(value)) for key, value in arguments.items()),
        timeout=1800,
    )


def _moved(path: str, folder: str, tree: str) -> str:
    """Return ``path`` as it lies below ``tree`` where it was meant below ``folder``."""
    place = PurePosixPath(folder) / path
    try:
        return str(PurePosixPath(tree) / place.relative_to(folder))
    except ValueError:
        return str(place)


def _arguments(said: object) -> dict[str, str]:
    if isinstance(said, dict):
        return {str(key): "" if value is None else str(value) for key, value in said.items()}
    if isinstance(said, list):
        return {key: value for key, _, value in (str(entry).partition("=") for entry in said)}
    return {}
