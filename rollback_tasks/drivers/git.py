"""git: read a checkout and its commits, check one out beside."""

from __future__ import annotations

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import GitFacts
from rollback_tasks.shell import Command, Effect, script

# Hooks of the checkout are not ours to run at three in the morning, and git must never ask for a password.
GIT = """\
export GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
git() { command git -c core.hooksPath=/dev/null -c advice.detachedHead=false "$@"; }
"""

_STATE = (
    GIT
    + """\
git rev-parse --verify -q 'HEAD^{commit}' || exit 4
git symbolic-ref -q HEAD || echo
git for-each-ref --format='%(refname:strip=2) %(objectname) %(*objectname)' refs/tags
echo
git status --porcelain=v1 -z --untracked-files=normal -- ':(top)' ':(exclude).rollback'
"""
)


def state(folder: str) -> Command:
    """Return the command that tells HEAD, branch, tags and what is changed in the work tree.

    The tool's own folder is left out: it appears while a run is planned. Exit code 4 where HEAD has no commit.
    """
    return script(_STATE, effect=Effect.READ, cwd=folder, timeout=60)


def read_state(answer: bytes) -> GitFacts:
    """Given the answer of ``state``, return the checkout's facts. Raise MalformedAnswer."""
    head, _, rest = answer.partition(b"\n")
    branch, _, rest = rest.partition(b"\n")
    tag_lines, _, status = (b"\n" + rest).partition(b"\n\n") if not rest.startswith(b"\n") else (b"", b"", rest[1:])
    commit = head.decode("ascii", "replace")
    if len(commit) not in (40, 64):
        raise MalformedAnswer("git did not name a commit for HEAD", details=commit[:200])
    tags = {}
    for line in tag_lines.decode("utf-8", "replace").split("\n"):
        words = line.split(" ")
        if len(words) >= 2 and words[0]:
            tags[words[0]] = words[2] if len(words) > 2 and words[2] else words[1]
    name = branch.decode("utf-8", "replace").removeprefix("refs/heads/")
    entries = _entries(status)
    return GitFacts(
        commit=commit,
        branch=name or None,
        dirty=tuple(path for _, path in entries),
        tags=tags,
        unmerged=tuple(path for code, path in entries if code in _UNMERGED),
    )


# git-status(1), "short format": both sides of these are unmerged.
_UNMERGED = frozenset((b"DD", b"AU", b"UD", b"UA", b"DU", b"AA", b"UU"))


def _entries(status: bytes) -> list[tuple[bytes, str]]:
    """Return code and path of each line of a ``status --porcelain -z``; a rename's old name follows as an entry
    of its own."""
    entries = status.split(b"\0")
    found = []
    position = 0
    while position < len(entries):
        entry = entries[position]
        position += 1
        if len(entry) < 4:
            continue
        found.append((entry[:2], entry[3:].decode("utf-8", "replace")))
        if entry[:1] in (b"R", b"C"):
            position += 1
    return found


def resolve(folder: str, name: str) -> Command:
    """Return the command that prints the commit that ``name`` means; exit code 1 where it means none."""
    return script(
        # `--end-of-options` is younger than the gits that are out there; no name of git's begins with a dash.
        GIT + 'case $1 in -*) exit 1 ;; esac; git rev-parse --verify -q "$1^{commit}" || exit 1',
        name,
        effect=Effect.READ,
        cwd=folder,
        ok_codes=frozenset({0, 1}),
    )


def show(folder: str, commit: str, path: str) -> Command:
    """Return the command that prints a file of a commit; exit code 1 where the commit has none.

    :param path: relative to ``folder``, which may be a folder inside the repository.
    """
    return script(
        GIT + 'git cat-file -e "$1:./$2" 2>/dev/null || exit 1; git cat-file blob "$1:./$2"',
        commit,
        path,
        effect=Effect.READ,
        cwd=folder,
        ok_codes=frozenset({0, 1}),
    )


def archive(folder: str, commit: str, path: str) -> Command:
    """Return the command that prints ``path`` of a commit as a tar; exit code 1 where the commit has none.

    :param path: relative to ``folder``, as the names in the tar are.
    """
    return script(
        GIT + 'git cat-file -e "$1:./$2" 2>/dev/null || exit 1; git archive --format=tar "$1" -- "$2"',
        commit,
        path,
        effect=Effect.READ,
        cwd=folder,
        ok_codes=frozenset({0, 1}),
    )


_ADD_TREE = (
    GIT
    + """\
if [ -e "$2.whole/.git" ] && [ "$(git -C "$2.whole" rev-parse HEAD)" = "$1" ]; then exit 0; fi
git worktree remove -f -f "$2.whole" 2>/dev/null || rm -rf -- "$2.whole" || exit 1
git worktree add -q -f -f --detach "$2.whole" "$1" || exit 1
inside=$(git rev-parse --show-prefix)
rm -f -- "$2" && ln -s "$2.whole${inside:+/${inside%/}}" "$2"
"""
)


def add_tree(folder: str, commit: str, place: str) -> Command:
    """Return the command that checks ``commit`` out beside; ``place`` then is what ``folder`` was at that commit.

    It is a link: ``folder`` may lie inside its repository, and the whole of that is checked out.
    """
    return script(_ADD_TREE, commit, place, effect=Effect.WRITE, cwd=folder, timeout=300)


def remove_tree(folder: str, place: str) -> Command:
    """Return the command that removes a tree of ``add_tree``. Safe where there is none."""
    return script(
        # Twice forced: `git worktree add` locks what it is making, and a killed one leaves it locked.
        GIT + 'rm -rf -- "$1" && { git worktree remove -f -f "$1.whole" 2>/dev/null || rm -rf -- "$1.whole"; }',
        place,
        effect=Effect.WRITE,
        cwd=folder,
    )


_EXCLUDE = (
    GIT
    + """\
file=$(git rev-parse --git-path info/exclude) || exit 1
grep -qxF "$1" "$file" 2>/dev/null && exit 0
mkdir -p "$(dirname "$file")" && printf '%s\\n' "$1" >>"$file"
"""
)


def exclude(folder: str, pattern: str) -> Command:
    """Return the command that keeps ``pattern`` out of git's sight in this checkout only."""
    return script(_EXCLUDE, pattern, effect=Effect.WRITE, cwd=folder)
