"""The ordered steps of every host, as pure data with reasons, blockers and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from rollback_tasks.model.release import Release
from rollback_tasks.model.verdict import Verdict
from rollback_tasks.shell import Command


@dataclass(frozen=True, slots=True)
class Check:
    """A READ command whose exit code 0 means that ``says`` holds."""

    says: str
    command: Command


@dataclass(frozen=True, slots=True)
class Fetch:
    """Copy a backup (dump, roles, manifest) from the host to the laptop and compare the hashes with the manifest.

    Both are paths without ending; ``place`` as of a Command. A dump that is already there whole is not copied again;
    its manifest is.
    """

    path: str
    local_path: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Copy a file of the laptop to the host; the path there has to say that it is not yet whole."""

    path: str
    local_path: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove files of the laptop."""

    local_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Wait until the application answers, and go on answering.

    :param timeout: seconds to the first good answer.
    :param interval: seconds between two questions.
    :param soak: seconds that it has to stay good.
    :param find: READ command that prints ``address:port`` of every container that is asked in place of the URL's
        server, one a line; it fails, with a reason, where one of them is not there yet.
    :param is_strict: an answer that is not good ends it, also before the first good one: who is not ready must not
        answer at all.
    :param watch: READ command that fails (with a reason on stderr) as soon as waiting is pointless.
    """

    url: str
    timeout: float
    interval: float
    soak: float
    watch: Command | None = None
    find: Command | None = None
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class Meet:
    """Wait until every host that shares the database has come to ``point``."""

    point: str


Action = Command | Fetch | Send | Forget | Gate | Meet


@dataclass(frozen=True, slots=True)
class Compensation:
    """The undo of a step: one command that the host can run by itself, at any time after the step was
    begun (also when it never acted), and twice."""

    says: str
    command: Command


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing needs undoing: what the step made is kept, and harms nothing."""

    says: str


@dataclass(frozen=True, slots=True)
class Irreversible:
    """Cannot be undone; blocks the plan until the operator accepts exactly this reason."""

    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """The part of a host that a rollback changes; steps are folded over it.

    :param checkout: commit of the work tree, with ``+`` behind it while uncommitted changes lie in it.
    :param images: service to the image that its reference names.
    :param running: service to the image that runs; None while stopped.
    :param schema: alembic heads of the live database.
    :param kept: what the run leaves behind on purpose (backups, branches, copies).
    """

    checkout: str
    images: Mapping[str, str]
    running: Mapping[str, str | None]
    schema: tuple[str, ...]
    kept: frozenset[str] = frozenset()

    def keeping(self, thing: str) -> HostState:
        """The same with one thing more left behind on purpose."""
        return replace(self, kept=self.kept | {thing})

    def without_kept(self) -> HostState:
        """The same, for comparing: what is kept on purpose does not count as a change."""
        return replace(self, kept=frozenset())


class Step(Protocol):
    """One reversible unit of work: frozen, pure, named by a stable ``kind`` that stands in journals."""

    kind: ClassVar[str]

    def describe(self) -> str:
        """The operator's sentence, without markup."""

    def precondition(self) -> tuple[Check, ...]:
        """What must hold right before acting; probed again then."""

    def forward(self) -> tuple[Action, ...]:
        """What to do, in order."""

    def postcondition(self) -> tuple[Check, ...]:
        """What must hold afterwards; else the step failed."""

    def project(self, state: HostState) -> HostState:
        """What the host looks like afterwards."""

    def unproject(self, state: HostState) -> HostState:
        """What the host looks like after the compensation."""

    def compensation(self) -> Compensation | Keep | Irreversible:
        """How the host itself takes it back."""

    @property
    def takes_service_away(self) -> bool:
        """True from the step that stops the application on."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a host cannot be rolled back like this, and what to type instead."""

    brief: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found on a host, and what is done therefore.

    :param found: in sentences.
    :param therefore: the procedure that was chosen, with its reason.
    """

    found: tuple[str, ...]
    therefore: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What will happen on one host. ``is_noop`` plans have a ``noop_reason`` and no steps.

    :param run_id: the run that is gone on with; empty for a new one.
    :param does: what the plan is for, as its headline says it.
    :param costs: what is lost for good or leaves the live database, in sentences; asked for like a loss.
    :param has_gap: the application does not answer for a while.
    :param goal: what the report says under ``to``; None = the target release.
    :param diagnosis: why this plan and no other; None where the operator chose it himself.
    """

    host: str
    current: Release
    target: Release | None = None
    verdict: Verdict | None = None
    steps: tuple[Step, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[str, ...] = ()
    noop_reason: str = ""
    start: HostState | None = None
    end: HostState | None = None
    database: str = ""
    run_id: str = ""
    does: str = "roll back"
    costs: tuple[str, ...] = ()
    goal: Mapping[str, Any] | None = None
    diagnosis: Diagnosis | None = None
    has_gap: bool = True

    @property
    def losses(self) -> tuple[str, ...]:
        """All that the operator has to agree to by name."""
        return (*(str(loss) for loss in (self.verdict.losses if self.verdict else ())), *self.costs)

    @property
    def is_noop(self) -> bool:
        """True where the host already is what was asked for."""
        return bool(self.noop_reason) and not self.blockers


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All hosts, planned before any is touched."""

    task: str
    run_id: str
    hosts: tuple[HostPlan, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def is_blocked(self) -> bool:
        """True where at least one host cannot go."""
        return any(host.blockers for host in self.hosts)

    @property
    def is_noop(self) -> bool:
        """True where no host needs anything."""
        return all(host.is_noop for host in self.hosts)
