"""Branches, tags and pushes: which steps, and what forbids them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollback_tasks.drivers.git_history import Traits
from rollback_tasks.drivers.git_push import Refspec, Remote, is_protected
from rollback_tasks.drivers.git_refs import HEADS, TAGS
from rollback_tasks.drivers.git_revert import Signature
from rollback_tasks.model.plan import Blocker, HostPlan, Step
from rollback_tasks.model.release import Release
from rollback_tasks.planning.git_moves import Checkout
from rollback_tasks.steps.create_branch import CreateBranch
from rollback_tasks.steps.create_tag import CreateTag
from rollback_tasks.steps.push_ref import PushRef


def recover(checkout: Checkout, commit: str, name: str, there: str) -> HostPlan:
    """Return the plan of ``git.recover``: a branch at a commit that nothing leads to any more.

    :param there: the commit that a branch of that name is at; empty where there is none.
    """
    if there == commit:
        return checkout.idle(f"branch {name} is at {commit[:12]}")
    blockers = []
    if there:
        blockers.append(Blocker(f"a branch {name} is here already, at {there[:12]}", "name another one with --branch."))
    step = CreateBranch(project_=checkout.project, run_id=checkout.request.run_id, name=name, commit=commit)
    stays = (
        f"the checkout stays where it is; `inv rollback.git --host {checkout.facts.host} --to {name}` switches to it"
    )
    return checkout.plan(
        f"make branch {name}",
        (step,),
        goal={"branches": {name: commit}},
        blockers=blockers,
        warnings=(stays,),
    )


def unsendable(checkout: Checkout, remote: Remote) -> Iterator[Blocker]:
    """Yield why a push to this remote would do something else than what is shown."""
    name = checkout.project.remote
    if remote.is_several or remote.is_mirror:
        what = "is a mirror: every push sends all refs" if remote.is_mirror else "has several addresses"
        yield Blocker(
            f"remote {name} {what}",
            f"name another one under git.remote of {checkout.facts.host} in hosts.yaml.",
        )


def refused_by_name(
    checkout: Checkout, refs: Sequence[str], protected: Sequence[str], *, is_forced: bool
) -> Iterator[Blocker]:
    """Yield a blocker where a protected branch would be overwritten.

    :param refs: the branch as it was named, and the one that it stands for at the remote.
    """
    hit = next((ref for ref in refs if ref and is_protected(ref, protected)), None)
    if is_forced and hit is not None:
        yield Blocker(
            f"{hit.removeprefix(HEADS)} is a protected branch: it is never overwritten, whatever the flags",
            f"take commits back in the open: `inv git.revert --host {checkout.facts.host} --commits A..B`, "
            "then push without --force.",
        )


def push(
    checkout: Checkout,
    spec: Refspec,
    remote: Remote,
    traits: Traits,
    protected: Sequence[str],
    *,
    is_forced: bool,
) -> HostPlan:
    """Return the plan of ``git.push``."""
    project, host = checkout.project, checkout.facts.host
    refs = (spec.ref, remote.link)
    keeps = any(ref and is_protected(ref, protected) for ref in refs)
    blockers = [
        *refused_by_name(checkout, refs, protected, is_forced=is_forced),
        *unsendable(checkout, remote),
    ]
    if not remote.object:
        blockers.append(
            Blocker(f"{spec.source!r} is no commit here", f"`inv git.log --host {host}` shows what there is.")
        )
    elif remote.object == remote.value and not blockers:
        return checkout.idle(f"{spec.branch} at {project.remote} is at {remote.value[:12]}")
    elif not remote.is_forward and not is_forced:
        blockers.append(
            Blocker(
                f"{spec.branch} at {project.remote} is at {remote.value[:12]}, which is no ancestor of "
                f"{remote.object[:12]}",
                f"fetch and put yours on top of it (`git pull --rebase` in {project.folder} on {host})."
                if keeps
                else "add --force to overwrite it, as long as nobody pushes in between.",
            )
        )
    overwrites = is_forced and not remote.is_forward
    warnings = []
    if keeps:
        warnings.append(f"{spec.branch} is protected: what is pushed stays there, and `rollback.redo` leaves it")
    if traits.has_lfs:
        warnings.append("files are kept by Git LFS: hooks do not run here, so send them first (`git lfs push`)")
    if overwrites:
        warnings.append(f"commits that only {spec.branch} at {project.remote} has are overwritten: {remote.value[:12]}")
    step: Step = PushRef(
        project_=project,
        run_id=checkout.request.run_id,
        source=remote.object,
        ref=spec.ref,
        expected=remote.value,
        is_forced=overwrites,
        is_protected=keeps,
    )
    goal = {"pushed": {spec.ref: remote.object}}
    return checkout.plan(f"push {spec.branch}", (step,), goal=goal, blockers=blockers, warnings=warnings)


def tag(
    checkout: Checkout,
    release: Release,
    name: str,
    message: str,
    signature: Signature,
    here: tuple[str, str],
    remote: Remote | None,
    problems: Sequence[Blocker],
) -> HostPlan:
    """Return the plan of ``release.tag``.

    :param here: the object and the commit of a tag of that name here; empty where there is none.
    :param remote: what a push would meet; None where none was asked for.
    """
    project = checkout.project
    object_here, commit_here = here
    blockers = list(problems)
    steps: list[Step] = []
    if not commit_here:
        steps.append(
            CreateTag(
                project_=project,
                run_id=checkout.request.run_id,
                name=name,
                commit=release.commit,
                message=message,
                signature=signature,
            )
        )
    elif commit_here != release.commit:
        blockers.append(
            Blocker(
                f"tag {name} is there already, at commit {commit_here[:12]}; a tag is never moved",
                "name another one with --name.",
            )
        )
    if remote is not None:
        blockers += unsendable(checkout, remote)
        if remote.value and remote.value != object_here:
            blockers.append(
                Blocker(
                    f"{project.remote} has another tag {name} ({remote.value[:12]}); a tag is never moved",
                    "name another one with --name.",
                )
            )
        elif not remote.value:
            steps.append(
                PushRef(
                    project_=project,
                    run_id=checkout.request.run_id,
                    source=TAGS + name,
                    ref=TAGS + name,
                    expected="",
                    is_forced=False,
                    is_protected=False,
                )
            )
    if not steps and not blockers:
        return checkout.idle(f"tag {name} is at {release.commit[:12]}")
    return checkout.plan(
        f"tag {release.label} as {name}",
        steps,
        goal={"tags": {name: release.commit}},
        blockers=blockers,
    )
