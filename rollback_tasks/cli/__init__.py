"""The only room that knows Invoke: flags become values, errors become exit codes."""

from __future__ import annotations

from importlib import import_module

from invoke import Collection

from rollback_tasks.cli.arguments import check_command_line

__all__ = ["check_command_line", "ns"]

# Modules of this room that define a collection `ns`, in the order of README's table.
_MODULES: tuple[str, ...] = (
    "rollback",
    "scenario",
    "release",
    "git",
    "backup",
    "db",
    "verify",
    "host",
    "lock",
    "sandbox",
)

ns = Collection(*(import_module(f"rollback_tasks.cli.{name}").ns for name in _MODULES))
