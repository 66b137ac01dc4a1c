"""Which commits ``--commits`` means."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.drivers.git_history import Commit
from rollback_tasks.model.plan import Blocker


def read_commits(text: str) -> tuple[tuple[str, str], ...]:
    """Given a comma list of commits and ranges, return the oldest and the newest of each entry.

    A range holds both its ends: who writes ``A..B`` means A as well, whatever git makes of it.

    :raises ValueError: an entry is empty, or of a form that names no commits; the message says so.
    """
    found = []
    for entry in text.split(","):
        oldest, dots, newest = (part.strip() for part in entry.partition(".."))
        if newest.startswith("."):
            raise ValueError(f"{entry.strip()!r}: a range has two dots, OLDEST..NEWEST")
        if not oldest or ".." in newest:
            raise ValueError(f"{entry.strip()!r} names no commit; write C, OLDEST..NEWEST, or several with commas")
        if oldest.startswith(("-", "^")) or newest.startswith(("-", "^")):
            raise ValueError(f"{entry.strip()!r} names no commit")
        found.append((oldest, (newest or "HEAD") if dots else oldest))
    return tuple(found)


def merge_problems(commits: Sequence[Commit], subjects: dict[str, str], mainline: int | None) -> list[Blocker]:
    """Return why merges among ``commits`` cannot be reverted: nobody said which side stays, or there is no such side.

    :param subjects: commit to subject, for the parents.
    """
    problems = []
    for commit in (commit for commit in commits if commit.is_merge):
        if mainline is not None and 1 <= mainline <= len(commit.parents):
            continue
        parents = "; ".join(
            f"--mainline {number} keeps {parent[:12]} {subjects.get(parent, '')}".rstrip()
            for number, parent in enumerate(commit.parents, 1)
        )
        said = "" if mainline is None else f", and it has no parent {mainline}"
        problems.append(
            Blocker(
                f"{commit.commit[:12]} ({commit.subject}) is a merge{said}",
                f"say which of its sides stays (1 is nearly always meant): {parents}.",
            )
        )
    return problems
