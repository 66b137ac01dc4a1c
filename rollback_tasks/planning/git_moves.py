"""Which steps take a checkout elsewhere, and what forbids it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rollback_tasks.drivers import git_revert
from rollback_tasks.drivers.git_history import Commit, Traits
from rollback_tasks.drivers.git_push import Remote
from rollback_tasks.drivers.git_refs import HEADS
from rollback_tasks.drivers.git_revert import Rehearsed, Signature
from rollback_tasks.model.facts import HostFacts
from rollback_tasks.model.plan import Blocker, HostPlan, HostState, Step
from rollback_tasks.model.project import Project
from rollback_tasks.model.release import Release
from rollback_tasks.model.request import RollbackRequest
from rollback_tasks.planning.checkout_guards import told, unmovable
from rollback_tasks.planning.planner import projected
from rollback_tasks.planning.target import Choice
from rollback_tasks.steps.create_branch import CreateBranch
from rollback_tasks.steps.make_reverts import MakeReverts
from rollback_tasks.steps.move_checkout import MoveCheckout
from rollback_tasks.steps.push_ref import PushRef
from rollback_tasks.steps.save_checkout import SaveCheckout

KEPT_RUNNING = "what runs is not changed: the containers keep their images, and the database its schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What a plan of git's is made from."""

    request: RollbackRequest
    project: Project
    facts: HostFacts
    current: Release

    def plan(
        self,
        does: str,
        steps: Sequence[Step],
        *,
        goal: Mapping[str, Any] = MappingProxyType({}),
        blockers: Sequence[Blocker] = (),
        warnings: Sequence[str] = (),
    ) -> HostPlan:
        """Return the plan; without steps where something forbids it.

        :param goal: what the host is afterwards, where that differs from what it is.
        """
        facts, current = self.facts, self.current
        same = {"commit": current.commit, "images": dict(current.images), "schema": list(current.schema)}
        start = HostState(
            checkout=facts.git.commit + ("+" if facts.git.dirty else ""),
            images={},
            running=dict(facts.running_images(self.project.app_services)),
            schema=facts.database.schema if facts.database else (),
        )
        done = () if blockers else tuple(steps)
        return HostPlan(
            host=facts.host,
            current=current,
            steps=done,
            blockers=tuple(blockers),
            warnings=tuple(warnings),
            start=start,
            end=projected(start, done),
            database=self.project.database,
            does=does,
            goal=same | dict(goal),
        )

    def idle(self, why: str) -> HostPlan:
        """Return a plan for a host that needs nothing."""
        return HostPlan(host=self.facts.host, current=self.current, database=self.project.database, noop_reason=why)

    def save(self, target: str) -> SaveCheckout:
        """Return the step that comes before any change."""
        changed = len(self.facts.git.dirty)
        return SaveCheckout(project_=self.project, run_id=self.request.run_id, target=target, changed=changed)

    def move(self, after: str, onto: str | None, way: str) -> MoveCheckout:
        """Return the step that takes the checkout to ``after``."""
        return MoveCheckout(
            project_=self.project,
            run_id=self.request.run_id,
            before=self.facts.git.commit,
            branch=self.facts.git.branch,
            after=after,
            onto=onto,
            way=way,
            is_dirty=bool(self.facts.git.dirty),
        )

    def saved_changes(self) -> Iterator[str]:
        """Yield what the operator should know of changes that a switch takes out of the work tree."""
        dirty = self.facts.git.dirty
        if dirty:
            shown = ", ".join(dirty[:5]) + (" ..." if len(dirty) > 5 else "")
            where = f"refs/rollback/{self.request.run_id}/worktree"
            yield f"changes in the work tree are saved as commit {where}, and untracked files stay: {shown}"


def forbidden(checkout: Checkout, traits: Traits) -> Iterator[Blocker]:
    """Yield why no change of the checkout may begin."""
    facts, folder = checkout.facts, checkout.project.folder
    if facts.git.unmerged or traits.operation:
        what = traits.operation or "merge"
        files = f": {', '.join(facts.git.unmerged[:5])}" if facts.git.unmerged else ""
        yield Blocker(
            f"the checkout holds an unfinished {what}{files}",
            f"finish it or take it back (`git {what} {'reset' if what == 'bisect' else '--abort'}` in {folder} on "
            f"{facts.host}), then plan again.",
        )
    yield from unmovable(facts, checkout.project, traits)


def back(checkout: Checkout, choice: Choice, traits: Traits) -> HostPlan:
    """Return the plan of ``rollback.git``: the work tree at a release's commit, on no branch, so that none is lost."""
    if choice.release is None:
        return checkout.plan("switch the checkout", (), blockers=(Blocker(choice.problem, choice.hint),))
    target, git = choice.release, checkout.facts.git
    if target.commit == git.commit:
        return checkout.idle(f"the checkout is at {target.label} ({git.commit[:12]})")
    warnings = [*checkout.saved_changes(), *told(traits), KEPT_RUNNING]
    made = checkout.plan(
        "switch the checkout",
        (checkout.save(target.commit), checkout.move(target.commit, None, "switch")),
        goal={"commit": target.commit, "names": list(target.names)},
        blockers=tuple(forbidden(checkout, traits)),
        warnings=warnings,
    )
    return replace(made, target=target)


def reset(checkout: Checkout, commit: str, mode: str, traits: Traits) -> HostPlan:
    """Return the plan of ``git.reset``.

    :param mode: ``soft`` leaves index and work tree alone; ``hard`` makes every tracked file what the commit has.
    """
    git = checkout.facts.git
    if commit == git.commit and (mode == "soft" or not git.dirty):
        return checkout.idle(f"HEAD is at {commit[:12]}")
    warnings = list(checkout.saved_changes()) if mode == "hard" else []
    warnings += [*told(traits), KEPT_RUNNING]
    if git.branch is not None and traits.published:
        warnings.append(
            f"{traits.published} commits that branch {git.branch} leaves were published: the next pull brings them "
            "back; `inv git.revert` takes them back for everybody"
        )
    way = "switch" if mode == "hard" else "point"
    return checkout.plan(
        f"reset {'branch ' + git.branch if git.branch else 'HEAD'} ({mode})",
        (checkout.save(commit), checkout.move(commit, git.branch, way)),
        goal={"commit": commit, "branch": git.branch},
        blockers=tuple(forbidden(checkout, replace(traits, moved=traits.moved if mode == "hard" else ()))),
        warnings=warnings,
    )


def revert(
    checkout: Checkout,
    commits: Sequence[Commit],
    mainline: int | None,
    signature: Signature,
    rehearsed: Rehearsed | None,
    traits: Traits,
    problems: Sequence[Blocker],
) -> HostPlan:
    """Return the plan of ``git.revert``.

    :param commits: what is taken back, newest first.
    :param rehearsed: what came of making the new commits beside the checkout; None where it was not tried.
    :param problems: why it cannot be, as the flow met it.
    """
    git, project = checkout.facts.git, checkout.project
    count = len(commits)
    after = rehearsed.made[-1] if rehearsed and rehearsed.made else git.commit
    warnings = []
    if git.branch is None:
        told_so = "HEAD is on no branch: the new commits hang on it alone; `inv git.push --ref HEAD:NAME` saves them"
        warnings.append(told_so)
    warnings += [*told(traits), KEPT_RUNNING]
    make = MakeReverts(
        project_=project,
        run_id=checkout.request.run_id,
        before=git.commit,
        commits=tuple(commit.commit for commit in commits),
        subjects=tuple(commit.subject for commit in commits),
        mainline=mainline,
        signature=signature,
        after=after,
    )
    return checkout.plan(
        f"revert {count} commit{'' if count == 1 else 's'}",
        (make, checkout.save(after), checkout.move(after, git.branch, "merge")),
        goal={"commit": after, "branch": git.branch, "reverted": [commit.commit for commit in commits]},
        blockers=(*forbidden(checkout, traits), *problems),
        warnings=warnings,
    )


def hotfix(
    checkout: Checkout, good: Release, name: str, remote: Remote | None, traits: Traits, problems: Sequence[Blocker]
) -> HostPlan:
    """Return the plan of ``git.hotfix``: a branch at a good commit, the host on it, and the branch at the remote.

    :param remote: what a push would meet; None where it could not be asked.
    """
    project, host = checkout.project, checkout.facts.host
    blockers = [*forbidden(checkout, traits), *problems]
    if remote is not None and remote.is_here:
        blockers.append(Blocker(f"a branch {name} is here already", "name another one with --name."))
    if remote is not None and remote.value:
        blockers.append(Blocker(f"{project.remote} has a branch {name} already", "name another one with --name."))
    push = PushRef(
        project_=project,
        run_id=checkout.request.run_id,
        source=good.commit,
        ref=HEADS + name,
        expected="",
        is_forced=False,
        is_protected=False,
    )
    steps = (
        checkout.save(good.commit),
        CreateBranch(project_=project, run_id=checkout.request.run_id, name=name, commit=good.commit),
        checkout.move(good.commit, name, "switch"),
        push,
    )
    warnings = [*checkout.saved_changes(), *told(traits), KEPT_RUNNING]
    warnings.append(f"`inv rollback.full --host {host} --to {good.label}` takes containers and schema there as well")
    made = checkout.plan(
        f"put the host onto new branch {name}",
        steps,
        goal={"commit": good.commit, "branch": name},
        blockers=blockers,
        warnings=warnings,
    )
    return replace(made, target=good)


def met(rehearsed: Rehearsed, code: int, said: str, commits: Sequence[Commit], host: str) -> list[Blocker]:
    """Return why commits cannot be reverted, from how their rehearsal ended.

    :param code: exit code of ``git_revert.rehearse``, ``said`` what it printed on stderr.
    """
    subject = next((commit.subject for commit in commits if commit.commit == rehearsed.stopped_at), "")
    what = f"{rehearsed.stopped_at[:12]} ({subject})"
    tail = "; ".join(said.strip().splitlines()[-3:])
    match code:
        case 0:
            return []
        case git_revert.CONFLICT:
            files = ", ".join(rehearsed.conflicts)
            hint = "revert what came after it as well (a range down to it), or mend the files by hand on a branch."
            return [Blocker(f"reverting {what} conflicts in {files}", hint)]
        case git_revert.EMPTY:
            return [Blocker(f"reverting {what} changes nothing: it is taken back already", "leave it out.")]
        case git_revert.IN_THE_WAY:
            hint = f"commit, stash or remove them on {host}, then plan again."
            return [Blocker(f"changes in the work tree are in the way: {tail}", hint)]
        case _:
            return [Blocker(f"git cannot revert {what}: {tail}")]
