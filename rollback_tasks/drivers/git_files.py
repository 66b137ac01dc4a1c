"""git: single files of another commit in the work tree, and back; HEAD stays."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.drivers.git import GIT
from rollback_tasks.shell import Command, Effect, script

# The mode stays that of the file that is there: whoever switches may have another umask than its owner had.
_TAKE = """\
take() {
  mode=$(stat -c %a -- "$2" 2>/dev/null)
  git --literal-pathspecs checkout -q "$1" -- "$2" || return 1
  [ -z "$mode" ] || [ -L "$2" ] || chmod -- "$mode" "$2"
}
"""

_SWITCH = (
    GIT
    + _TAKE
    + """\
commit=$1
shift
for file; do
  if git cat-file -e "$commit:./$file" 2>/dev/null; then take "$commit" "$file" || exit 1; fi
done
"""
)


def switch_files(folder: str, commit: str, files: Sequence[str]) -> Command:
    """Return the command that lays files of ``commit`` into the work tree; one that it does not have stays."""
    return script(_SWITCH, commit, *files, effect=Effect.DESTROY, cwd=folder)


_AT = """\
commit=$1
shift
for file; do
  if git cat-file -e "$commit:./$file" 2>/dev/null; then
    git --literal-pathspecs diff --quiet "$commit" -- "$file" || { echo "$file differs" >&2; exit 1; }
  fi
done
"""


def are_at(folder: str, commit: str, files: Sequence[str]) -> Command:
    """Return the check that files are those of ``commit``, as far as it has them."""
    return script(GIT + _AT, commit, *files, effect=Effect.READ, cwd=folder, ok_codes=frozenset({0}))


def differ(folder: str, commit: str, files: Sequence[str]) -> Command:
    """Return the question of ``are_at``: exit code 0 where they are, 1 where they differ."""
    return script(GIT + _AT, commit, *files, effect=Effect.READ, cwd=folder, ok_codes=frozenset({0, 1}))


_PUT_BACK = (
    GIT
    + _TAKE
    + """\
run=$1
shift
git rev-parse -q --verify "refs/rollback/$run/worktree" >/dev/null || exit 0
rm -f "$(git rev-parse --git-path index.lock)"
for file; do
  if git cat-file -e "refs/rollback/$run/worktree:./$file" 2>/dev/null; then
    take "refs/rollback/$run/worktree" "$file" || exit 1
  elif git ls-files --error-unmatch -- "$file" >/dev/null 2>&1; then
    rm -f -- "$file" || exit 1
  fi
  git --literal-pathspecs reset -q "refs/rollback/$run/index" -- "$file" >/dev/null || exit 1
done
git update-index -q --refresh >/dev/null
exit 0
"""
)


def put_files_back(folder: str, run_id: str, files: Sequence[str]) -> Command:
    """Return the command that makes files, and what the index has of them, what ``git_checkout.save`` saw. Safe at any
    time and twice."""
    return script(_PUT_BACK, run_id, *files, effect=Effect.DESTROY, cwd=folder)


def before_last_change(folder: str, files: Sequence[str]) -> Command:
    """Return the command that prints the commit before the last change of a file; nothing where there is none."""
    return script(
        GIT
        + """\
last=$(git --literal-pathspecs log -1 --format=%H HEAD -- "$@") || exit 1
[ -z "$last" ] || git rev-parse -q --verify "$last^" || :
""",
        *files,
        effect=Effect.READ,
        cwd=folder,
    )
