"""Small tasks: `sample.say` shows what its body got, `sample.end` ends as it is told."""

from __future__ import annotations

import signal
import sys
from typing import Any

from invoke import Collection, Context, Exit, Result, UnexpectedExit

from rollback_tasks import errors
from rollback_tasks.cli import check_command_line
from rollback_tasks.cli.boundary import Answer
from rollback_tasks.cli.options import Options, Shape
from rollback_tasks.cli.task import collection, rollback_task
from rollback_tasks.errors import ExitCode


@rollback_task(
    "sample.say",
    help={"word": "a word", "count": "a number", "share": "a fraction", "to": "where", "tag": "tags", "loud": "loud"},
)
def say(
    context: Context,
    options: Options,
    *,
    word: str = "hello",
    count: int = 3,
    share: float | None = None,
    to: str | None = None,
    tag: tuple[str, ...] = (),
    loud: bool = False,
) -> Answer:
    """Say what it was told.

    The second paragraph is for --help.
    """
    sys.stderr.write("body ran\n")
    own = {"word": word, "count": count, "share": share, "to": to, "tag": tag, "loud": loud}
    shown = {name: value for name, value in own.items() if value not in (None, (), False)}
    return Answer(
        text=f"{','.join(options.hosts)} {shown} dry={options.is_dry_run} yes={options.is_confirmed}",
        fields={"hosts": list(options.hosts), "dry": options.is_dry_run},
    )


@rollback_task("sample.end", shape=Shape.LOCAL, help={"how": "an error, or an exit code", "lines": "on stdout"})
def end(context: Context, options: Options, *, how: str = "done", lines: int = 0) -> Answer | None:
    """End as it is told."""
    if sys.stderr is not None:
        sys.stderr.write("end ran\n")
        sys.stderr.flush()
    if how == "wait":
        signal.pause()
    if how in ("odd", "nothing"):
        odd: Any = 17
        return None if how == "nothing" else odd
    if how.upper() in ExitCode.__members__:
        text = "\n".join(f"line {number}" for number in range(lines))
        return Answer(text=text, fields={"lines": lines}, exit_code=ExitCode[how.upper()])
    if how == "sys.exit":
        sys.exit(42)
    raise {
        "interrupt": KeyboardInterrupt(),
        "zero": ZeroDivisionError("divided"),
        "exit": Exit("leaked", code=33),
        "unexpected": UnexpectedExit(Result(exited=77)),
        "config": errors.ConfigError("hosts.yaml", ["a: odd", "b: odd"], hint="Mend it."),
        "hostile": errors.CommandFailed(["git"], 3, "\x1b]0;title\x07red \u202eedoc", host="prod1"),
    }[how]


@rollback_task("sample.fleet", shape=Shape.FLEET)
def fleet(context: Context, options: Options) -> Answer:
    """Show how a fleet is walked."""
    return Answer(text=str(options.fleet))


@rollback_task("sample.build-up", shape=Shape.LOCAL, has_dry_run=False)
def build_up(context: Context, options: Options) -> Answer:
    """Build, with no way to rehearse."""
    return Answer(text="built")


ns = Collection(collection("sample", say, end, fleet, build_up))
check_command_line(ns)
