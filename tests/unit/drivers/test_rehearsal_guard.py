"""Only an alembic that trips over the mark of the scratch database is known to look at it."""

from __future__ import annotations

import shlex

import pytest

from rollback_tasks.drivers import rehearsal
from rollback_tasks.errors import CommandFailed
from rollback_tasks.shell import Effect, script
from rollback_tasks.transport.local import LocalHost


def asked(answer: str) -> str:
    """Return what is said of an alembic that answers so; empty where it is good."""
    body = f"TOKEN=probe-1; set -- sh -c {shlex.quote(answer)}\n{rehearsal._LOOKS_THERE}"
    try:
        LocalHost(name="prod1").run(script(body, effect=Effect.READ))
    except CommandFailed as error:
        return error.details
    return ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo \"Can't locate revision identified by 'probe-1'\" >&2; exit 255", ""),
        ("echo 0007; exit 0", "did not look at the scratch database"),
        ("echo probe-1; exit 0", "did not look at the scratch database"),
        ("echo no engine >&2; exit 1", "could not be asked which database it looks at; it said:\nno engine"),
        ("exit 137", "could not be asked"),
    ],
)
def test_what_is_not_known_is_not_called_good(answer: str, said: str) -> None:
    if said:
        assert said in asked(answer)
    else:
        assert asked(answer) == ""
