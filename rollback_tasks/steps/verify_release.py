"""Declared only by what really runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from rollback_tasks.drivers import containers, git_checkout, postgres
from rollback_tasks.model.plan import Check
from rollback_tasks.model.project import Project
from rollback_tasks.steps.base import BaseStep


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRelease(BaseStep):
    """Image digests, commit and schema are the target's.

    :param commit: that the checkout has to be at; empty where the checkout is left alone.
    :param images: service to the pin of its image.
    :param one_shots: services that may have ended well.
    :param schema: heads of the database; None where it is left alone and cannot be asked.
    """

    kind: ClassVar[str] = "verify_release"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    commit: str
    images: Mapping[str, str]
    schema: tuple[str, ...] | None
    one_shots: tuple[str, ...] = ()

    def describe(self) -> str:
        """The operator's sentence."""
        commit = ["commit"] if self.commit else []
        schema = ["schema"] if self.schema is not None else []
        return f"verify what really runs: {', '.join(['image digests', *commit, *schema])}"

    def postcondition(self) -> tuple[Check, ...]:
        """All that was meant to be reached."""
        runs = containers.runs_images(self.project_, self.images, self.one_shots)
        checks = [Check("the running images are the target's", runs)]
        if self.commit:
            checks.append(Check("the checkout is the target's", git_checkout.is_at(self.project_.folder, self.commit)))
        if self.schema is not None:
            checks.append(Check("the schema is the target's", postgres.has_schema(self.project_, self.schema)))
        return tuple(checks)
