"""The commands that take a checkout elsewhere: ``rollback.git``, ``git.reset``, ``git.revert``, ``git.hotfix``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git_history, git_push, git_refs, git_revert
from rollback_tasks.drivers.git_history import Commit, Traits
from rollback_tasks.drivers.git_push import Remote
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.errors import UsageError
from rollback_tasks.flows import choosing
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import commits as commits_room
from rollback_tasks.planning import git_moves, target
from rollback_tasks.planning.git_moves import Checkout
from rollback_tasks.planning.parts import Share
from rollback_tasks.ports import Completed
from rollback_tasks.shell import Command


def back(request: RollbackRequest, configs: Sequence[HostConfig], world: World) -> RunReport:
    """Take the checkouts of hosts to a release, and nothing else. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=_back, asks="Switch the checkout of"))


def reset(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, mode: str) -> RunReport:
    """Move HEAD and its branch to ``request.to``. Raises as ``run``."""
    return run(
        request, configs, world, Procedure(plan=partial(_reset, mode=mode), asks=f"Reset ({mode}) the checkout of")
    )


def revert(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, commits: str, mainline: int | None
) -> RunReport:
    """Take commits back by new ones. Raises as ``run``.

    :raises UsageError: ``commits`` cannot be read, or names what is no commit.
    """
    try:
        ranges = commits_room.read_commits(commits)
    except ValueError as problem:
        raise UsageError(f"--commits: {problem}", details="nothing was changed") from None
    planned = partial(_revert, ranges=ranges, mainline=mainline)
    return run(request, configs, world, Procedure(plan=planned, asks="Revert commits on"))


def hotfix(request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, name: str) -> RunReport:
    """Put hosts onto a new branch at the good release ``request.to``, and push it. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=partial(_hotfix, name=name), asks="Make the hotfix branch on"))


def checkout_of(session: Session, request: RollbackRequest) -> Checkout:
    """Return what a plan is made from."""
    current = target.current_release(session.facts, session.project)
    return Checkout(request=request, project=session.project, facts=session.facts, current=current)


def asked(session: Session, world: World, command: Command) -> Completed:
    """Ask a host; it refuses what is not READ."""
    return world.read_only(session.host).run(command)


def traits_of(session: Session, world: World, commit: str) -> Traits:
    """Return what a move to ``commit`` has to mind."""
    project = session.project
    return git_history.read_traits(asked(session, world, git_history.traits(project.folder, commit)).text)


def signature_of(request: RollbackRequest) -> Signature:
    """Return who makes commits and tags where the checkout does not say it."""
    email = f"{request.operator}@{request.laptop}"
    return Signature(name=request.operator, email=email, at=int(request.now))


def must_be_nameable(session: Session, world: World, ref: str, flag: str) -> None:
    """Raise UsageError where git allows no such name."""
    if asked(session, world, git_refs.is_nameable(session.project.folder, ref)).exit_code:
        name = ref.removeprefix(git_refs.HEADS).removeprefix(git_refs.TAGS)
        raise UsageError(f"{flag}: git allows no name {name!r}", details="nothing was changed")


def look(session: Session, world: World, source: str, ref: str) -> tuple[Remote | None, tuple[Blocker, ...]]:
    """Ask the remote what a push would meet; where it does not answer, say so."""
    project = session.project
    answer = asked(session, world, git_push.look(project.folder, project.remote, source, ref))
    if answer.exit_code in (git_push.UNREACHED, git_push.REFUSED):
        said = "; ".join(answer.error_text.strip().splitlines()[-3:])
        what = "does not answer" if answer.exit_code == git_push.UNREACHED else "takes no push"
        hint = f"see what `git push --dry-run {project.remote}` says in {project.folder} on {session.facts.host}."
        return None, (Blocker(f"{project.remote} {what}: {said}", hint),)
    return git_push.read_look(answer.text), ()


def _back(session: Session, request: RollbackRequest, world: World, _share: Share | None) -> HostPlan:
    checkout = checkout_of(session, request)
    choice = choosing.choose(session, checkout.current, request.to)
    if choice.stays_because:
        return checkout.idle(choice.stays_because)
    traits = traits_of(session, world, choice.release.commit) if choice.release else Traits()
    return git_moves.back(checkout, choice, traits)


def _reset(session: Session, request: RollbackRequest, world: World, _share: Share | None, *, mode: str) -> HostPlan:
    checkout = checkout_of(session, request)
    release = choosing.named(session, checkout.current, request.to)
    return git_moves.reset(checkout, release.commit, mode, traits_of(session, world, release.commit))


def _revert(
    session: Session,
    request: RollbackRequest,
    world: World,
    _share: Share | None,
    *,
    ranges: Sequence[tuple[str, str]],
    mainline: int | None,
) -> HostPlan:
    checkout = checkout_of(session, request)
    folder, head = session.project.folder, session.facts.git.commit
    wanted: dict[str, None] = {}
    problems: list[Blocker] = []
    for oldest, newest in ranges:
        answer = asked(session, world, git_history.chain(folder, oldest, newest))
        if answer.exit_code == git_history.NONE_SUCH:
            hint = f"`inv git.log --host {session.facts.host}` shows what there is."
            what = answer.text.strip() or oldest
            raise UsageError(f"--commits: {what!r} is no commit", details="nothing was changed", hint=hint)
        if answer.exit_code:
            problems.append(
                Blocker(
                    f"{oldest} is not on the line of first parents that leads to {newest}",
                    "name the merge that brought it, or the commits one by one with commas.",
                )
            )
        wanted |= dict.fromkeys(answer.text.split())
    commits: tuple[Commit, ...] = ()
    if not problems:
        commits = git_history.read_log(asked(session, world, git_history.ordered(folder, tuple(wanted))).stdout)
        strange = [commit[:12] for commit in wanted if commit not in {found.commit for found in commits}]
        if strange:
            problems.append(Blocker(f"HEAD does not have {', '.join(strange)}: there is nothing to take back"))
        problems += _merges(session, world, commits, mainline)
    signature = signature_of(request)
    rehearsed = None
    if not problems:
        names = [commit.commit for commit in commits]
        answer = asked(session, world, git_revert.rehearse(folder, head, names, mainline, signature))
        rehearsed = git_revert.read_rehearsal(answer.stdout)
        problems += git_moves.met(rehearsed, answer.exit_code, answer.error_text, commits, session.facts.host)
    traits = traits_of(session, world, head)
    return git_moves.revert(checkout, commits, mainline, signature, rehearsed, traits, problems)


def _merges(session: Session, world: World, commits: Sequence[Commit], mainline: int | None) -> list[Blocker]:
    parents = {parent for commit in commits if commit.is_merge for parent in commit.parents}
    subjects: dict[str, str] = {}
    for parent in sorted(parents):
        answer = asked(session, world, git_history.log(session.project.folder, parent, 1))
        subjects |= {found.commit: found.subject for found in git_history.read_log(answer.stdout)}
    return commits_room.merge_problems(commits, subjects, mainline)


def _hotfix(session: Session, request: RollbackRequest, world: World, _share: Share | None, *, name: str) -> HostPlan:
    checkout = checkout_of(session, request)
    good = choosing.named(session, checkout.current, request.to)
    must_be_nameable(session, world, git_refs.HEADS + name, "--name")
    remote, problems = look(session, world, good.commit, git_refs.HEADS + name)
    if git_push.is_protected(name, session.config.git.protected_branches):
        problems = (*problems, Blocker(f"{name} is a protected branch", "name another one with --name."))
    return git_moves.hotfix(checkout, good, name, remote, traits_of(session, world, good.commit), problems)
