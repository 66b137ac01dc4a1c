"""What most steps have in common: they need nothing, or undo nothing."""

from __future__ import annotations

from typing import ClassVar

from rollback_tasks.model.plan import Action, Check, Compensation, HostState, Irreversible, Keep


class BaseStep:
    """Defaults of ``model.plan.Step``: no conditions, no visible change, service stays."""

    kind: ClassVar[str]

    @property
    def takes_service_away(self) -> bool:
        """The service stays; a step that it never stays for says so by a plain ``True``."""
        return False

    def describe(self) -> str:
        """The operator's sentence."""
        raise NotImplementedError

    def precondition(self) -> tuple[Check, ...]:
        """Nothing."""
        return ()

    def forward(self) -> tuple[Action, ...]:
        """Nothing."""
        return ()

    def postcondition(self) -> tuple[Check, ...]:
        """Nothing."""
        return ()

    def project(self, state: HostState) -> HostState:
        """No visible change."""
        return state

    def unproject(self, state: HostState) -> HostState:
        """No visible change."""
        return state

    def compensation(self) -> Compensation | Keep | Irreversible:
        """Nothing to undo."""
        return Keep("nothing was changed")
