"""host.doctor: what a rollback would need."""

from __future__ import annotations

from invoke import Context

from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options
from rollback_tasks.cli.task import rollback_task
from rollback_tasks.errors import ExitCode
from rollback_tasks.model.outcome import worst


@rollback_task(
    "host.doctor",
    help={"prove_archive": "also finish the current segment of the log and wait until it is archived; this writes"},
)
def doctor(context: Context, options: Options, *, prove_archive: bool = False) -> Answer:
    """Check all that a rollback would need

    To be run before one is needed. Exit code 9 where something would keep a rollback from working, with the command
    to type next. Warnings do not count.
    """
    from rollback_tasks.cli import listings
    from rollback_tasks.cli.wiring import wire
    from rollback_tasks.flows import doctor as flow
    from rollback_tasks.reporting.tables import table

    wired = wire(options)
    proves = prove_archive and not options.is_dry_run
    found = flow.examined(wired.configs, wired.world, proves_archive=proves)
    rows = [(host.host, one.check, one.result, one.text, one.next) for host in found for one in host.checks]
    hosts = [
        {
            "host": host.host,
            "checks": [
                {"check": one.check, "result": one.result.lower(), "text": one.text, "next": one.next or None}
                for one in host.checks
            ],
            **listings.error_fields(host.error),
        }
        for host in found
    ]
    said = table(("host", "check", "result", "says", "next"), rows)
    answer = listings.answer(said, hosts, [host.error for host in found])
    has_problem = any(one.problem for host in found for one in host.checks)
    code = worst([answer.exit_code, ExitCode.PROBLEMS if has_problem else ExitCode.DONE])
    following = next((one.next for host in found for one in host.checks if one.problem and one.next), None)
    return Answer(text=answer.text, fields={**answer.fields, "next": following}, exit_code=code)
