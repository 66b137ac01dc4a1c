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

    :param images: service to the pin of its image.
    """

    kind: ClassVar[str] = "verify_release"
    takes_service_away: ClassVar[bool] = True
    project_: Project
    commit: str
    images: Mapping[str, str]
    schema: tuple[str, ...]

    def describe(self) -> str:
        """The operator's sentence."""
        return "verify what really runs: image digests, commit, schema"

    def postcondition(self) -> tuple[Check, ...]:
        """All three."""
        return (
            Check("the running images are the target's", containers.runs_images(self.project_, self.images)),
            Check("the checkout is the target's", git_checkout.is_at(self.project_.folder, self.commit)),
            Check("the schema is the target's", postgres.has_schema(self.project_, self.schema)),
        )
