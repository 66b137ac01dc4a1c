"""Flags as the operator typed them, checked and turned into values. Strings end here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rollback_tasks.errors import UsageError


class OnFailure(Enum):
    """What becomes of the hosts that are already switched, once the fleet stops."""

    UNDO = "undo"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Batch:
    """How many hosts go at once: a number, or a share of the fleet in percent."""

    amount: int
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.amount}{'%' if self.is_percent else ''}"

    def size(self, hosts: int) -> int:
        """Given the number of hosts, return how many go at once: never less than one."""
        return max(1, hosts * self.amount // 100 if self.is_percent else self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """How a change travels over several hosts.

    :param canary: hosts that go first, alone.
    :param max_failures: failed hosts after which no further host starts.
    :param parallel: hosts that are worked on at the same moment.
    """

    canary: int = 1
    batch: Batch = Batch(100, is_percent=True)
    max_failures: int = 0
    parallel: int = 8
    on_failure: OnFailure = OnFailure.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags that tasks share.

    :param task: the task's whole name, e.g. ``rollback.full``.
    :param hosts: patterns as they were typed: names, groups, globs, comma lists.
    :param is_confirmed: ``--yes``.
    :param is_dry_run: ``--dry-run``, or Invoke's own ``--dry``.
    """

    task: str
    hosts: tuple[str, ...] = ()
    is_confirmed: bool = False
    is_dry_run: bool = False
    wants_json: bool = False
    hosts_file: str | None = None
    reason: str = ""
    is_verbose: bool = False
    fleet: FleetOptions = field(default_factory=FleetOptions)


class Shape(Enum):
    """Which shared flags a task has."""

    LOCAL = "local"
    HOSTS = "hosts"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag as Invoke sees it. A number is text to Invoke: this room reads it, so that a slip of the
    finger is exit code 2 and a sentence, not a traceback."""

    name: str
    default: object
    help: str

    @property
    def spelled(self) -> str:
        """The flag as it is typed."""
        return spelled(self.name)


_LOCAL_FLAGS = (
    Flag("hosts_file", None, "inventory to read; else $ROLLBACK_HOSTS_FILE, else hosts.yaml from here upwards"),
    Flag("yes", False, "ask no question"),
    Flag("dry_run", False, "show what would be done and change nothing"),
    Flag("json", False, "one JSON document on stdout"),
    Flag("verbose", False, "say more on stderr"),
)
_HOST_FLAGS = (
    Flag("host", (), "NAME: host, group, glob or comma list; may be given again; always needed"),
    *_LOCAL_FLAGS,
    Flag("reason", "", "why; kept in lock, journal and report"),
)
_FLEET_FLAGS = (
    *_HOST_FLAGS,
    Flag("canary", "1", "hosts that go first, alone (default: 1)"),
    Flag("batch", "100%", "hosts at once after the canary: N, or P% of the fleet (default: 100%)"),
    Flag("max_failures", "0", "failed hosts after which no further host starts (default: 0)"),
    Flag("parallel", "8", "hosts worked on at the same moment (default: 8)"),
    Flag("on_failure", "stop", "hosts already switched: undo or stop (default: stop)"),
)


def shared_flags(shape: Shape) -> tuple[Flag, ...]:
    """Return the flags that every task of this shape has."""
    match shape:
        case Shape.LOCAL:
            return _LOCAL_FLAGS
        case Shape.HOSTS:
            return _HOST_FLAGS
        case Shape.FLEET:
            return _FLEET_FLAGS


def spelled(name: str) -> str:
    """Given a parameter's name, return the flag as it is typed."""
    return "--" + name.rstrip("_").replace("_", "-")  # `from_` is typed --from: one word is Python's own


def given(text: str | None) -> str | None:
    """Return what was typed; None where the flag was not given.

    :raises ValueError: it was given with nothing behind it, as ``--to "$UNSET"`` does; taking that for "not
        given" would roll back to somewhere else than was meant.
    """
    if text is not None and not text.strip():
        raise ValueError("was given an empty value")
    return text


def whole_number(text: str, *, least: int = 0) -> int:
    """Given what was typed, return the number.

    :raises ValueError: it is none, or below ``least``; the message says so.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"should be a whole number, got {text!r}")
    if int(text) < least:
        raise ValueError(f"should be {least} or more, got {text}")
    return int(text)


def number(text: str) -> float:
    """Given what was typed, return the number, which may have a fraction.

    :raises ValueError: it is none; the message says so.
    """
    whole, _, fraction = text.partition(".")
    if not (text.isascii() and (whole + fraction).isdigit()):
        raise ValueError(f"should be a number, got {text!r}")
    return float(text)


def batch(text: str) -> Batch:
    """Given ``N`` or ``P%``, return the batch.

    :raises ValueError: it is neither; the message says so.
    """
    is_percent = text.endswith("%")
    try:
        amount = whole_number(text.removesuffix("%"), least=1)
    except ValueError:
        raise ValueError(f"should be a number of hosts or a share like 25%, got {text!r}") from None
    if is_percent and amount > 100:
        raise ValueError(f"should be at most 100%, got {text}")
    return Batch(amount, is_percent=is_percent)


def on_failure(text: str) -> OnFailure:
    """Given ``undo`` or ``stop``, return it.

    :raises ValueError: it is neither; the message says so.
    """
    try:
        return OnFailure(text)
    except ValueError:
        raise ValueError(f"should be undo or stop, got {text!r}") from None


def parse_all(readers: Mapping[str, Callable[[], Any]], *, task: str) -> dict[str, Any]:
    """Run every reader, keyed by its parameter's name, and return what they give.

    :raises UsageError: naming every flag that is wrong, not just the first.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, read in readers.items():
        try:
            values[name] = read()
        except ValueError as problem:
            problems.append(f"{spelled(name)}: {problem}")
    if problems:
        first, *rest = problems
        raise UsageError(first, details="\n".join(rest), hint=f"`inv {task} --help` shows the flags.")
    return values


def parse(shape: Shape, flags: Mapping[str, Any], *, task: str, is_dry: bool) -> Options:
    """Given the shared flags as Invoke read them, return them checked.

    :param is_dry: Invoke's own ``--dry`` was given.
    :raises UsageError: a flag is missing or wrong; nothing was touched.
    """
    readers: dict[str, Callable[[], Any]] = {"hosts_file": lambda: given(flags["hosts_file"])}
    if shape is not Shape.LOCAL:
        readers["host"] = lambda: _patterns(flags["host"])
    if shape is Shape.FLEET:
        readers["canary"] = lambda: whole_number(flags["canary"])
        readers["batch"] = lambda: batch(flags["batch"])
        readers["max_failures"] = lambda: whole_number(flags["max_failures"])
        readers["parallel"] = lambda: whole_number(flags["parallel"], least=1)
        readers["on_failure"] = lambda: on_failure(flags["on_failure"])
    values = parse_all(readers, task=task)
    hosts, hosts_file = values.pop("host", ()), values.pop("hosts_file")
    return Options(
        task=task,
        hosts=hosts,
        is_confirmed=flags["yes"],
        is_dry_run=flags["dry_run"] or is_dry,
        wants_json=flags["json"],
        hosts_file=hosts_file,
        reason=flags.get("reason", ""),
        is_verbose=flags["verbose"],
        fleet=FleetOptions(**values),
    )


def _patterns(typed: Iterable[str]) -> tuple[str, ...]:
    patterns = tuple(typed)
    if not patterns:
        raise ValueError("is needed: name a host, a group or a glob (the whole inventory is '*')")
    if any(not part.strip() for pattern in patterns for part in pattern.split(",")):
        raise ValueError("has an empty name in it")
    return patterns
