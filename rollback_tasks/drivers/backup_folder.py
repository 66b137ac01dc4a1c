"""The backup folder: what lies in it beside backups, who needs a backup, letting one go, taking one back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# A process of this user that has a file open is found by its links in /proc. A run's plan names the backups it uses.
_SURVEY = """\
here=$(cd -P -- "$1" 2>/dev/null && pwd -P) || exit 0
open=$(ls -l /proc/[0-9]*/fd 2>/dev/null | sed -n 's/^.* -> //p')
nl='
'
for path in "$here"/* "$here"/base/*; do
  name=${path#"$here"/}
  case $name in *"$nl"*) continue ;; esac
  [ -f "$path" ] && [ ! -L "$path" ] || continue
  if printf '%s\\n' "$open" | grep -qxF -- "$path"; then is=open; else is=idle; fi
  printf 'file %s %s %s\\n' "$is" "$(wc -c <"$path" | tr -d ' ')" "$name"
done
for run in "$2"/*/; do
  [ -e "$run/committed" ] && [ -e "$run/plan.json" ] || continue
  run=${run%/}
  printf 'run %s %s\\n' "${run##*/}" \\
    "$(grep -oE '"(task|name|backup)": "[^"]*"' "$run/plan.json" | sed 's/^"[a-z]*": //' | tr '\\n' ',')"
done
now=$(date +%s)
for run in "$2"/*/; do
  last=$(stat -c %Y -- "$run"* 2>/dev/null | sort -n | tail -n 1)
  run=${run%/}
  [ -z "$last" ] || printf 'idle %s %s\\n' "${run##*/}" "$((now - last))"
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the backup folder. ``is_open``: a live process has it."""

    name: str
    size_bytes: int
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that was done, and the backups that its plan names."""

    id: str
    task: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Answer of ``survey``. Runs in the order of their time; ``idle``: of every run, the seconds since it last did
    something."""

    files: tuple[File, ...] = ()
    runs: tuple[Run, ...] = ()
    idle: Mapping[str, float] = field(default_factory=dict)


def survey(project: Project) -> Command:
    """Return the command that tells which files lie in the backup folder and which backups earlier runs name."""
    site = project.database_site
    runs = f"{site.folder}/.rollback/runs"
    return script(_SURVEY, project.backup_folder, runs, effect=Effect.READ, place=site.place)


def read_survey(text: str) -> Folder:
    """Given the answer of ``survey``, return it as values; lines of another form say nothing."""
    files, runs, idle = [], [], {}
    for line in text.splitlines():
        match line.split(" ", 3):
            case ["file", is_open, size, name] if size.isdigit():
                files.append(File(name=name, size_bytes=int(size), is_open=is_open == "open"))
            case ["idle", identity, seconds] if seconds.removeprefix("-").isdigit():
                idle[identity] = float(seconds)
            case ["run", identity, *said]:
                names = _words(" ".join(said))
                if names:
                    runs.append(Run(id=identity, task=names[0], names=frozenset(names[1:])))
            case _:
                pass
    return Folder(files=tuple(files), runs=tuple(sorted(runs, key=lambda run: run.id)), idle=idle)


def _words(text: str) -> list[str]:
    try:
        return [str(word) for word in json.loads(f"[{text.rstrip(',')}]")]
    except ValueError:
        return []


_OURS = re.compile(
    r"(?P<name>\d{8}T\d{6}Z-[0-9a-f]{4}(?:-recovered|-before|-left)?)\.(?:dump|globals\.sql|manifest\.json|log|code)(\.partial)?\Z"
)


def leftovers(files: Iterable[File], whole: Iterable[str], *, prefix: str) -> tuple[File, ...]:
    """Return the files that no manifest describes and no live process owns, of those that this tool made for one
    database.

    :param whole: names of backups that have a manifest.
    :param prefix: what the names of that database's backups begin with.
    """
    known = set(whole)
    found = []
    for file in files:
        match = _OURS.match(file.name.removeprefix(prefix)) if file.name.startswith(prefix) else None
        if match and not file.is_open and (match[2] or prefix + match["name"] not in known):
            found.append(file)
    return tuple(found)


_BASES = re.compile(
    r"base/base-(?P<run>\d{8}T\d{6}Z-[0-9a-f]{4})\.(?:tar\.gz|base\.json|log|code)(?P<partial>\.partial)?\Z"
)


def base_leftovers(folder: Folder) -> tuple[File, ...]:
    """Return what base backups that were cut left, of the runs that this host remembers and no live process owns:
    others may use the same folder."""
    known = {file.name for file in folder.files}
    found = []
    for file in folder.files:
        match = _BASES.match(file.name)
        if match and not file.is_open and match["run"] in folder.idle:
            is_alone = f"base/base-{match['run']}.base.json" not in known
            if match["partial"] or is_alone:
                found.append(file)
    return tuple(found)


# The manifest goes first: what is left of it then is a leftover, never a backup without its dump. $2: the newest
# proven backup, which has to be there; $3: how many of the words are backups; the rest are files.
_PRUNE = """\
folder=$1 newest=$2 count=$3
shift 3
cd -- "$folder" || exit 1
if [ -n "$newest" ]; then
  grep -q '^"level": "restored"' "./$newest.manifest.json" && [ -s "./$newest.dump" ] || {
    echo "the newest proven backup, $newest, is not there any more: nothing is removed" >&2
    exit 1
  }
fi
while [ "$#" -gt 0 ]; do
  if [ "$count" -gt 0 ]; then
    [ "$1" != "$newest" ] || exit 1
    rm -f -- "./$1.manifest.json" && rm -f -- "./$1.dump" "./$1.globals.sql" || exit 1
  else
    rm -f -- "./$1" || exit 1
  fi
  count=$((count - 1))
  shift
done
sync . 2>/dev/null || sync
"""


def prune(project: Project, *, names: tuple[str, ...], files: tuple[str, ...], newest: str) -> Command:
    """Return the command that removes backups and leftover files. What is gone already is no failure.

    :param newest: the newest proven backup, without which nothing is removed; empty where there is none.
    """
    return script(
        _PRUNE,
        project.backup_folder,
        newest,
        str(len(names)),
        *names,
        *files,
        effect=Effect.DESTROY,
        timeout=600,
        place=project.database_site.place,
    )


# The hash is that of the disk. A name appears only behind it, that of the manifest last.
_ACCEPT = """\
place=$1 want=$2 roles=$3
[ ! -e "$place.manifest.json" ] || ! grep -qF "\\"sha256\\": \\"$want\\"" "$place.manifest.json" ||
  [ ! -e "$place.dump" ] || [ -e "$place.dump.partial" ] || exit 0
check() {
  sync "$1" 2>/dev/null || sync
  have=$(sha256sum <"$1" | cut -d' ' -f1)
  [ "$have" = "$2" ] || { echo "$1 arrived damaged: sha256 $have, the manifest says $2" >&2; exit 1; }
}
check "$place.dump.partial" "$want"
[ -z "$roles" ] || check "$place.globals.sql.partial" "$roles"
[ -s "$place.manifest.json.partial" ] || exit 1
sync "$place.manifest.json.partial" 2>/dev/null || sync
[ -z "$roles" ] || mv "$place.globals.sql.partial" "$place.globals.sql" || exit 1
mv "$place.dump.partial" "$place.dump" && mv "$place.manifest.json.partial" "$place.manifest.json" || exit 1
sync "${place%/*}" 2>/dev/null || sync
"""


def accept(project: Project, *, name: str, sha256: str, globals_sha256: str) -> Command:
    """Return the command that gives a backup that came from the laptop its name, once its hash is that of the manifest.

    :param globals_sha256: of the roles; empty where the backup has none.
    """
    place = f"{project.backup_folder}/{name}"
    at = project.database_site.place
    return script(_ACCEPT, place, sha256, globals_sha256, effect=Effect.WRITE, timeout=24 * 3600, place=at)


def drop_partial(project: Project, name: str) -> Command:
    """Return the command that removes what a cut transfer to the host left."""
    body = 'rm -f "$1.dump.partial" "$1.globals.sql.partial" "$1.manifest.json.partial"'
    place = f"{project.backup_folder}/{name}"
    return script(body, place, effect=Effect.WRITE, place=project.database_site.place)
