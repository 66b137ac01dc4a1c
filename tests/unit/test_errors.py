"""What an error says, and with which code it ends."""

from __future__ import annotations

import pytest

from rollback_tasks import errors
from rollback_tasks.errors import (
    CommandFailed,
    ConfigError,
    ConnectionLost,
    ExitCode,
    RollbackError,
    Unreachable,
    UsageError,
)

TEXTS = [
    (RollbackError("it broke"), "it broke"),
    (Unreachable("no route", host="prod1"), "prod1: no route"),
    (
        UsageError("--batch: odd", details="--canary: odd", hint="`inv --list` shows the tasks."),
        "--batch: odd\n--canary: odd\nHINT: `inv --list` shows the tasks.",
    ),
    (ConfigError("hosts.yaml", ["a: odd"]), "hosts.yaml: 1 problem\n  a: odd"),
    (ConfigError("h", ["a: odd", "b: odd"], hint="Mend it."), "h: 2 problems\n  a: odd\n  b: odd\nHINT: Mend it."),
    (CommandFailed(["git", "fetch"], 128, " fatal: no\n", host="p"), "p: git ended with exit code 128\nfatal: no"),
    (CommandFailed([], 1, ""), "command ended with exit code 1"),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: type(value).__name__)
def test_an_error_reads_as_brief_details_hint(error: RollbackError, text: str) -> None:
    assert str(error) == text


def test_a_long_stderr_is_cut_to_its_end() -> None:
    assert CommandFailed(["x"], 1, "a" * 5000 + "the end").details == "a" * 1993 + "the end"


# SPEC: 0 done, 1 a bug, 2 usage, 3 refused, 4 restored, 5 stranded, 6 locked, 7 unreachable, 8 declined, 9 problems.
CODES = {
    "RollbackError": 1,
    "UsageError": 2,
    "ConfigError": 2,
    "PlanRefused": 3,
    "StepFailed": 4,
    "Stranded": 5,
    "LockHeld": 6,
    "Unreachable": 7,
    "HostKeyUnknown": 7,
    "HostKeyChanged": 7,
    "AuthenticationFailed": 7,
    "ConnectionLost": 5,
    "CommandTimedOut": 4,
    "CommandFailed": 4,
    "NotReadOnly": 1,
    "Declined": 8,
    "ProblemsFound": 9,
    "MalformedAnswer": 4,
}


def test_every_error_has_its_exit_code() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RollbackError)]
    assert {kind.__name__: int(kind.exit_code) for kind in classes} == CODES


def test_exit_codes_are_what_readme_promises() -> None:
    assert [(code.name, int(code)) for code in ExitCode] == [
        ("DONE", 0),
        ("BUG", 1),
        ("USAGE", 2),
        ("REFUSED", 3),
        ("RESTORED", 4),
        ("STRANDED", 5),
        ("LOCKED", 6),
        ("UNREACHABLE", 7),
        ("DECLINED", 8),
        ("PROBLEMS", 9),
    ]


def test_a_lost_connection_is_not_a_plain_failure() -> None:
    """Its outcome is unknown: a caller that handles failed steps must not take it for one."""
    assert not issubclass(ConnectionLost, errors.StepFailed)
