"""git: read what happened in a checkout, and what a change of it would meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_tasks.drivers.git import GIT
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.shell import Command, Effect, script

NONE_SUCH = 4

# `-z` ends every entry with a NUL, as the fields are ended: nothing that an author wrote can look like another field.
_LOG = (
    GIT
    + """\
case $1 in -*) exit 4 ;; esac
start=$(git rev-parse --verify -q "$1^{commit}") || exit 4
git -c i18n.logOutputEncoding=UTF-8 log -z -n "$2" --no-show-signature --format='%H%x00%P%x00%at%x00%an%x00%D%x00%s' \\
  "$start" --
"""
)

_REFLOG = (
    GIT
    + """\
git -c i18n.logOutputEncoding=UTF-8 log -g -z -n "$1" --no-show-signature --date=unix \\
  --format='%H%x00%gd%x00%gs%x00%s' HEAD --
"""
)

# What HEAD was at once and no branch, tag or remote branch leads to any more; our safety branches do not count.
_LOST = (
    GIT
    + """\
git log -g --format=%H HEAD -- | sort -u | git rev-list --ignore-missing --stdin \\
  --not --exclude='rollback/*' --branches --tags --remotes HEAD
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit. ``at`` in seconds since the epoch; ``names`` as git decorates it, e.g. ``tag: v6``."""

    commit: str
    parents: tuple[str, ...] = ()
    at: int = 0
    author: str = ""
    names: tuple[str, ...] = ()
    subject: str = ""

    @property
    def is_merge(self) -> bool:
        """True where it has several parents."""
        return len(self.parents) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the reflog of HEAD: where HEAD was, as ``HEAD@{number}``."""

    number: int
    commit: str
    at: int
    action: str
    subject: str


def log(folder: str, ref: str, count: int) -> Command:
    """Return the command that prints ``count`` commits back from ``ref``; exit code 4 where there is no such commit."""
    return script(_LOG, ref, str(count), effect=Effect.READ, cwd=folder, timeout=60, ok_codes=frozenset({0, NONE_SUCH}))


def read_log(answer: bytes) -> tuple[Commit, ...]:
    """Given the answer of ``log``, return the commits, newest first. Raise MalformedAnswer."""
    return tuple(
        Commit(
            commit=commit,
            parents=tuple(parents.split()),
            at=_number(at),
            author=author,
            names=tuple(name for name in names.split(", ") if name),
            subject=subject,
        )
        for commit, parents, at, author, names, subject in _records(answer, 6)
    )


def reflog(folder: str, count: int) -> Command:
    """Return the command that prints where HEAD was, newest first."""
    return script(_REFLOG, str(count), effect=Effect.READ, cwd=folder, timeout=60)


def read_reflog(answer: bytes) -> tuple[Entry, ...]:
    """Given the answer of ``reflog``, return its lines. Raise MalformedAnswer."""
    return tuple(
        Entry(
            number=number, commit=commit, at=_number(name.partition("{")[2].rstrip("}")), action=action, subject=subject
        )
        for number, (commit, name, action, subject) in enumerate(_records(answer, 4))
    )


def lost(folder: str) -> Command:
    """Return the command that names the commits that HEAD was at and that no ref leads to any more."""
    return script(_LOST, effect=Effect.READ, cwd=folder, timeout=60)


def _records(answer: bytes, width: int) -> Iterator[Sequence[str]]:
    fields = answer.decode("utf-8", "replace").split("\0")
    if fields.pop().strip() or len(fields) % width:
        raise MalformedAnswer("git answered with a broken list", details=answer[-200:].decode("utf-8", "replace"))
    for begin in range(0, len(fields), width):
        yield fields[begin : begin + width]


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


# The chain from the oldest to the newest commit is that of first parents: what a merge brought comes with the merge.
# Exit code 5: the oldest one is not on it.
_CHAIN = (
    GIT
    + """\
case $1$2 in -*) exit 4 ;; esac
oldest=$(git rev-parse --verify -q "$1^{commit}") || { printf %s "$1"; exit 4; }
newest=$(git rev-parse --verify -q "$2^{commit}") || { printf %s "$2"; exit 4; }
set -- "$newest" --
git rev-parse --verify -q "$oldest^1" >/dev/null && set -- "$newest" "^$oldest^1" --
git rev-list --first-parent "$@" | {
  found=
  while IFS= read -r commit; do echo "$commit"; [ "$commit" != "$oldest" ] || { found=1; break; }; done
  [ -n "$found" ] || exit 5
}
"""
)


def chain(folder: str, oldest: str, newest: str) -> Command:
    """Return the command that names the commits from ``newest`` back to ``oldest``, both included.

    Exit code 4 where a name means no commit (it is printed), 5 where first parents do not lead from one to the other.
    """
    return script(
        _CHAIN, oldest, newest, effect=Effect.READ, cwd=folder, timeout=60, ok_codes=frozenset({0, NONE_SUCH, 5})
    )


# In the order of history, newest first: so each one finds what it changed as it left it.
_ORDERED = (
    GIT
    + """\
git rev-list --topo-order HEAD -- | grep -xF "$(printf '%s\\n' "$@")" | while IFS= read -r commit; do
  git -c i18n.logOutputEncoding=UTF-8 log -z -n 1 --no-show-signature \\
    --format='%H%x00%P%x00%at%x00%an%x00%D%x00%s' "$commit" --
done
"""
)


def ordered(folder: str, commits: Sequence[str]) -> Command:
    """Return the command that prints those of ``commits`` that HEAD has, newest first; ``read_log`` reads it."""
    return script(_ORDERED, *commits, effect=Effect.READ, cwd=folder, timeout=60)


_TRAITS = (
    GIT
    + """\
target=$1
for name in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply; do
  if [ -e "$(git rev-parse --git-path "$name")" ]; then echo "operation=$name"; fi
done
if git cat-file -e "$target:.gitmodules" 2>/dev/null || git cat-file -e HEAD:.gitmodules 2>/dev/null; then
  echo submodules=yes
fi
if git grep -q 'filter=lfs' HEAD "$target" -- ':(top,glob)**/.gitattributes' 2>/dev/null; then
  echo lfs=yes
  # Without its filter, or with one that skips, files become pointers and nobody says so.
  filter=$(git config filter.lfs.process || git config filter.lfs.smudge)
  case $filter in
    "" | *--skip*) echo lfs_missing=yes ;;
    *) command git lfs version >/dev/null 2>&1 || echo lfs_missing=yes ;;
  esac
fi
upstream=$(git rev-parse --symbolic-full-name -q --verify '@{upstream}' 2>/dev/null) &&
  echo "published=$(git rev-list --count "$target..$upstream" -- 2>/dev/null)"
git diff-tree -r -z --no-renames HEAD "$target" -- | tr '\\0' '\\n' | grep -A 1 -E '^:(160000 |[0-7]+ 160000 )' |
  grep -v '^:' | grep -vx -e -- | sed 's/^/moved=/'
git ls-tree -r -z "$target" | tr '\\0' '\\n' | sed -n 's/^160000 commit [0-9a-f]*\t/submodule=/p'
exit 0
"""
)

_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a change of a checkout has to mind.

    :param operation: what of git's is unfinished, e.g. ``rebase``; empty where nothing is.
    :param moved: submodules that have another commit at the target, ``submodules`` those that it has below the
        deployment's folder.
    :param has_lfs: files are kept by Git LFS, ``is_lfs_missing`` where the host has no git-lfs, or none that is set up.
    :param published: commits that the upstream branch has and the target has not.
    """

    operation: str = ""
    has_submodules: bool = False
    moved: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()
    has_lfs: bool = False
    is_lfs_missing: bool = False
    published: int = 0


def traits(folder: str, target: str) -> Command:
    """Return the command that tells what a move of the checkout from HEAD to ``target`` has to mind."""
    return script(_TRAITS, target, effect=Effect.READ, cwd=folder, timeout=60)


def read_traits(text: str) -> Traits:
    """Given the answer of ``traits``, return it as values."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    return Traits(
        operation=next((_OPERATIONS[name] for name in said.get("operation", ()) if name in _OPERATIONS), ""),
        has_submodules=bool({"submodules", "submodule", "moved"} & said.keys()),
        moved=tuple(said.get("moved", ())),
        submodules=tuple(said.get("submodule", ())),
        has_lfs="lfs" in said,
        is_lfs_missing="lfs_missing" in said,
        published=_number(next(iter(said.get("published", ())), "")),
    )
