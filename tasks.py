"""The tasks that `inv` finds."""

from rollback_tasks.cli import check_command_line, ns

check_command_line(ns)
