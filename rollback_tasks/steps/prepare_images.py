"""The target's images are on the host, by name, before anything stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rollback_tasks.drivers import git, images
from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareImages(BaseStep):
    """Pin the images that are left and the images that are gone back to; build what is missing.

    :param left: pin name to the image id that runs now.
    :param reached: pin name to the image id of the target, where it is known.
    :param pulls: pin name to the reference that is fetched from its registry.
    :param aliases: pin name to the name of a built image that it stands for as well.
    :param builds: pin name to the ``build`` part of the target's compose file, for what must be built.
    """

    kind: ClassVar[str] = "prepare_images"
    project_: Project
    run_id: str
    commit: str
    left: Mapping[str, str]
    reached: Mapping[str, str]
    builds: Mapping[str, Mapping[str, Any]]
    pulls: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def tree(self) -> str:
        """A checkout of the target commit, beside the live one."""
        return f"{self.project_.run_folder(self.run_id)}/tree"

    def describe(self) -> str:
        """The operator's sentence."""
        made = [f"fetch {', '.join(sorted(self.pulls.values()))}"] if self.pulls else []
        made += [f"build the target's image from commit {self.commit[:12]}"] if self.builds else []
        if made:
            return f"{' and '.join(made)} while the application still serves"
        return "pin the target's image and the one that is left, so that no prune can take them"

    def precondition(self) -> tuple[Check, ...]:
        """Every image that is known by id is still there."""
        named = {image: image for image in (*self.left.values(), *self.reached.values())}
        return (Check("the target's image is on the host", images.mean(named)),) if named else ()

    def forward(self) -> tuple[Action, ...]:
        """Tag, and build in a tree of its own."""
        pins = (
            *((images.tag({**self.left, **self.reached}),) if self.left or self.reached else ()),
            *(images.pull(reference, name) for name, reference in sorted(self.pulls.items())),
        )
        if not self.builds:
            return pins
        made = [
            images.build(build, folder=self.project_.folder, tree=self.tree, name=name)
            for name, build in sorted(self.builds.items())
        ]
        return (
            *pins,
            git.add_tree(self.project_.folder, self.commit, self.tree),
            *made,
            *((images.tag(self.aliases),) if self.aliases else ()),
            git.remove_tree(self.project_.folder, self.tree),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """Every name means an image."""
        named = {**self.left, **self.reached, **self.aliases, **{name: name for name in (*self.builds, *self.pulls)}}
        return (Check("every image that is needed is pinned", images.mean(named)),) if named else ()

    def project(self, state: HostState) -> HostState:
        """Only names are added."""
        return state

    def compensation(self) -> Compensation | Keep:
        """Pins stay, they harm nothing; a tree that was being built in goes."""
        if not self.builds:
            return Keep("pinned images stay pinned")
        return Compensation(
            "remove the tree that the image was built in", git.remove_tree(self.project_.folder, self.tree)
        )
