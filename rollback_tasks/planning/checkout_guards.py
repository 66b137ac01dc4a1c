"""What a repository keeps outside of its commits: submodules, and files in Git LFS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from rollback_tasks.drivers.git_history import Traits
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker
from rollback_tasks.model.project import Project
from rollback_tasks.planning.parts import Images


def unmovable(facts: HostFacts, project: Project, traits: Traits) -> Iterator[Blocker]:
    """Yield why a switch of the checkout would leave files that are not the target's."""
    if traits.moved:
        yield Blocker(
            f"submodules have another commit there, and no task here moves them: {', '.join(traits.moved[:5])}",
            f"do this one by hand in {project.folder} on {facts.host}, with `git submodule update --init` behind it.",
        )
    if traits.is_lfs_missing:
        yield Blocker(
            "files of this repository are kept by Git LFS, and the host has no git-lfs: they would become pointers",
            f"install git-lfs on {facts.host} (`git lfs install`), then plan again.",
        )


def unbuildable(facts: HostFacts, project: Project, traits: Traits, pictures: Images) -> Iterator[Blocker]:
    """Yield why an image that is built from a tree of its own would lack files.

    :param traits: of the commit that it is built from.
    """
    for pin, build in sorted(pictures.builds.items()):
        context = PurePosixPath(project.folder) / str(build.get("context") or ".")
        lacks = [path for path in traits.submodules if (PurePosixPath(project.folder) / path).is_relative_to(context)]
        if lacks:
            yield Blocker(
                f"{pin} would be built without what lies in submodules: {', '.join(lacks[:5])}",
                f"build it on {facts.host} in a clone of that commit (`git submodule update --init`), under that very "
                "name, then plan again.",
            )


def told(traits: Traits) -> Iterator[str]:
    """Yield what the operator should know of the repository."""
    if traits.has_submodules:
        yield "the repository has submodules; they stay as they are"
    if traits.has_lfs:
        yield "files are kept by Git LFS: those that the host never had are fetched from its server"
