"""When transactions ended, read from the log itself by the container's own pg_waldump."""

from __future__ import annotations

from datetime import UTC, datetime

from rollback_tasks.drivers.postgres import FIND_DB
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.project import Project
from rollback_tasks.model.recovery import ArchiveFacts, Commits, RestorePoint
from rollback_tasks.shell import Command, Effect, script

# Segments in order, those of the archive first and then what the server still has. Words that look like numbers are
# compared as text. It runs inside the container, whose shell may be a small one.
_SEGMENTS = """\
archive=$1 wal=$2 first=$3 last=$4
TZ=UTC LC_ALL=C
export TZ LC_ALL
list=$(ls "$archive" "$wal" 2>/dev/null | awk -v a="$first" -v b="$last" 'length($0) == 24 && $0 !~ /[^0-9A-F]/ &&
  substr($0, 1, 8) "" == substr(a, 1, 8) "" && ($0 "") >= (a "") && ($0 "") <= (b "")' | sort -u)
count=$(printf '%s' "$list" | grep -c .)
nth() { printf '%s\\n' "$list" | sed -n "$1p"; }
dump() {
  place=$archive
  [ -e "$place/$2" ] || place=$wal
  pg_waldump -r "$1" -p "$place" "$2" "$2" 2>/dev/null
}
"""

# The first segment whose first commit is behind the moment is found by halving; those that have no commit are passed
# over. From there it is read in both directions until something is found.
_COMMITS = (
    _SEGMENTS
    + """\
moment=$5
commits() {
  dump Transaction "$1" | sed -n -e 's/.*desc: COMMIT \\([0-9-]* [0-9:.]*\\) UTC.*/\\1/p' \\
    -e 's/.*desc: COMMIT_PREPARED [0-9]*: \\([0-9-]* [0-9:.]*\\) UTC.*/\\1/p'
}
lo=1 hi=$((count + 1))
while [ "$lo" -lt "$hi" ]; do
  mid=$(((lo + hi) / 2)) at=$(((lo + hi) / 2)) when=
  while [ -z "$when" ] && [ "$at" -lt "$hi" ]; do
    when=$(commits "$(nth "$at")" | head -n 1)
    at=$((at + 1))
  done
  if [ -z "$when" ] || expr "x$when" \\> "x$moment" >/dev/null; then hi=$mid; else lo=$at; fi
done
at=$((lo - 1))
while [ "$at" -ge 1 ]; do
  when=$(commits "$(nth "$at")" | awk -v m="$moment" '($0 "") <= (m "")' | tail -n 1)
  [ -z "$when" ] || { printf 'before %s\\n' "$when"; break; }
  at=$((at - 1))
done
at=$((lo > 1 ? lo - 1 : 1))
while [ "$at" -le "$count" ]; do
  when=$(commits "$(nth "$at")" | awk -v m="$moment" '($0 "") > (m "")' | head -n 1)
  [ -z "$when" ] || { printf 'after %s %s\\n' "$when" "$(nth "$at")"; break; }
  at=$((at + 1))
done
at=1
while [ "$at" -le "$count" ]; do
  when=$(commits "$(nth "$at")" | head -n 1)
  [ -z "$when" ] || { printf 'oldest %s\\n' "$when"; break; }
  at=$((at + 1))
done
at=$count
while [ "$at" -ge 1 ]; do
  when=$(commits "$(nth "$at")" | tail -n 1)
  [ -z "$when" ] || { printf 'newest %s\\n' "$when"; break; }
  at=$((at - 1))
done
"""
)

_POINTS = (
    _SEGMENTS
    + """\
at=$count
while [ "$at" -ge 1 ]; do
  name=$(nth "$at")
  found=$(dump XLOG "$name" | sed -n 's/.* lsn: \\([0-9A-F]*\\/[0-9A-F]*\\),.*desc: RESTORE_POINT \\(.*\\)/\\1 \\2/p')
  [ -z "$found" ] || printf '%s\\n' "$found" | sed "s/^/$name /"
  at=$((at - 1))
done
exit 0
"""
)

_INSIDE = FIND_DB + 'shift 2\ndocker exec "$db" sh -c "$@"\n'


def _inside(project: Project, body: str, *words: str, timeout: float) -> Command:
    at = project.database_site
    return script(
        _INSIDE, at.project, at.service, body, "wal", *words, effect=Effect.READ, timeout=timeout, place=at.place
    )


def commits(project: Project, facts: ArchiveFacts, first: str, last: str, moment: datetime) -> Command:
    """Return the command that prints the commits around a moment, in the segments from ``first`` to ``last``."""
    wal = f"{facts.data_folder}/pg_wal"
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return _inside(project, _COMMITS, project.wal_archive, wal, first, last, text, timeout=600)


def read_commits(text: str) -> Commits:
    """Given the answer of ``commits``, return it as values. Raise MalformedAnswer."""
    found: dict[str, datetime] = {}
    segment = ""
    try:
        for line in text.splitlines():
            word, day, time, *rest = line.split(" ")
            found[word] = datetime.fromisoformat(f"{day} {time}+00:00")
            if word == "after":
                segment = rest[0]
    except (ValueError, IndexError) as error:
        raise MalformedAnswer("the log was read in an unknown form", details=text[:300]) from error
    return Commits(
        before=found.get("before"),
        after=found.get("after"),
        after_segment=segment,
        oldest=found.get("oldest"),
        newest=found.get("newest"),
    )


def points(project: Project, facts: ArchiveFacts, first: str, last: str) -> Command:
    """Return the command that prints all restore points, newest segment first: two may have one name, and a recovery
    would stop at the first."""
    wal = f"{facts.data_folder}/pg_wal"
    return _inside(project, _POINTS, project.wal_archive, wal, first, last, timeout=1200)


def read_points(text: str) -> tuple[RestorePoint, ...]:
    """Given the answer of ``points``, return them as they were printed. Raise MalformedAnswer."""
    found = []
    for line in text.splitlines():
        words = line.split(" ", 2)
        if len(words) != 3:
            raise MalformedAnswer("the log was read in an unknown form", details=line[:300])
        found.append(RestorePoint(segment=words[0], lsn=words[1], name=words[2]))
    return tuple(found)
