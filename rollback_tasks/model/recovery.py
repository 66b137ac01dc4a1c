"""What a database can be taken back to: base backups, the archive of its write-ahead log, and moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBackup:
    """A physical copy of the whole cluster, checked file by file, and what is known of it (its manifest).

    :param path: of the compressed archive on the host that serves the database.
    :param size_bytes: of the archive; ``unpacked_bytes`` of what is in it.
    :param started_at: before it began; ``stopped_at``: after it ended, by the server's clock. It can be rolled forward
        to any moment from ``stopped_at`` on.
    :param start_wal: name of the first segment that a recovery needs; ``stop_lsn``: where it is consistent.
    :param system: identity of the cluster; segments of another one do not fit.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    started_at: datetime
    stopped_at: datetime
    timeline: int
    start_lsn: str
    stop_lsn: str
    start_wal: str
    system: str
    server_version: int
    segment_bytes: int
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """The write-ahead log of a running server, and its archive.

    :param now: the server's clock.
    :param data_folder: the cluster's folder inside the container.
    :param current: the segment that is written now; empty where the server is itself in recovery.
    :param live: finished and current segments that are still in the cluster.
    :param archived: name to bytes of the plain files in the archive; None where the folder is not there.
    :param mount: the volume, or the folder of the host, that the archive lies in; empty where it is in none.
    :param mounted_at: where that is in the container.
    :param mode: ``archive_mode``, and ``level`` ``wal_level``, as in force.
    :param has_command: something archives: ``archive_command`` or ``archive_library`` is set.
    :param failing: the segment that the archiver could not store and has not stored since; else empty.
    :param waiting: finished segments that are not archived yet.
    :param last_archived: seconds since the last one was archived; None where none ever was.
    :param pending: settings that wait for a restart.
    :param may_replicate: the role may take base backups; ``may_name``: it may create restore points.
    :param settings: what a server that recovers has to have at least as large.
    """

    now: datetime
    version: int
    system: str
    timeline: int
    segment_bytes: int
    data_folder: str
    image: str = ""
    current: str = ""
    live: tuple[str, ...] = ()
    archived: Mapping[str, int] | None = None
    mount: str = ""
    mounted_at: str = ""
    mode: str = "off"
    level: str = "replica"
    has_command: bool = False
    timeout: int = 0
    failing: str = ""
    waiting: int = 0
    last_archived: float | None = None
    pending: tuple[str, ...] = ()
    tablespaces: int = 0
    cluster_bytes: int = 0
    free_bytes: int = 0
    may_replicate: bool = True
    may_name: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        """The part that a recovery needs."""
        return Cluster(
            version=self.version,
            data_folder=self.data_folder,
            mount=self.mount,
            mounted_at=self.mounted_at,
            settings=self.settings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a recovery beside has to know of the live cluster; the fields as of ``ArchiveFacts``."""

    version: int
    data_folder: str
    mount: str
    mounted_at: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How far one base backup can be rolled forward.

    :param end: the last segment that follows without a gap; empty where not even the first one is there.
    :param archived_end: the last one of them that is in the archive; those behind it are still with the server.
    :param gap: the segments that are missing behind ``end``, though later ones are there.
    """

    base: BaseBackup
    end: str
    archived_end: str = ""
    gap: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """Commits in a row of segments, around a moment. None where there is none.

    :param before: the last one at or before it; ``after``: the first one behind it, and the segment that it is in.
    :param oldest: the first one of all; ``newest``: the last one.
    """

    before: datetime | None = None
    after: datetime | None = None
    after_segment: str = ""
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """A named place in the log."""

    name: str
    lsn: str
    segment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a recovery stops: at ``moment`` (behind the last commit up to it), or at the restore point ``point``."""

    moment: datetime | None = None
    point: str = ""

    def __str__(self) -> str:
        return f"restore point {self.point}" if self.moment is None else said(self.moment)


def said(moment: datetime) -> str:
    """Return a moment as people and PostgreSQL read it, always with its offset."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}+00"
