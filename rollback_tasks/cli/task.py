"""The decorator that makes a function a task: shared flags in, one result out, one error boundary."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from invoke import Argument, Collection, Context, Exit, Task

from rollback_tasks.cli import options as flags_room
from rollback_tasks.cli.boundary import Boundary, Rendering, Result
from rollback_tasks.cli.hiding import masker
from rollback_tasks.cli.options import Flag, Shape, shared_flags
from rollback_tasks.cli.state import state_folder
from rollback_tasks.errors import UsageError

Body = Callable[..., Result]


class ChainedTask(Task[Any]):
    """A task that runs as often as it is named.

    Invoke drops a call that equals an earlier one (``inv verify.all --host a ... verify.all --host a``).
    Its ``tasks.dedupe`` setting is read before a collection's own settings are, so a collection cannot
    switch it; two calls are therefore never equal here.
    """

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = Task.__hash__

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the flags. Invoke empties ``help`` on the way; here the flags are read twice."""
        lines = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = lines


def rollback_task(
    name: str,
    *,
    shape: Shape = Shape.HOSTS,
    help: Mapping[str, str] | None = None,
    has_dry_run: bool = True,
) -> Callable[[Body], Task[Any]]:
    """Return a decorator for ``body(context, options, *, own flags) -> Result``.

    An own flag's default or annotation says what it is: ``bool``, ``str``, ``int``, ``float``, any of the
    last three ``| None``, or ``tuple[str, ...]`` for one that may be given again. Every one has a default.

    :param name: the whole name, ``collection.task``, as it stands in reports; words are joined by dashes.
    :param shape: which shared flags the task has.
    :param help: a line for each own flag, and for no other.
    :param has_dry_run: False refuses ``--dry-run`` instead of doing what was not to be done.
    """

    def decorate(body: Body) -> Task[Any]:
        own = _own_flags(body, dict(help or {}))
        shared = shared_flags(shape)
        taken = {flag.name for flag in shared} & set(own)
        if taken:
            raise TypeError(f"{name}: shared flags are not its own: {sorted(taken)}")

        def run(context: Context, **typed: Any) -> None:
            boundary = Boundary(
                task=name,
                wants_json=typed["json"],
                is_verbose=typed["verbose"],
                rendering=_rendering,
                clean=masker,
                state_folder=state_folder(os.environ),
            )
            code = boundary.run(partial(_call, body, context, typed))
            if code:
                raise Exit(code=int(code))

        def _call(body: Body, context: Context, typed: Mapping[str, Any]) -> Result:
            is_dry = bool(context.config.run.dry)
            shared_values = {flag.name: typed[flag.name] for flag in shared}
            options = flags_room.parse(shape, shared_values, task=name, is_dry=is_dry)
            if options.is_dry_run and not has_dry_run:
                raise UsageError(f"{name} has no dry run", hint=f"`inv {name} --help` says what it does.")
            return body(context, options, **_read_own(own, typed, task=name))

        run.__name__ = name.rpartition(".")[2]
        run.__doc__ = body.__doc__
        run.__module__ = body.__module__
        flags = (*(flag for flag, _ in own.values()), *shared)
        # inspect, and through it Invoke, asks for this name first.
        vars(run)["__signature__"] = inspect.Signature(list(_parameters(flags)))
        return ChainedTask(
            run,
            name=run.__name__,
            positional=[],
            auto_shortflags=False,
            iterable=[flag.name for flag in flags if flag.default == ()],
            help={flag.name: flag.help for flag in flags},
        )

    return decorate


def collection(name: str, *tasks: Task[Any]) -> Collection:
    """Return the collection ``name``, which holds ``tasks``."""
    return Collection(name, *tasks)


_Reader = Callable[[Any], Any]


def _optional(read: Callable[[str], Any]) -> _Reader:
    return lambda typed: None if typed is None else read(typed)


# What a parameter is -> how the typed value is read.
_READERS: Mapping[Any, _Reader] = {
    bool: bool,
    str: str,
    str | None: flags_room.given,
    int: flags_room.whole_number,
    int | None: _optional(flags_room.whole_number),
    float: flags_room.number,
    float | None: _optional(flags_room.number),
    tuple[str, ...]: tuple,
}


def _own_flags(body: Body, help: dict[str, str]) -> dict[str, tuple[Flag, _Reader]]:
    own: dict[str, tuple[Flag, _Reader]] = {}
    for parameter in list(inspect.signature(body, eval_str=True).parameters.values())[2:]:
        where = f"{body.__module__}.{body.__name__}({parameter.name})"
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise TypeError(f"{where}: a flag is keyword-only and has a default")
        if parameter.annotation not in _READERS:
            raise TypeError(f"{where}: a flag cannot be {parameter.annotation}")
        if parameter.name not in help:
            raise TypeError(f"{where}: a flag needs a line of help")
        default, line = parameter.default, help.pop(parameter.name)
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            default = str(default)
        if isinstance(default, str) and default:
            line = f"{line} (default: {default})"
        own[parameter.name] = (Flag(parameter.name, default, line), _READERS[parameter.annotation])
    if help:
        raise TypeError(f"{body.__module__}.{body.__name__}: help for no flag: {sorted(help)}")
    return own


def _read_own(own: Mapping[str, tuple[Flag, _Reader]], typed: Mapping[str, Any], *, task: str) -> dict[str, Any]:
    readers = {name: partial(read, typed[name]) for name, (_, read) in own.items()}
    return flags_room.parse_all(readers, task=task)


def _parameters(flags: tuple[Flag, ...]) -> Iterator[inspect.Parameter]:
    yield inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for flag in flags:
        default = None if flag.default == () else flag.default
        yield inspect.Parameter(flag.name, inspect.Parameter.KEYWORD_ONLY, default=default)


def _rendering() -> Rendering:
    # The slow rooms are loaded only by a task that has something to show.
    rendering: Rendering = import_module("rollback_tasks.cli.wiring").rendering()
    return rendering
