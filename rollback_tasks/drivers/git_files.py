"""git: single files of another commit in the work tree, and back; HEAD stays."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_tasks.drivers.git import GIT
from rollback_tasks.shell import Command, Effect, script

# What git is told to overlook (`skip-worktree`, `assume-unchanged`) is laid in all the same, and counts: files are
# compared by what is in them, as git would store it. The mode stays that of the file that is there: whoever switches
# may have another umask than its owner had.
_TAKE = """\
unhide() {
  git ls-files --error-unmatch -- "$1" >/dev/null 2>&1 || return 0
  git update-index --no-skip-worktree -- "$1" && git update-index --no-assume-unchanged -- "$1"
}
take() {
  mode=$(stat -c %a -- "$2" 2>/dev/null)
  unhide "$2" && git --literal-pathspecs checkout -q "$1" -- "$2" || return 1
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
  there=$(git --literal-pathspecs ls-tree "$commit" -- "$file") || exit 2
  [ -n "$there" ] || continue
  kind=file
  case $there in 120000*) kind=link ;; esac
  there=${there#* * }
  if [ -L "$file" ]; then
    here="link $(printf %s "$(readlink -- "$file")" | git hash-object --stdin)"
  else
    here="file $(git hash-object -- "$file" 2>/dev/null)"
  fi
  [ "$here" = "$kind ${there%%	*}" ] || { echo "$file differs" >&2; exit 1; }
done
"""


def are_at(folder: str, commit: str, files: Sequence[str]) -> Command:
    """Return the check that files are those of ``commit``, as far as it has them."""
    return script(GIT + _AT, commit, *files, effect=Effect.READ, cwd=folder, ok_codes=frozenset({0}))


def differ(folder: str, commit: str, files: Sequence[str]) -> Command:
    """Return the question of ``are_at``: exit code 0 where they are, 1 where they differ."""
    return script(GIT + _AT, commit, *files, effect=Effect.READ, cwd=folder, ok_codes=frozenset({0, 1}))


# Which files git was told to overlook stands in the index alone, which was kept byte by byte.
_PUT_BACK = (
    GIT
    + _TAKE
    + """\
run=$1
shift
git rev-parse -q --verify "refs/rollback/$run/worktree" >/dev/null || exit 0
index=$(cd -- "$(git rev-parse --git-dir)" && pwd)/rollback-$run.index || exit 1
trap 'rm -f "$index"' EXIT
git cat-file blob "refs/rollback/$run/index-file" >"$index" 2>/dev/null || rm -f "$index"
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
[ -e "$index" ] || exit 0
for file; do
  said=$(GIT_INDEX_FILE=$index git --literal-pathspecs ls-files -v -- "$file")
  case $said in [a-z]*) git update-index --assume-unchanged -- "$file" || exit 1 ;; esac
  case $said in [Ss]*) git update-index --skip-worktree -- "$file" || exit 1 ;; esac
done
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


_DIFFERING = """\
printf '%s\\0' "$(git rev-parse --show-prefix)"
git diff --name-only -z "$1" --
"""


def differing(folder: str, commit: str) -> Command:
    """Return the command that prints which files of the work tree are not those of ``commit``: first the path of the
    folder in its repository, then paths in the repository, each followed by a NUL."""
    return script(GIT + _DIFFERING, commit, effect=Effect.READ, cwd=folder, timeout=60)


def read_differing(text: str) -> tuple[str, ...]:
    """Given the answer of ``differing``, return paths relative to the folder; one outside of it begins with a slash."""
    prefix, *paths = text.split("\0")
    return tuple(path[len(prefix) :] if path.startswith(prefix) else f"/{path}" for path in paths if path)
