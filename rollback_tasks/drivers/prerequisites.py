"""The small programs of a host that the scripts of a run start."""

from __future__ import annotations

from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

# Whatever a step or its undo calls; a host that lacks one fails in the middle.
NEEDED = (
    "awk",
    "cat",
    "cut",
    "date",
    "df",
    "grep",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "tee",
    "tr",
)
# Without them there is another way, which is worse: what for, as a sentence.
WANTED = {
    "flock": "two decisions at the same moment are told apart more slowly",
    "setsid": "the guard may end with the session that started it",
    "sync": "what was written may not be on the disk yet when it counts",
    "timeout": "nothing ends a command that hangs after the connection was cut",
}

_LOOK = """\
folder=$1
shift
for name in "$@"; do command -v "$name" >/dev/null 2>&1 || printf 'missing %s\\n' "$name"; done
[ ! -e "$folder" ] || [ -w "$folder" ] || printf 'unwritable %s\\n' "$folder"
"""


def look(project: Project) -> Command:
    """Return the command that names the programs that a host lacks, and whether its state folder can be written."""
    return script(_LOOK, project.state_folder, *NEEDED, *sorted(WANTED), effect=Effect.READ)


def read_look(text: str) -> tuple[frozenset[str], bool]:
    """Given the answer of ``look``, return the programs that are missing, and whether the folder can be written."""
    lines = [line.split(" ", 1) for line in text.splitlines()]
    missing = frozenset(words[1] for words in lines if words[0] == "missing" and len(words) == 2)
    return missing, not any(words[0] == "unwritable" for words in lines)
