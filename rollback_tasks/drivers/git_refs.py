"""git: make a branch or an annotated tag, and take it away again."""

from __future__ import annotations

from rollback_tasks.drivers.git import GIT
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.shell import Command, Effect, script

HEADS, TAGS = "refs/heads/", "refs/tags/"

UNNAMEABLE = 5


def is_nameable(folder: str, ref: str) -> Command:
    """Return the command that ends with 0 where git allows the name, and with 5 where it does not."""
    return script(
        GIT + 'case ${1#refs/*/} in -*) exit 5 ;; esac; git check-ref-format "$1" || exit 5',
        ref,
        effect=Effect.READ,
        cwd=folder,
        ok_codes=frozenset({0, UNNAMEABLE}),
    )


def value(folder: str, ref: str) -> Command:
    """Return the command that prints what a ref is, and the commit that it leads to; nothing where there is none."""
    return script(
        GIT + 'git rev-parse --verify -q "$1" && git rev-parse --verify -q "$1^{commit}" || :',
        ref,
        effect=Effect.READ,
        cwd=folder,
    )


def create_branch(folder: str, run_id: str, name: str, commit: str) -> Command:
    """Return the command that makes a branch; one that is there already at another commit is left alone, and fails."""
    return script(
        GIT
        + '[ "$(git rev-parse -q --verify "refs/heads/$2")" = "$3" ] || '
        + 'git update-ref --create-reflog -m "rollback $1" "refs/heads/$2" "$3" ""',
        run_id,
        name,
        commit,
        effect=Effect.WRITE,
        cwd=folder,
    )


_DELETE_BRANCH = (
    GIT
    + """\
ref=refs/heads/$1
[ "$(git rev-parse -q --verify "$ref")" = "$2" ] || exit 0
[ "$(git symbolic-ref -q HEAD)" != "$ref" ] || git update-ref --no-deref HEAD "$2" || exit 1
git update-ref -d "$ref" "$2"
"""
)


def delete_branch(folder: str, name: str, commit: str) -> Command:
    """Return the command that takes a branch away while it is at ``commit``. Safe where there is none, and twice."""
    return script(_DELETE_BRANCH, name, commit, effect=Effect.WRITE, cwd=folder)


_CREATE_TAG = (
    GIT
    + """\
run=$1 name=$2 commit=$3 message=$4 who=$5 where=$6 when=$7
made=$(git rev-parse -q --verify "refs/rollback/$run/tag") || {
  who=$(git config user.name || printf %s "$who")
  where=$(git config user.email || printf %s "$where")
  made=$(printf 'object %s\\ntype commit\\ntag %s\\ntagger %s <%s> %s +0000\\n\\n%s\\n' \\
    "$commit" "$name" "$who" "$where" "$when" "$message" | git mktag) || exit 1
  git update-ref "refs/rollback/$run/tag" "$made" || exit 1
}
[ "$(git rev-parse -q --verify "refs/tags/$name")" = "$made" ] || git update-ref "refs/tags/$name" "$made" ""
"""
)

_DELETE_TAG = (
    GIT
    + """\
made=$(git rev-parse -q --verify "refs/rollback/$1/tag") || exit 0
if [ "$(git rev-parse -q --verify "refs/tags/$2")" = "$made" ]; then
  git update-ref -d "refs/tags/$2" "$made" || exit 1
fi
git update-ref -d "refs/rollback/$1/tag"
"""
)


def create_tag(folder: str, run_id: str, name: str, commit: str, message: str, who: Signature) -> Command:
    """Return the command that makes an annotated tag; one that is there already is left alone, and fails."""
    words = (name, commit, message, *who.words)
    return script(_CREATE_TAG, run_id, *words, effect=Effect.WRITE, cwd=folder)


def delete_tag(folder: str, run_id: str, name: str) -> Command:
    """Return the command that takes away the tag that the run made. Safe where it made none, and twice."""
    return script(_DELETE_TAG, run_id, name, effect=Effect.WRITE, cwd=folder)


def points_to(folder: str, ref: str, commit: str) -> Command:
    """Return the check that a ref leads to ``commit``."""
    return script(
        GIT + '[ "$(git rev-parse -q --verify "$1^{commit}")" = "$2" ]', ref, commit, effect=Effect.READ, cwd=folder
    )
