"""git: make the commits that take others back, away from the checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollback_tasks.drivers.git import GIT
from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.shell import Command, Effect, script

CONFLICT, EMPTY, FAILED, IN_THE_WAY = 3, 4, 5, 6

# The commits are made in a repository of its own under the temporary folder, which borrows the objects of the real one:
# a conflict is met there, and the checkout never sees it. Who and when are given, so making them again gives the same
# commits by name. $1 'keep' to write the new objects into the real repository, else they go with the scratch one.
_REVERT = (
    GIT
    + """\
mode=$1 head=$2 mainline=$3 who=$4 where=$5 when=$6
shift 6
top=$(git rev-parse --show-toplevel) && cd -- "$top" || exit 1
whole() { case $1 in /*) printf %s "$1" ;; *) printf '%s/%s' "$top" "$1" ;; esac; }
objects=$(whole "$(git rev-parse --git-path objects)")
shallow=$(whole "$(git rev-parse --git-path shallow)")
index=$(whole "$(git rev-parse --git-path index)")
who=$(git config user.name || printf %s "$who")
where=$(git config user.email || printf %s "$where")
export GIT_AUTHOR_NAME="$who" GIT_AUTHOR_EMAIL="$where" GIT_AUTHOR_DATE="$when +0000" GIT_LFS_SKIP_SMUDGE=1
export GIT_COMMITTER_NAME="$who" GIT_COMMITTER_EMAIL="$where" GIT_COMMITTER_DATE="$when +0000"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
GIT_DEFAULT_HASH=$(git rev-parse --show-object-format 2>/dev/null || echo sha1)
export GIT_DEFAULT_HASH
git init -q --template= "$scratch/tree" || exit 1
mkdir -p "$scratch/tree/.git/objects/info" || exit 1
printf '%s\\n' "$objects" >"$scratch/tree/.git/objects/info/alternates" || exit 1
[ ! -s "$shallow" ] || cp "$shallow" "$scratch/tree/.git/shallow" || exit 1
cd "$scratch/tree" || exit 1
if [ "$mode" = keep ]; then export GIT_OBJECT_DIRECTORY="$objects"; fi
git checkout -q --detach "$head" >&2 || exit 5
for commit; do
  line=
  if [ -n "$mainline" ] && git rev-parse -q --verify "$commit^2" >/dev/null; then line=$mainline; fi
  if git -c commit.gpgSign=false -c rerere.enabled=false revert --no-edit ${line:+-m "$line"} "$commit" >&2; then
    made=$(git rev-parse HEAD) || exit 1
    printf 'made %s\\0' "$made"
    continue
  else
    code=$?
  fi
  if [ -n "$(git ls-files --unmerged)" ]; then
    printf 'conflict %s\\0' "$commit"
    git diff -z --name-only --diff-filter=U
    exit 3
  fi
  printf 'empty %s\\0' "$commit"
  [ "$code" = 1 ] && git diff --quiet HEAD && exit 4
  exit 5
done
cd -- "$top" || exit 1
git_with() { GIT_ALTERNATE_OBJECT_DIRECTORIES=$scratch/tree/.git/objects GIT_INDEX_FILE=$scratch/index git "$@"; }
[ ! -e "$index" ] || cp -p "$index" "$scratch/index" || exit 1
git_with update-index -q --refresh >/dev/null
git_with read-tree -n -m -u "$head" "$made" >&2 || exit 6
if git_with diff-tree -r --no-renames "$head" "$made" | grep -qE '^:(160000 |[0-7]+ 160000 )'; then
  echo "a submodule would have to move, and no task here moves one" >&2
  exit 6
fi
# git itself writes over files that it was told to ignore.
git_with diff-tree -r -z --no-renames --diff-filter=A --name-only "$head" "$made" | xargs -0 sh -c '
for path; do
  if [ -e "$path" ] || [ -L "$path" ]; then echo "$path is there already" >&2; exit 1; fi
  while :; do
    case $path in */*) path=${path%/*} ;; *) break ;; esac
    if { [ -f "$path" ] || [ -L "$path" ]; } && [ -z "$(git --literal-pathspecs ls-files -- "$path")" ]; then
      echo "$path is there already" >&2
      exit 1
    fi
  done
done' revert || exit 6
git_with diff-tree -r -z --no-renames --name-only "$head" "$made" | xargs -0 sh -c '
for path; do
  case $(git --literal-pathspecs ls-files -v -- "$path") in
    [a-z]*|S*) echo "$path is hidden from git (skip-worktree or assume-unchanged)" >&2; exit 1 ;;
  esac
done' revert || exit 6
"""
)

_KEEP = (
    """\
run=$7 after=$8
{
"""
    + _REVERT.replace("shift 6", "shift 8")
    + """\
} >/dev/null
cd -- "$top" || exit 1
[ "$made" = "$after" ] || { echo "the commits come out as $made, not as the plan saw them ($after)" >&2; exit 1; }
git update-ref "refs/rollback/$run/reverts" "$made"
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who makes commits where the checkout itself does not say it, and when (seconds since the epoch)."""

    name: str
    email: str
    at: int

    @property
    def words(self) -> tuple[str, str, str]:
        """As the scripts take it; git leaves no name of marks alone."""
        clean = "".join(letter for letter in self.name if letter.isprintable() and letter not in "<>\"'.,:;\\").strip()
        mail = "".join(letter for letter in self.email if letter.isprintable() and letter not in "<> ")
        return clean or "rollback", mail or "rollback@localhost", str(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of a rehearsal.

    :param made: the new commits, oldest first.
    :param stopped_at: the commit that could not be reverted; empty where all could.
    :param conflicts: the files in conflict there.
    """

    made: tuple[str, ...] = ()
    stopped_at: str = ""
    conflicts: tuple[str, ...] = field(default=())


def rehearse(folder: str, head: str, commits: Sequence[str], mainline: int | None, who: Signature) -> Command:
    """Return the command that reverts ``commits`` beside the checkout and throws the result away.

    Exit codes: 3 conflict, 4 nothing to revert, 5 git failed, 6 the work tree has changes in the way.

    :param head: what the new commits stand on.
    :param commits: newest first.
    :param mainline: the parent, from 1, that merges go back to.
    """
    return script(
        _REVERT,
        "try",
        head,
        str(mainline or ""),
        *who.words,
        *commits,
        effect=Effect.READ,
        cwd=folder,
        timeout=300,
        ok_codes=frozenset({0, CONFLICT, EMPTY, FAILED, IN_THE_WAY}),
    )


def read_rehearsal(answer: bytes) -> Rehearsed:
    """Given the answer of ``rehearse``, return what came of it. Raise MalformedAnswer."""
    entries = answer.decode("utf-8", "replace").split("\0")
    if entries.pop():
        raise MalformedAnswer("git answered with a broken list", details=answer[-200:].decode("utf-8", "replace"))
    made: list[str] = []
    for number, entry in enumerate(entries):
        kind, _, commit = entry.partition(" ")
        if kind != "made":
            return Rehearsed(made=tuple(made), stopped_at=commit, conflicts=tuple(dict.fromkeys(entries[number + 1 :])))
        made.append(commit)
    return Rehearsed(made=tuple(made))


def make(
    folder: str,
    run_id: str,
    head: str,
    commits: Sequence[str],
    mainline: int | None,
    who: Signature,
    after: str,
) -> Command:
    """Return the command that makes the commits that ``rehearse`` made, the last of which is ``after``, and keeps them
    under ``refs/rollback``. Checkout and branches stay."""
    return script(
        _KEEP,
        "keep",
        head,
        str(mainline or ""),
        *who.words,
        run_id,
        after,
        *commits,
        effect=Effect.WRITE,
        cwd=folder,
        timeout=300,
    )


def is_made(folder: str, run_id: str, after: str) -> Command:
    """Return the check that ``make`` was done."""
    return script(
        GIT + '[ "$(git rev-parse -q --verify "refs/rollback/$1/reverts")" = "$2" ]',
        run_id,
        after,
        effect=Effect.READ,
        cwd=folder,
    )


_FORGET = GIT + 'git update-ref -d "refs/rollback/$1/reverts"\n'


def forget(folder: str, run_id: str) -> Command:
    """Return the command that lets go of what ``make`` kept. Safe where it kept nothing."""
    return script(_FORGET, run_id, effect=Effect.WRITE, cwd=folder)
