"""git: save a checkout, switch it, put it back."""

from __future__ import annotations

from rollback_tasks.drivers.git import GIT
from rollback_tasks.shell import Command, Effect, script

# `skip-worktree` and `assume-unchanged` hide changes from git, and then even a forced switch stumbles over them.
_UNHIDE = """\
unhide() {
  git ls-files -z | git update-index -z --no-skip-worktree --stdin &&
    git ls-files -z | git update-index -z --no-assume-unchanged --stdin
}
cd -- "$(git rev-parse --show-toplevel)" || exit 1
"""

# The work tree becomes a commit by way of a private index, so that neither the tree nor the user's index moves.
# Saved is what a switch takes away: changes of tracked files, and whatever lies where the target has a file (also
# when git ignores it). Other untracked files stay untouched by a switch, so nothing may ever write them anew: they
# can be the data of a running database. The index itself is kept byte by byte: its flags are in no tree. So are the
# modes of the files that the switch writes anew, and the umask that new ones get: whoever puts back has another one.
_SAVE = (
    GIT
    + _UNHIDE
    + """\
run=$1 target=$2 mask=$(umask)
git rev-parse -q --verify "refs/rollback/$run/worktree" >/dev/null && exit 0
real=$(git rev-parse --git-path index) || exit 1
index=$(pwd)/$real
case $real in /*) index=$real ;; esac
index=$index.rollback-$run
trap 'rm -f "$index" "$index.lock"' EXIT
export GIT_AUTHOR_NAME=rollback GIT_AUTHOR_EMAIL=rollback@localhost
export GIT_COMMITTER_NAME=rollback GIT_COMMITTER_EMAIL=rollback@localhost
head=$(git rev-parse HEAD) || exit 1
umask 077
staged=$(git write-tree) || { echo "the index holds unmerged paths" >&2; exit 1; }
with_index() { GIT_INDEX_FILE=$index git "$@"; }
# What of the target is a file here already, and what is not.
with_index read-tree "$target" || exit 1
there=$(with_index diff-files -z --name-only --diff-filter=d | base64) || exit 1
missing=$(with_index diff-files -z --name-only --diff-filter=D | base64) || exit 1
rm -f "$index" && { [ ! -e "$real" ] || cp "$real" "$index"; } || exit 1
export GIT_INDEX_FILE="$index"
unhide && git add -u . || exit 1
printf '%s' "$there" | base64 -d | git update-index -z --add --replace --stdin || exit 1
printf '%s' "$missing" | base64 -d | xargs -0 sh -c '
add() { git -c core.hooksPath=/dev/null --literal-pathspecs add -f -- "$1"; }
for path; do
  if [ -d "$path" ] && [ ! -L "$path" ]; then
    add "$path" || exit 1
    continue
  fi
  while :; do
    case $path in */*) path=${path%/*} ;; *) break ;; esac
    if [ -L "$path" ] || [ -f "$path" ]; then
      add "$path" || exit 1
      break
    fi
  done
done' save || exit 1
tree=$(git write-tree) || exit 1
unset GIT_INDEX_FILE
modes=$(git diff-tree -r -z --no-renames --name-only "$tree" "$target" | xargs -0 sh -c '
for path; do
  if [ -f "$path" ] && [ ! -L "$path" ]; then printf "%s %s\\0" "$(stat -c %a -- "$path")" "$path"; fi
done' save | git hash-object -w --stdin) || exit 1
git update-ref "refs/rollback/$run/modes" "$modes" || exit 1
saved=$(git commit-tree "$tree" -p "$head" -m "work tree before rollback $run" -m "umask $mask") || exit 1
kept=$(git commit-tree "$staged" -p "$head" -m "index before rollback $run") || exit 1
if [ -e "$real" ]; then
  bytes=$(git hash-object -w --no-filters "$real") || exit 1
  git update-ref "refs/rollback/$run/index-file" "$bytes" || exit 1
fi
git branch -f "rollback/before-$run" "$head" || exit 1
git update-ref "refs/rollback/$run/index" "$kept" || exit 1
git update-ref "refs/rollback/$run/worktree" "$saved"
"""
)


def save(folder: str, run_id: str, target: str) -> Command:
    """Return the command that saves HEAD as a branch, and index and work tree as commits. Changes neither.

    :param target: the commit that will be switched to; what lies in its way is saved too.
    """
    return script(_SAVE, run_id, target, effect=Effect.WRITE, cwd=folder, timeout=300)


def saved_tree(run_id: str) -> str:
    """Return the name of the commit that holds the work tree as ``save`` saw it."""
    return f"refs/rollback/{run_id}/worktree"


_SAVE_AGAIN = 'git rev-parse -q --verify "$2" >/dev/null || exit 0\n' + _SAVE + "\necho saved\n"


def save_again(folder: str, run_id: str, of: str) -> Command:
    """Return the command that does as ``save``, where run ``of`` had saved a checkout; it prints a word where it did.

    :param run_id: the run that the work tree is saved for now.
    """
    return script(_SAVE_AGAIN, run_id, saved_tree(of), effect=Effect.WRITE, cwd=folder, timeout=300)


def is_saved(folder: str, run_id: str) -> Command:
    """Return the check that ``save`` was done."""
    return script(GIT + 'git rev-parse -q --verify "refs/rollback/$1/worktree"', run_id, effect=Effect.READ, cwd=folder)


# git only warns where it may not remove a file that the target has not: it would stay behind as an untracked one.
_SWITCH = (
    GIT
    + _UNHIDE
    + """\
goes=$(git diff-index --cached -z --no-renames --diff-filter=A --name-only "$1" | base64) || exit 1
unhide && git checkout -q -f --detach "$1" || exit 1
printf '%s' "$goes" | base64 -d | xargs -0 sh -c '
for path; do
  [ -f "$path" ] || [ -L "$path" ] || continue
  [ -z "$(git --literal-pathspecs ls-files --others -- "$path")" ] || { echo "$path cannot be removed" >&2; exit 1; }
done' switch
"""
)


def switch(folder: str, commit: str) -> Command:
    """Return the command that puts the work tree at ``commit``, detached: no branch is moved."""
    return script(_SWITCH, commit, effect=Effect.DESTROY, cwd=folder, timeout=300)


# HEAD moves without a checkout of its commit, which would write files that were not there.
_PUT_BACK = (
    GIT
    + _UNHIDE
    + """\
run=$1 commit=$2 branch=$3 moved=$4
saved=refs/rollback/$run/worktree
git rev-parse -q --verify "$saved" >/dev/null || exit 0
# Put back before, and edited by somebody since: where a host needs several tries, that must not be lost.
if [ "$(git rev-parse -q --verify HEAD)" = "$commit" ]; then
  edited=$(GIT_AUTHOR_NAME=rollback GIT_AUTHOR_EMAIL=rollback@localhost GIT_COMMITTER_NAME=rollback \
    GIT_COMMITTER_EMAIL=rollback@localhost git stash create "edited after rollback $run" 2>/dev/null)
  if [ -n "$edited" ] && ! git diff --quiet --no-renames --diff-filter=MAT "$saved" "$edited" --; then
    git update-ref "refs/rollback/$run/edited" "$edited" && echo "edits are kept as commit refs/rollback/$run/edited"
  fi
fi
if [ -n "$moved" ] && [ -n "$branch" ] && [ "$(git rev-parse -q --verify "refs/heads/$branch")" = "$moved" ]; then
  git update-ref -m "rollback $run put back" "refs/heads/$branch" "$commit" "$moved" || exit 1
fi
rm -f "$(git rev-parse --git-path index.lock)"
unhide || exit 1
mask=$(git cat-file commit "refs/rollback/$run/worktree" | sed -n 's/^umask //p')
[ -z "$mask" ] || umask "$mask"
# A file that the switch could not remove is there as it should be: known to the index, it is not written anew.
git diff-index --cached -z --no-renames --diff-filter=D --name-only "refs/rollback/$run/worktree" | xargs -0 sh -c '
for path; do
  { [ ! -f "$path" ] && [ ! -L "$path" ]; } || git update-index --add -- "$path" || exit 1
done' put || exit 1
git read-tree -u --reset "refs/rollback/$run/worktree" || exit 1
if git rev-parse -q --verify "refs/rollback/$run/modes" >/dev/null; then
  git cat-file blob "refs/rollback/$run/modes" | xargs -0 sh -c '
for entry; do
  path=${entry#* }
  [ ! -f "$path" ] || [ -L "$path" ] || chmod "${entry%% *}" "./$path" || exit 1
done' put || exit 1
fi
git read-tree "refs/rollback/$run/index" || exit 1
if git rev-parse -q --verify "refs/rollback/$run/index-file" >/dev/null; then
  index=$(git rev-parse --git-path index) || exit 1
  git cat-file blob "refs/rollback/$run/index-file" >"$index.rollback" && mv "$index.rollback" "$index" || exit 1
fi
git update-index -q --refresh >/dev/null
if [ -n "$branch" ] && [ "$(git rev-parse -q --verify "refs/heads/$branch")" = "$commit" ]; then
  git symbolic-ref -m "rollback $run put back" HEAD "refs/heads/$branch"
else
  git update-ref --no-deref -m "rollback $run put back" HEAD "$commit"
fi
"""
)


def put_back(folder: str, run_id: str, commit: str, branch: str | None, *, moved_to: str = "") -> Command:
    """Return the command that makes HEAD, index and work tree what ``save`` saw. Safe at any time and twice.

    :param moved_to: the commit that the run moved ``branch`` to; where the branch is still there, it goes back as well.
    """
    return script(_PUT_BACK, run_id, commit, branch or "", moved_to, effect=Effect.DESTROY, cwd=folder, timeout=300)


# The branch of $2 goes to the commit $1 (from $3, where it is moved), and HEAD onto it; without a branch HEAD is moved
# alone. The work tree is what it has to be already.
_HEAD_TO = """\
after=$1 onto=$2 from=$3 run=$4
if [ -z "$onto" ]; then
  git update-ref --no-deref -m "rollback $run" HEAD "$after" || exit 1
else
  if [ "$(git rev-parse -q --verify "refs/heads/$onto")" != "$after" ]; then
    git update-ref -m "rollback $run" "refs/heads/$onto" "$after" "$from" || exit 1
  fi
  git symbolic-ref -m "rollback $run" HEAD "refs/heads/$onto" || exit 1
fi
"""

_SWITCH_TO = _SWITCH.rstrip("\n") + " || exit 1\n" + _HEAD_TO

_POINT_TO = GIT + _HEAD_TO

# Changes of the work tree stay; git refuses, before it touches anything, where one lies in a file that has to change.
_MERGE_TO = (
    GIT
    + """\
cd -- "$(git rev-parse --show-toplevel)" || exit 1
git update-index -q --refresh >/dev/null
git read-tree -m -u HEAD "$1" || exit 1
"""
    + _HEAD_TO
)

_WAYS = {"switch": _SWITCH_TO, "point": _POINT_TO, "merge": _MERGE_TO}


def move(folder: str, run_id: str, way: str, *, before: str, after: str, onto: str) -> Command:
    """Return the command that takes the checkout from one commit to another.

    :param way: ``switch`` makes every tracked file what ``after`` has; ``merge`` brings what differs and keeps the
        changes of the work tree; ``point`` moves HEAD and branch and leaves index and work tree alone.
    :param onto: the branch that HEAD is on afterwards, at ``before`` or ``after`` now; empty = on none.
    """
    return script(_WAYS[way], after, onto, before, run_id, effect=Effect.DESTROY, cwd=folder, timeout=300)


def stands_at(folder: str, commit: str, branch: str) -> Command:
    """Return the check that HEAD is ``commit``, by way of ``branch``; empty = detached."""
    return script(
        GIT
        + '[ "$(git rev-parse HEAD)" = "$1" ] && [ "$(git symbolic-ref -q HEAD)" = "${2:+refs/heads/}$2" ] || '
        + '{ echo "HEAD is elsewhere" >&2; exit 1; }',
        commit,
        branch,
        effect=Effect.READ,
        cwd=folder,
    )


def is_at(folder: str, commit: str) -> Command:
    """Return the check that HEAD is ``commit`` and no tracked file differs from it; submodules stay as they are."""
    return script(
        GIT + '[ "$(git rev-parse HEAD)" = "$1" ] && git diff --quiet --ignore-submodules=all HEAD --',
        commit,
        effect=Effect.READ,
        cwd=folder,
    )
