"""git.*: what happened in the checkouts of hosts, and taking it back."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import UsageError
from rollback_tasks.model.outcome import RunReport


@rollback_task("git.log", help={"ref": "where to begin (default: HEAD)", "count": "commits to show"})
def log(context: Context, options: Options, *, ref: str | None = None, count: int = 10) -> Answer:
    """Show the last commits, and which are releases"""
    from rollback_tasks.cli import git_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_reading

    wired = wire(options)
    return git_listings.log(git_reading.log(wired.configs, wired.world, ref=ref or "HEAD", count=count))


@rollback_task("git.reflog", help={"count": "moves of HEAD to show"})
def reflog(context: Context, options: Options, *, count: int = 20) -> Answer:
    """Show where HEAD was before, newest first"""
    from rollback_tasks.cli import git_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_reading

    wired = wire(options)
    return git_listings.reflog(git_reading.reflog(wired.configs, wired.world, count=count))


@rollback_task(
    "git.revert",
    help={
        "commits": "OLDEST..NEWEST with both ends, single commits, or several of these with commas",
        "mainline": "for merges: the parent, from 1, whose side stays",
    },
)
def revert(context: Context, options: Options, *, commits: str | None = None, mainline: int | None = None) -> RunReport:
    """Take commits back by new ones

    The history stays, and so do changes in the work tree. A range includes its oldest commit. What conflicts is
    refused with the files named, and nothing is changed.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_checkout

    if commits is None:
        raise UsageError("--commits is needed", hint="`inv git.log --host NAME` shows the commits.")
    wired = wire(options)
    return git_checkout.revert(wired.request(options), wired.configs, wired.world, commits=commits, mainline=mainline)


@rollback_task(
    "git.reset",
    help={
        "to": "commit, tag, branch or release",
        "mode": "hard: the work tree becomes that of the commit; soft: index and work tree stay",
    },
)
def reset(context: Context, options: Options, *, to: str | None = None, mode: str = "hard") -> RunReport:
    """Move a branch elsewhere; all is saved first

    For commits that nobody else has yet. What was published is taken back by git.revert.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_checkout

    if to is None:
        raise UsageError("--to is needed", hint="`inv git.log --host NAME` shows the commits.")
    if mode not in ("soft", "hard"):
        raise UsageError(f"--mode: should be soft or hard, got {mode!r}", hint="`inv git.reset --help` shows both.")
    wired = wire(options)
    return git_checkout.reset(wired.request(options, to=to), wired.configs, wired.world, mode=mode)


@rollback_task(
    "git.recover",
    help={"commit": "what to recover, e.g. HEAD@{2}; without it the candidates are listed", "branch": "its new branch"},
)
def recover(
    context: Context, options: Options, *, commit: str | None = None, branch: str | None = None
) -> Answer | RunReport:
    """List commits that HEAD left, or save one

    Those are listed that nothing leads to any more; with --commit and --branch one gets a branch.
    """
    from rollback_tasks.cli import git_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_reading, git_sharing

    if (commit is None) != (branch is None):
        raise UsageError("--commit and --branch go together", hint="without both the candidates are listed.")
    wired = wire(options)
    if commit is None or branch is None:
        return git_listings.reflog(git_reading.lost(wired.configs, wired.world))
    return git_sharing.recover(wired.request(options), wired.configs, wired.world, commit=commit, branch=branch)


@rollback_task(
    "git.hotfix", help={"from_": "the good release, tag or commit", "name": "of the new branch, here and at the remote"}
)
def hotfix(context: Context, options: Options, *, from_: str | None = None, name: str | None = None) -> RunReport:
    """Put hosts onto a new branch at a good commit

    The branch is made, the host put onto it, and it is pushed. The checkout is saved first. Containers and database
    stay; rollback.full takes them to the same commit.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_checkout

    if from_ is None or name is None:
        raise UsageError("--from and --name are needed", hint="`inv release.list --host NAME` shows the good releases.")
    wired = wire(options)
    return git_checkout.hotfix(wired.request(options, to=from_), wired.configs, wired.world, name=name)


@rollback_task(
    "git.push",
    help={
        "ref": "branch, or SOURCE:BRANCH (default: the branch that HEAD is on)",
        "force": "overwrite the branch at the remote, with a lease; never a protected one",
    },
)
def push(context: Context, options: Options, *, ref: str | None = None, force: bool = False) -> RunReport:
    """Push a branch; never overwrites a protected one

    A forced push holds only while the remote's branch is what the plan showed.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import git_sharing

    wired = wire(options)
    return git_sharing.push(wired.request(options), wired.configs, wired.world, ref=ref, is_forced=force)


ns = collection("git", log, reflog, revert, reset, recover, hotfix, push)
