"""git: read a checkout, save it, switch it, put it back."""

from __future__ import annotations

from rollback_tasks.errors import MalformedAnswer
from rollback_tasks.model.facts import GitFacts
from rollback_tasks.shell import Command, Effect, script

# Hooks of the checkout are not ours to run at three in the morning, and git must never ask for a password.
_GIT = """\
export GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
git() { command git -c core.hooksPath=/dev/null -c advice.detachedHead=false "$@"; }
"""

_STATE = (
    _GIT
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
    return script(_STATE, effect=Effect.READ, cwd=folder, timeout=30)


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
        _GIT + 'case $1 in -*) exit 1 ;; esac; git rev-parse --verify -q "$1^{commit}" || exit 1',
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
        _GIT + 'git cat-file -e "$1:./$2" 2>/dev/null || exit 1; git cat-file blob "$1:./$2"',
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
        _GIT + 'git cat-file -e "$1:./$2" 2>/dev/null || exit 1; git archive --format=tar "$1" -- "$2"',
        commit,
        path,
        effect=Effect.READ,
        cwd=folder,
        ok_codes=frozenset({0, 1}),
    )


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
    _GIT
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


def is_saved(folder: str, run_id: str) -> Command:
    """Return the check that ``save`` was done."""
    return script(
        _GIT + 'git rev-parse -q --verify "refs/rollback/$1/worktree"', run_id, effect=Effect.READ, cwd=folder
    )


_SWITCH = (
    _GIT
    + _UNHIDE
    + """\
unhide && git checkout -q -f --detach "$1"
"""
)


def switch(folder: str, commit: str) -> Command:
    """Return the command that puts the work tree at ``commit``, detached: no branch is moved."""
    return script(_SWITCH, commit, effect=Effect.DESTROY, cwd=folder, timeout=300)


# HEAD moves without a checkout of its commit, which would write files that were not there.
_PUT_BACK = (
    _GIT
    + _UNHIDE
    + """\
run=$1 commit=$2 branch=$3
git rev-parse -q --verify "refs/rollback/$run/worktree" >/dev/null || exit 0
rm -f "$(git rev-parse --git-path index.lock)"
unhide || exit 1
mask=$(git cat-file commit "refs/rollback/$run/worktree" | sed -n 's/^umask //p')
[ -z "$mask" ] || umask "$mask"
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


def put_back(folder: str, run_id: str, commit: str, branch: str | None) -> Command:
    """Return the command that makes HEAD, index and work tree what ``save`` saw. Safe at any time and twice."""
    return script(_PUT_BACK, run_id, commit, branch or "", effect=Effect.DESTROY, cwd=folder, timeout=300)


def is_at(folder: str, commit: str) -> Command:
    """Return the check that HEAD is ``commit`` and no tracked file differs from it."""
    return script(
        _GIT + '[ "$(git rev-parse HEAD)" = "$1" ] && git diff --quiet HEAD --',
        commit,
        effect=Effect.READ,
        cwd=folder,
    )


_ADD_TREE = (
    _GIT
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
        _GIT + 'rm -rf -- "$1" && { git worktree remove -f -f "$1.whole" 2>/dev/null || rm -rf -- "$1.whole"; }',
        place,
        effect=Effect.WRITE,
        cwd=folder,
    )


_EXCLUDE = (
    _GIT
    + """\
file=$(git rev-parse --git-path info/exclude) || exit 1
grep -qxF "$1" "$file" 2>/dev/null && exit 0
mkdir -p "$(dirname "$file")" && printf '%s\\n' "$1" >>"$file"
"""
)


def exclude(folder: str, pattern: str) -> Command:
    """Return the command that keeps ``pattern`` out of git's sight in this checkout only."""
    return script(_EXCLUDE, pattern, effect=Effect.WRITE, cwd=folder)
