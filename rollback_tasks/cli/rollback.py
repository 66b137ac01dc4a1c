"""rollback.*: take hosts back."""

from __future__ import annotations

from dataclasses import replace

from invoke import Context

from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.model.outcome import RunReport

_HELP = {
    "to": "release to go back to: id in the ledger, tag, commit or image id (default: the last good one)",
    "accept_data_loss": "tables or table.columns that may be lost, as the plan names them; may be given again",
}


@rollback_task("rollback.full", shape=Shape.FLEET, help=_HELP)
def full(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Take code, images, compose file and schema back to the last good release

    Shows what it will do and cost, asks, keeps a proven way back at every moment, and proves what really runs.
    Exit codes: 0 done or nothing to do, 3 refused, 4 failed and put back, 5 needs a person, 6 locked, 7 unreachable.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    return rollback.full(wired.request(options, to=to, accepted=accept_data_loss), wired.configs, wired.world)


@rollback_task("rollback.plan", shape=Shape.FLEET, help=_HELP)
def plan(
    context: Context, options: Options, *, to: str | None = None, accept_data_loss: tuple[str, ...] = ()
) -> RunReport:
    """Show what rollback.full would do and cost, and change nothing"""
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import rollback

    wired = wire(options)
    request = wired.request(replace(options, is_dry_run=True), to=to, accepted=accept_data_loss)
    return rollback.full(request, wired.configs, wired.world)


@rollback_task("rollback.abort")
def abort(context: Context, options: Options) -> RunReport:
    """Put hosts back to what they were before a run that was left unfinished

    Works from any laptop: the run wrote its way back down on the host before each step.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import settle

    wired = wire(options)
    return settle.abort(wired.request(options), wired.configs, wired.world)


@rollback_task("rollback.resume")
def resume(context: Context, options: Options) -> RunReport:
    """Go on with a run that a laptop left unfinished

    Works from any laptop, from where the journal on the host ends; refused while the other laptop still lives.
    """
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import resume as flow

    wired = wire(options)
    return flow.resume(wired.request(options), wired.configs, wired.world)


ns = collection("rollback", full, plan, resume, abort)
