"""git: send a branch or a tag to a remote, and take it back from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rollback_tasks.drivers.git import GIT
from rollback_tasks.drivers.git_refs import HEADS, UNNAMEABLE
from rollback_tasks.shell import Command, Effect, script


@dataclass(frozen=True, slots=True, kw_only=True)
class Refspec:
    """What to push where.

    :param source: as the operator named it; ``ref`` is the whole name at the remote.
    :param problem: why it cannot be meant; empty where it can.
    """

    source: str = ""
    ref: str = ""
    is_forced: bool = False
    problem: str = ""

    @property
    def branch(self) -> str:
        """The branch at the remote."""
        return self.ref.removeprefix(HEADS)


def read_refspec(text: str, *, branch: str | None, remote: str) -> Refspec:
    """Given ``branch``, ``src:dst`` or either with a ``+``, return what is meant, by git's own rules for short names.

    :param branch: the one that HEAD is on; None when detached.
    """
    is_forced = text.startswith("+")
    source, colon, there = text.removeprefix("+").partition(":")
    if source in ("HEAD", "@") and not colon:
        if branch is None:
            return Refspec(is_forced=is_forced, problem="HEAD is on no branch: say where to push to (HEAD:NAME)")
        source = there = HEADS + branch
    if not source:
        return Refspec(is_forced=is_forced, problem="this would delete at the remote, which no task here does")
    if colon and not there:
        return Refspec(is_forced=is_forced, problem=f"{text!r} does not say where to push to")
    name = there or source
    for prefix in (HEADS, f"refs/remotes/{remote}/", f"remotes/{remote}/", "heads/", f"{remote}/"):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    if name.startswith("refs/") or name in ("", "HEAD", "@") or any(mark in name for mark in "*?[:^~ \\\n"):
        return Refspec(is_forced=is_forced, problem=f"{there or source!r} is no branch at the remote")
    return Refspec(source=source, ref=HEADS + name, is_forced=is_forced)


def is_protected(ref: str, patterns: Sequence[str]) -> bool:
    """True where a branch must never be overwritten. Case counts for nothing: for some remotes it does not."""
    name = ref.removeprefix(HEADS).casefold()
    return any(fnmatchcase(name, pattern.removeprefix(HEADS).casefold()) for pattern in patterns)


# What stands in front of every script that talks to a remote: nothing may ask, and no password that stands in a URL may
# come back in a message. `remote_value` leaves the object that a ref is at the remote in $value ('' = none).
_REMOTE = (
    GIT
    + """\
GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-$(git config core.sshCommand || echo ssh)} -oBatchMode=yes"
export GIT_SSH_COMMAND GIT_ASKPASS=true SSH_ASKPASS=true
clean() { sed 's#://[^/@[:space:]]*@#://#g'; }
tell() { printf '%s\\n' "$1" | clean | tail -n 5 >&2; }
remote_value() {
  value= link=
  heard=$(git ls-remote --symref "$1" "$2" 2>&1) || { tell "$heard"; return 1; }
  while IFS='	' read -r seen called; do
    [ "$called" = "$2" ] || continue
    case $seen in "ref: "*) link=${seen#ref: } ;; *) value=$seen ;; esac
  done <<END
$heard
END
}
"""
)

_LOOK = (
    _REMOTE
    + """\
remote=$1 source=$2 ref=$3
git check-ref-format "$ref" || exit 5
object=
case $source in
  -*) ;;
  refs/*) object=$(git rev-parse --verify -q "$source") ;;
  *) object=$(git rev-parse --verify -q "refs/heads/$source") ||
    object=$(git rev-parse --verify -q "$source^{commit}") ;;
esac
echo "object=$object"
git rev-parse --verify -q "$ref" >/dev/null && echo here=yes
[ "$(git config --get-all "remote.$remote.url" | wc -l)" -le 1 ] &&
  [ "$(git config --get-all "remote.$remote.pushurl" | wc -l)" -le 1 ] || echo several=yes
[ "$(git config --bool "remote.$remote.mirror")" != true ] || echo mirror=yes
there=$(git config "remote.$remote.pushurl" || printf %s "$remote")
git remote get-url "$remote" >/dev/null 2>&1 || { echo "there is no remote $remote" >&2; exit 6; }
remote_value "$there" "$ref" || exit 6
echo "value=$value"
echo "link=$link"
forward=
if [ -n "$object" ] && [ "$value" != "$object" ]; then
  if [ -z "$value" ] || git merge-base --is-ancestor "$value" "$object" 2>/dev/null; then forward=yes; fi
fi
if [ -n "$forward" ]; then
  echo forward=yes
  heard=$(git push -q --dry-run --no-verify --no-follow-tags --recurse-submodules=no "$remote" "$object:$ref" 2>&1) ||
    { tell "$heard"; exit 7; }
fi
exit 0
"""
)

UNREACHED, REFUSED = 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What a push would meet.

    :param object: what the source means here; empty where it means nothing.
    :param value: what the ref is at the remote; empty where it has none.
    :param link: the ref that it stands for at the remote, where it is a symbolic one.
    :param is_forward: the remote takes the source without force: it has no such ref, or an ancestor of it.
    :param is_here: a ref of that name is in this checkout.
    :param is_several: the remote has several addresses; ``is_mirror``: it is one that every ref is pushed to.
    """

    object: str = ""
    value: str = ""
    link: str = ""
    is_forward: bool = False
    is_here: bool = False
    is_several: bool = False
    is_mirror: bool = False


def look(folder: str, remote: str, source: str, ref: str) -> Command:
    """Return the command that asks a remote what a push would meet; nothing is sent.

    Exit codes: 5 the name is none that git allows, 6 the remote does not answer, 7 it would take no push.
    """
    return script(
        _LOOK,
        remote,
        source,
        ref,
        effect=Effect.READ,
        cwd=folder,
        timeout=90,
        ok_codes=frozenset({0, UNNAMEABLE, UNREACHED, REFUSED}),
    )


def read_look(text: str) -> Remote:
    """Given the answer of ``look``, return it as values."""
    said = dict(line.partition("=")[::2] for line in text.splitlines())
    return Remote(
        object=said.get("object", ""),
        value=said.get("value", ""),
        link=said.get("link", ""),
        is_forward="forward" in said,
        is_here="here" in said,
        is_several="several" in said,
        is_mirror="mirror" in said,
    )


# A lease is a push that the remote takes only while the ref is what is named here; for a new one: while there is none.
# What a forced push overwrites is fetched and kept. What may have reached the remote is noted first, and the note goes
# where it surely did not come from here: the remote refused it, or had it from somebody else by then.
_PUSH = (
    _REMOTE
    + """\
remote=$1 source=$2 ref=$3 expected=$4 forced=$5 run=$6
there=$(git config "remote.$remote.pushurl" || printf %s "$remote")
new=$(git rev-parse --verify -q "$source") || { echo "there is no $source" >&2; exit 1; }
remote_value "$there" "$ref" || exit 1
[ "$value" != "$new" ] || exit 0
[ "$value" = "$expected" ] || { echo "$ref at $remote is ${value:-gone}, not ${expected:-new} any more" >&2; exit 1; }
if [ -n "$forced" ] && [ -n "$expected" ]; then
  # What goes at the remote may never have been here: without it nobody could give it back.
  gone=refs/rollback/$run/overwritten
  heard=$(git fetch -q --no-tags --recurse-submodules=no "$there" "+$ref:$gone" 2>&1) || { tell "$heard"; exit 1; }
  [ "$(git rev-parse --verify -q "$gone")" = "$expected" ] || { echo "$ref at $remote moved meanwhile" >&2; exit 1; }
fi
git update-ref "refs/rollback/$run/pushed" "$new" || exit 1
set -- "$remote" "$new:$ref"
if [ -n "$forced" ] || [ -z "$expected" ]; then set -- "--force-with-lease=$ref:$expected" "$@"; fi
heard=$(git -c push.gpgSign=false push --porcelain --no-verify --no-follow-tags --recurse-submodules=no "$@" 2>&1)
code=$?
[ "$code" = 0 ] || tell "$heard"
case $heard in
  *"
=	"* | *"
!	"*"[rejected]"* | *"
!	"*"[remote rejected]"*) git update-ref -d "refs/rollback/$run/pushed" ;;
  *)
    if [ "$code" != 0 ] && remote_value "$there" "$ref" && [ "$value" = "$expected" ]; then
      git update-ref -d "refs/rollback/$run/pushed"
    fi ;;
esac
exit "$code"
"""
)

# What others pushed since is theirs: it stays.
_UNPUSH = (
    _REMOTE
    + """\
remote=$1 ref=$2 expected=$3 run=$4
new=$(git rev-parse --verify -q "refs/rollback/$run/pushed") || exit 0
there=$(git config "remote.$remote.pushurl" || printf %s "$remote")
remote_value "$there" "$ref" || exit 1
if [ "$value" = "$new" ]; then
  heard=$(git -c push.gpgSign=false push -q --no-verify --no-follow-tags --recurse-submodules=no \\
    "--force-with-lease=$ref:$new" "$remote" "$expected:$ref" 2>&1) || { tell "$heard"; exit 1; }
else
  echo "$ref at $remote is ${value:-gone} by now; it is left so"
fi
git update-ref -d "refs/rollback/$run/pushed"
"""
)


def push(folder: str, run_id: str, remote: str, source: str, ref: str, *, expected: str, is_forced: bool) -> Command:
    """Return the command that pushes to a ref that is ``expected`` at the remote (empty = there is none).

    :param is_forced: overwrite it, with a lease on ``expected``; else the remote takes only what comes after it.
    """
    return script(
        _PUSH,
        remote,
        source,
        ref,
        expected,
        "yes" if is_forced else "",
        run_id,
        effect=Effect.DESTROY if is_forced else Effect.WRITE,
        cwd=folder,
        timeout=180,
    )


def is_pushed(folder: str, remote: str, source: str, ref: str) -> Command:
    """Return the check that a ref at the remote is what ``source`` is here."""
    return script(
        _REMOTE
        + 'there=$(git config "remote.$1.pushurl" || printf %s "$1")\n'
        + 'new=$(git rev-parse --verify -q "$2") && remote_value "$there" "$3" && [ "$value" = "$new" ]',
        remote,
        source,
        ref,
        effect=Effect.READ,
        cwd=folder,
        timeout=60,
    )


def unpush(folder: str, run_id: str, remote: str, ref: str, *, expected: str) -> Command:
    """Return the command that gives a ref at the remote back what it was, while it is what ``push`` made of it. Safe
    where nothing was pushed, and twice."""
    return script(_UNPUSH, remote, ref, expected, run_id, effect=Effect.DESTROY, cwd=folder, timeout=180)
