"""The commands that make branches and tags, and those that push: ``git.recover``, ``git.push``, ``release.tag``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rollback_tasks.config.schema import HostConfig
from rollback_tasks.drivers import git, git_push, git_refs
from rollback_tasks.drivers.git_push import Remote
from rollback_tasks.errors import UsageError
from rollback_tasks.flows import choosing
from rollback_tasks.flows.git_checkout import (
    asked,
    checkout_of,
    look,
    must_be_nameable,
    signature_of,
    traits_of,
)
from rollback_tasks.flows.run import Procedure, run
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.outcome import RunReport
from rollback_tasks.model.plan import Blocker, HostPlan
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning import git_sharing
from rollback_tasks.planning.parts import Share


def recover(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, commit: str, branch: str
) -> RunReport:
    """Make ``branch`` at a commit that was lost. Raises as ``run``."""
    planned = partial(_recover, commit=commit, branch=branch)
    return run(request, configs, world, Procedure(plan=planned, asks=f"Make branch {branch} on"))


def push(
    request: RollbackRequest, configs: Sequence[HostConfig], world: World, *, ref: str | None, is_forced: bool
) -> RunReport:
    """Push a branch. Raises as ``run``."""
    return run(request, configs, world, Procedure(plan=partial(_push, ref=ref, is_forced=is_forced), asks="Push from"))


def tag(
    request: RollbackRequest,
    configs: Sequence[HostConfig],
    world: World,
    *,
    name: str,
    message: str | None,
    is_pushed: bool,
) -> RunReport:
    """Tag the release that ``request.to`` names, or the one that runs. Raises as ``run``."""
    planned = partial(_tag, name=name, message=message, is_pushed=is_pushed)
    return run(request, configs, world, Procedure(plan=planned, asks="Tag the release of"))


def _recover(
    session: Session, request: RollbackRequest, world: World, _share: Share | None, *, commit: str, branch: str
) -> HostPlan:
    project = session.project
    must_be_nameable(session, world, git_refs.HEADS + branch, "--branch")
    found = asked(session, world, git.resolve(project.folder, commit)).text.strip()
    if not found:
        hint = f"`inv git.recover --host {session.facts.host}` lists what can be recovered."
        raise UsageError(f"--commit: {commit!r} is no commit here", details="nothing was changed", hint=hint)
    there = asked(session, world, git.resolve(project.folder, git_refs.HEADS + branch)).text.strip()
    return git_sharing.recover(checkout_of(session, request), found, branch, there)


def _push(
    session: Session, request: RollbackRequest, world: World, _share: Share | None, *, ref: str | None, is_forced: bool
) -> HostPlan:
    checkout = checkout_of(session, request)
    project, protected = session.project, session.config.git.protected_branches
    spec = git_push.read_refspec(ref or "HEAD", branch=session.facts.git.branch, remote=project.remote)
    is_forced = is_forced or spec.is_forced
    if spec.problem:
        return checkout.plan("push", (), blockers=(Blocker(spec.problem, "say it with --ref SOURCE:BRANCH."),))
    refused = tuple(git_sharing.refused_by_name(checkout, (spec.ref,), protected, is_forced=is_forced))
    if refused:
        return checkout.plan("push", (), blockers=refused)
    must_be_nameable(session, world, spec.ref, "--ref")
    remote, problems = look(session, world, spec.source, spec.ref)
    if remote is None:
        return checkout.plan("push", (), blockers=problems)
    traits = traits_of(session, world, "HEAD")
    return git_sharing.push(checkout, spec, remote, traits, protected, is_forced=is_forced)


def _tag(
    session: Session,
    request: RollbackRequest,
    world: World,
    _share: Share | None,
    *,
    name: str,
    message: str | None,
    is_pushed: bool,
) -> HostPlan:
    checkout = checkout_of(session, request)
    release = checkout.current if request.to is None else choosing.named(session, checkout.current, request.to)
    ref = git_refs.TAGS + name
    must_be_nameable(session, world, ref, "--name")
    here = asked(session, world, git_refs.value(session.project.folder, ref)).text.split()
    remote: Remote | None = None
    problems: tuple[Blocker, ...] = ()
    if is_pushed:
        remote, problems = look(session, world, release.commit, ref)
    text = message or f"Release {name}"
    return git_sharing.tag(
        checkout,
        release,
        name,
        text,
        signature_of(request),
        (here[0], here[1]) if len(here) == 2 else ("", ""),
        remote,
        problems,
    )
