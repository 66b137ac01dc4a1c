"""A release: what has to come back together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class ReleaseStatus(Enum):
    """What the ledger says of a release."""

    UNMARKED = "unmarked"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One row of the ledger.

    :param id: name in the ledger, e.g. ``20261122T031501Z-1a2b3c4``.
    :param commit: 40 hex digits.
    :param images: compose service to image id (``sha256:...``), of the application's services.
    :param schema: sorted alembic heads that the database had.
    :param status: the last mark.
    :param recorded_at: ISO time of its first line.
    :param reason: text of the last mark.
    :param names: git tags that pointed at the commit when it was recorded.
    :param is_rolled_back_to: the last arrival at this release was a rollback, not a deployment.
    :param mixed: what of another release is in it, e.g. ``images of v5``; empty for one as it was deployed.
    """

    id: str
    commit: str
    images: Mapping[str, str] = field(default_factory=dict)
    schema: tuple[str, ...] = ()
    status: ReleaseStatus = ReleaseStatus.UNMARKED
    recorded_at: str = ""
    reason: str = ""
    names: tuple[str, ...] = ()
    is_rolled_back_to: bool = False
    mixed: str = ""

    @property
    def label(self) -> str:
        """The name that a person knows it by: a tag where it has one, else its id."""
        return self.names[0] if self.names else self.id


class BackupLevel(Enum):
    """How far a backup is proven; each includes the ones before."""

    WRITTEN = "written"
    HASHED = "hashed"
    READABLE = "readable"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A dump and what is known of it (its manifest).

    :param taken_at: ISO time of its snapshot: what was written later is not in it.
    :param verified_at: ISO time at which its level was proven.
    :param damage: what is wrong with the files on the disk; it then counts as written only.
    :param host: that it was made on, and ``project`` for which, as they were called then; ``system``: identity of the
        cluster. Empty where the manifest does not say.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    level: BackupLevel
    taken_at: str
    database: str
    schema: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    run_id: str = ""
    commit: str = ""
    server_version: int = 0
    verified_at: str = ""
    damage: str = ""
    host: str = ""
    project: str = ""
    system: str = ""

    @property
    def is_proven(self) -> bool:
        """True where it was restored and every count was right."""
        return self.level is BackupLevel.RESTORED
