"""Task names, flags, defaults, exit codes and the words of reports are public: scripts and people rely on them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from invoke import Collection, Program

from rollback_tasks.cli import ns
from rollback_tasks.errors import ExitCode
from rollback_tasks.model.outcome import Outcome, StepState
from rollback_tasks.model.verdict import VerdictKind

GOLDEN = Path(__file__).parent / "data" / "surface.json"
README = Path(__file__).parent.parent / "README.md"


def surface(root: Collection) -> dict[str, Any]:
    """Everything that an operator's script can lean on."""
    tasks = {
        context.name: {argument.names[0]: [argument.kind.__name__, argument.default] for argument in arguments}
        for context in root.to_contexts()
        for arguments in [sorted(context.args.values(), key=lambda argument: argument.names[0])]
    }
    return {
        "tasks": dict(sorted(tasks.items())),
        "exit_codes": {code.name.lower(): int(code) for code in ExitCode},
        "outcomes": [outcome.value for outcome in Outcome],
        "step_states": [state.value for state in StepState],
        "verdicts": [kind.value for kind in VerdictKind],
    }


def test_nothing_public_changed_unnoticed(request: pytest.FixtureRequest) -> None:
    now = json.dumps(surface(ns), indent=1, ensure_ascii=False) + "\n"
    if request.config.getoption("--write-changes"):
        GOLDEN.write_text(now, encoding="utf-8")
    assert now == GOLDEN.read_text(encoding="utf-8"), "`make surface` writes it anew; a rename needs an alias"


def test_every_task_says_what_it_does_and_what_its_flags_are() -> None:
    silent = []
    for context in ns.to_contexts():
        if not (ns[context.name].__doc__ or "").strip():
            silent.append(context.name)
        silent += [f"{context.name} --{argument.name}" for argument in context.args.values() if not argument.help]
    assert silent == []


def test_the_list_shows_one_line_a_task_at_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Program(namespace=ns).run(["inv", "--list"], exit=False)
    shown = [line for line in capsys.readouterr().out.splitlines()[1:] if line]
    wrapped = [f"{shown[at - 1].strip()} / {line.strip()}" for at, line in enumerate(shown) if line.startswith("   ")]
    assert wrapped == [], "the first line of a docstring is what --list shows; what does not fit goes below it"
    assert len(shown) == len(ns.task_names)


def test_no_task_takes_a_short_flag_or_a_positional_word() -> None:
    short = {
        f"{context.name}: {argument.names}"
        for context in ns.to_contexts()
        for argument in context.args.values()
        if argument.positional or len(argument.names) > 1
    }
    assert short == set()


def test_readmes_table_names_every_task_once() -> None:
    section = README.read_text(encoding="utf-8").partition("\n## Tasks\n")[2].partition("\n## ")[0]
    firsts = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    named = Counter(name for cell in firsts for name in re.findall(r"`([a-z]+\.[a-z-]+)", cell))
    tasks = Counter(context.name for context in ns.to_contexts())
    assert (tasks - named, named - tasks) == (Counter(), Counter())
