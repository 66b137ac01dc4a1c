"""Commands as root inside a host, past ssh."""

from __future__ import annotations

from rollback_tasks.errors import CommandTimedOut
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.fleet import Node
from rollback_tasks.shell import Command

_TIMED_OUT = 124  # what timeout(1) ends with


def run_inside(engine: Engine, node: Node, command: Command) -> Completed:
    """Run a command as root inside a host. Raises as ``Host.run``.

    Secrets travel on standard input and through the environment of the Docker client, never in argv.
    """
    words = ["docker", "exec", "--interactive"]
    if command.cwd is not None:
        words += ["--workdir", command.cwd]
    for name, value in command.env:
        words += ["--env", f"{name}={value}"]
    for name, _ in command.secret_env:
        words += ["--env", name]
    limit = ("timeout", "-k", "10", str(max(1, round(command.timeout))))
    answer = engine.run(
        Command(
            argv=(*words, node.container, *limit, *command.argv),
            effect=command.effect,
            secret_env=command.secret_env,
            stdin=command.stdin,
            secret_stdin=command.secret_stdin,
            timeout=command.timeout + 15,
            ok_codes=command.ok_codes | {_TIMED_OUT},
        )
    )
    if answer.exit_code == _TIMED_OUT and _TIMED_OUT not in command.ok_codes:
        raise CommandTimedOut(f"{command.argv[0]} was ended after {command.timeout:g} s", host=node.name)
    return answer
