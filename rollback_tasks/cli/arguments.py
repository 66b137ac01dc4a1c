"""Refuse a command line that Invoke cannot read with the exit code that README promises.

Invoke ends with 1 for an unknown flag, which is the code for a bug here. Its own parser is therefore
asked a moment earlier, while ``tasks.py`` is loaded, and what it refuses ends with 2.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from invoke import Collection, Exit, ParseError, Program
from invoke.parser import Parser
from invoke.parser.context import ParserContext

from rollback_tasks.cli.boundary import Boundary, Result
from rollback_tasks.cli.state import state_folder
from rollback_tasks.errors import UsageError


def check_command_line(ns: Collection) -> None:
    """Given the root collection, refuse ``sys.argv`` where a word of it is no task, flag or value.

    :raises Exit: with code 2, after the sentence stands on stderr (and with ``--json`` on stdout).
    """
    problem = problem_with(sys.argv[1:], ns)
    if problem is None:
        return

    def refuse() -> Result:
        raise problem

    boundary = Boundary(
        task="inv",
        wants_json="--json" in sys.argv,
        is_verbose=False,
        rendering=lambda: (_ for _ in ()).throw(AssertionError("a refusal has no report")),
        state_folder=state_folder(os.environ),
    )
    raise Exit(code=int(boundary.run(refuse)))


def problem_with(words: Sequence[str], ns: Collection) -> UsageError | None:
    """Given a command line without the program's name, return what is wrong with it."""
    program = Program()
    core = Parser(initial=program.initial_context, ignore_unknown=True).parse_argv(list(words))
    names = [name for primary, aliases in ns.task_names.items() for name in (primary, *aliases)]
    # Only the tasks that are named: Invoke reads the flags of all of them in a moment, once is slow enough.
    contexts = [
        ParserContext(name=primary, aliases=aliases, args=ns[primary].get_arguments())
        for primary, aliases in ns.task_names.items()
        if not {primary, *aliases}.isdisjoint(words)
    ]
    parser = Parser(initial=program.initial_context, contexts=contexts)
    try:
        parser.parse_argv(core.unparsed)
    except ParseError as error:
        flags = [] if error.context is None or error.context.name is None else list(error.context.flags)
        return _refusal(str(error), words, names=names, flags=flags)
    asked = core[0].args.help.value
    if isinstance(asked, str) and asked not in names:
        return _refusal(f"no idea what {asked!r} is", words, names=names, flags=[])
    return None


def _refusal(message: str, words: Sequence[str], *, names: list[str], flags: list[str]) -> UsageError:
    from difflib import get_close_matches

    message = re.sub(r"<Argument: ([\w-]+)[^>]*>", r"'--\1'", message)
    brief = message[:1].lower() + message[1:].rstrip("!.")
    named = [word.partition("=")[0] for word in words]
    word = next((word for word in named if repr(word) in message), "")
    known = flags if word.startswith("-") else names
    near = get_close_matches(word, known, n=1, cutoff=0.7)
    if near and word not in known:
        return UsageError(brief, hint=f"Did you mean `{near[0]}`?")
    return UsageError(brief, hint="`inv --list` shows the tasks, `inv TASK --help` the flags of one.")
