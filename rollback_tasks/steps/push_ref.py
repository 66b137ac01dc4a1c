"""Others see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import git_push
from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Keep
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRef(BaseStep):
    """Push a commit or a tag to the remote.

    :param source: an object, or the whole name of a ref.
    :param ref: whole name at the remote, ``expected`` what it is there now; empty = there is none.
    :param is_protected: it is never overwritten, neither by the push nor by taking it back.
    """

    kind: ClassVar[str] = "push_ref"
    project_: Project
    run_id: str
    source: str
    ref: str
    expected: str
    is_forced: bool
    is_protected: bool

    @property
    def overwrites(self) -> bool:
        """True where the remote's commits may go."""
        return self.is_forced and not self.is_protected

    def describe(self) -> str:
        """The operator's sentence."""
        name = self.ref.removeprefix("refs/heads/").removeprefix("refs/")
        if self.overwrites:
            return f"overwrite {name} at {self.project_.remote}, only while it is {self.expected[:12]} there"
        return f"push to {name} at {self.project_.remote}"

    def forward(self) -> tuple[Action, ...]:
        """Push."""
        return (
            git_push.push(
                self.project_.folder,
                self.run_id,
                self.project_.remote,
                self.source,
                self.ref,
                expected=self.expected,
                is_forced=self.overwrites,
            ),
        )

    def postcondition(self) -> tuple[Check, ...]:
        """The remote has it."""
        project = self.project_
        return (Check("the remote has it", git_push.is_pushed(project.folder, project.remote, self.source, self.ref)),)

    def project(self, state: HostState) -> HostState:
        """Something more at the remote."""
        return state.keeping(f"{self.ref} at {self.project_.remote}")

    def compensation(self) -> Compensation | Keep:
        """The old value, with a lease: what others pushed since stays."""
        if self.is_protected:
            return Keep(f"what was pushed stays: {self.ref} at {self.project_.remote} is never overwritten")
        name = self.ref.removeprefix("refs/heads/").removeprefix("refs/")
        how = (
            f"give {name} at {self.project_.remote} back {self.expected[:12]}"
            if self.expected
            else (f"take {name} at {self.project_.remote} away")
        )
        return Compensation(
            f"{how}, where nobody has pushed since",
            git_push.unpush(self.project_.folder, self.run_id, self.project_.remote, self.ref, expected=self.expected),
        )
