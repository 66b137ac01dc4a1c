"""rollback.redo and rollback.history: runs that have ended."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import rollback_task
from rollback_tasks.model.outcome import RunReport


@rollback_task("rollback.redo", help={"run": "the run to take back (default: the newest that changed the host)"})
def redo(context: Context, options: Options, *, run: str | None = None) -> RunReport:
    """Take a finished rollback back

    Code, images, schema and data become what they were before it. Runs what each step wrote down as its undo,
    newest first. What was written since stays beside, under another name.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import redo as flow

    wired = wire(options)
    return flow.redo(wired.request(options), wired.configs, wired.world, run_id=run)


@rollback_task("rollback.history")
def history(context: Context, options: Options) -> Answer:
    """Show the runs that hosts remember

    Newest first, and how each ended.
    """
    from rollback_tasks.cli import run_listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import redo as flow

    wired = wire(options)
    return run_listings.history(flow.history(wired.configs, wired.world))


RUNS = (redo, history)
