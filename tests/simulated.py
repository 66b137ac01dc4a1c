"""A host made of one ``HostState``: it knows the commands of one plan and of its journal, and what each does is what
the steps themselves project. Faults are put in at any command."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from rollback_tasks.errors import CommandFailed, ConnectionLost
from rollback_tasks.execution import journal
from rollback_tasks.execution.fetching import REST
from rollback_tasks.execution.journal import Lead
from rollback_tasks.model.plan import Compensation, Gate, HostPlan, HostState, Step
from rollback_tasks.ports import Completed, HttpAnswer
from rollback_tasks.shell import Command, Effect, batch, standalone

DUMP = b"the dump"


@dataclass(slots=True)
class Fault:
    """What goes wrong once, at one command of one step.

    :param step: ``NNN-kind``.
    :param at: ``begin``, ``pre``, ``forward``, ``post`` or ``done``: the command's role in its step.
    :param how: called before the command has its effect, and (``is_late``) after it.
    """

    step: str
    at: str
    how: Callable[[], int | None]
    is_late: bool = False
    has_struck: bool = False


@dataclass(slots=True)
class World:
    """The host itself: it stays when a connection is lost.

    :param undo: names of the compensations that were written and not run yet.
    :param broken_undos: names whose compensation fails.
    """

    plan: HostPlan
    lead: Lead
    state: HostState
    fault: Fault | None = None
    broken_undos: frozenset[str] = frozenset()
    journal: list[dict[str, Any]] = field(default_factory=list)
    undo: dict[str, str] = field(default_factory=dict)
    undoing: list[str] = field(default_factory=list)
    acted: list[str] = field(default_factory=list)
    standing: str = "unopened"
    is_settled: bool = False
    is_target_sick: bool = False
    is_never_healthy_again: bool = False

    @property
    def steps(self) -> dict[str, Step]:
        """The plan's steps by their names in the journal."""
        return {f"{number:03d}-{step.kind}": step for number, step in enumerate(self.plan.steps, 1)}

    def unwind(self, who: str) -> tuple[int, str]:
        """Undo everything, as the script on the host does."""
        if self.standing == "committed" and who != "undo":
            return journal.COMMITTED, ""
        if self.is_settled and who != "undo":
            return 0, ""
        self.standing, self.is_settled = f"decided-{who}", False
        said = []
        for name in sorted(self.undo, reverse=True):
            is_broken = name in self.broken_undos
            if not is_broken:
                self.state = self.steps[name].unproject(self.state)
                del self.undo[name]
            event = "compensation_failed" if is_broken else "compensated"
            said.append(f"{event} {name.partition('-')[2]}")
            self.undoing.append(json.dumps({"event": event, "step": name}))
        if self.undo:
            return journal.NOT_ALL_UNDONE, "\n".join(said)
        self.is_settled = True
        return 0, "\n".join(said)

    @property
    def is_healthy(self) -> bool:
        """True where every service runs and is not the sick target."""
        running = dict(self.state.running)
        assert self.plan.end is not None
        is_target = running == dict(self.plan.end.running)
        is_sick = self.is_target_sick if is_target else self.is_never_healthy_again
        return None not in running.values() and not is_sick


class SimulatedHost:
    """One connection to the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_lost = False
        self._own = _recognised(world.lead)
        self._batch = batch([], token="t").argv[2]

    @property
    def name(self) -> str:
        return self.world.plan.host

    def run(self, command: Command) -> Completed:
        if self.is_lost:
            raise ConnectionLost("the connection is lost", host=self.name)
        try:
            if command.argv[:2] == ("sh", "-c") and command.argv[2].startswith(self._batch):
                return self._run_batch(command)
            code, text = self._one(command.argv)
        except ConnectionLost:
            self.is_lost = True
            raise
        if code not in command.ok_codes:
            raise CommandFailed(command.argv, code, "it failed", host=self.name)
        return Completed(code, text.encode())

    def _run_batch(self, command: Command) -> Completed:
        token = command.argv[4]
        stdout, stderr = "", ""
        for words in _split(command.argv[2][len(self._batch) :]):
            _run, _limit, _folder, codes, *argv = words
            code, text = self._one(tuple(argv))
            stdout += f"{text}\n{token} {code}\n"
            stderr += f"it failed\n{token} {code}\n"
            if str(code) not in codes.split():
                break
        return Completed(0, stdout.encode(), stderr.encode())

    def _one(self, argv: tuple[str, ...]) -> tuple[int, str]:
        own = self._own.get(argv[2] if argv[:2] == ("sh", "-c") else argv[1])
        if own == "led":
            if self.world.standing != "undecided":
                return journal.FENCED, ""
            return self._one(argv[6:])
        if own is not None:
            return self._journal(own, argv)
        if argv[0] == "cat" or REST in argv:
            return 0, json.dumps({"sha256": hashlib.sha256(DUMP).hexdigest()})
        name, role, is_last = self._find(argv)
        fault = self._fault(name, role, is_last)
        if fault is not None and not fault.is_late:
            code = fault.how()
            if code is not None:
                return code, ""
        if role == "forward" and is_last:
            self._act(name)
        if fault is not None and fault.is_late:
            code = fault.how()
            if code is not None:
                return code, ""
        if role == "post":
            return int(not self._is_as_promised(name)), ""
        return 0, ""

    def _fault(self, name: str, role: str, is_last: bool = True) -> Fault | None:
        fault = self.world.fault
        if fault is None or fault.has_struck or (fault.step, fault.at) != (name, role) or not is_last:
            return None
        fault.has_struck = True
        return fault

    def _find(self, argv: tuple[str, ...]) -> tuple[str, str, bool]:
        """Return the step that a command belongs to: of several alike, the one that is under way."""
        known = _roles(self.world.plan).get(argv)
        assert known, f"the host knows no such command: {argv}"
        begun = [line["step"] for line in self.world.journal if line["event"] == "started"]
        for name in reversed(begun):
            if name in known:
                return (name, *known[name])
        name = next(iter(known))
        return (name, *known[name])

    def _act(self, name: str) -> None:
        world, step = self.world, self.world.steps[name]
        assert world.standing == "undecided", f"{name} acts on a run that is {world.standing}"
        undo = step.compensation()
        if isinstance(undo, Compensation):
            assert world.undo.get(name) == standalone(undo.command), f"{name} acts before its way back is written"
        world.acted.append(name)
        world.state = step.project(world.state)

    def _is_as_promised(self, name: str) -> bool:
        step = self.world.steps[name]
        if step.kind == "verify_release":
            assert self.world.plan.end is not None
            return self.world.state.without_kept() == self.world.plan.end.without_kept()
        return name in self.world.acted

    def _journal(self, own: str, argv: tuple[str, ...]) -> tuple[int, str]:
        world, words = self.world, argv[4:]
        match own:
            case "open":
                world.standing = "undecided"
                world.journal.append(json.loads(words[1]))
            case "begin":
                name = words[3]
                fault = self._fault(name, "begin")
                if fault is not None and not fault.is_late:
                    code = fault.how()
                    if code is not None:
                        return code, ""
                if world.standing != "undecided":
                    return journal.FENCED, ""
                if words[4]:
                    world.undo[name] = words[4]
                world.journal.append(json.loads(words[5]))
                if fault is not None and fault.is_late:
                    return fault.how() or 0, ""
            case "append":
                line = json.loads(words[2])
                fault = self._fault(line["step"], "done")
                code = fault.how() if fault is not None and not fault.is_late else None
                if code is not None:
                    return code, ""
                world.journal.append(line)
                if fault is not None and fault.is_late:
                    return fault.how() or 0, ""
            case "commit":
                fault = self._fault("commit", "commit")
                code = fault.how() if fault is not None and not fault.is_late else None
                if code is not None:
                    return code, ""
                if world.standing != "undecided":
                    return journal.FENCED, ""
                world.standing, world.is_settled = "committed", True
                world.journal.append(json.loads(words[2]))
                if fault is not None and fault.is_late:
                    return fault.how() or 0, ""
            case "rejoin" | "hold":
                return (0 if world.standing == "undecided" else journal.FENCED), ""
            case "verdict":
                how = "committed" if world.standing == "committed" else "restored"
                if not world.is_settled:
                    how = "undecided" if world.standing == "undecided" else "deciding"
                return 0, "\n".join([how, *world.undoing, '{"torn'])
            case "begun":
                return int(words[1] not in [line.get("step") for line in world.journal]), ""
            case "unwind":
                fault = self._fault("unwind", "unwind")
                if fault is not None and not fault.is_late:
                    fault.how()
                code, text = world.unwind(argv[2])
                if fault is not None and fault.is_late:
                    fault.how()
                return code, text
            case "end":
                pass
            case _:
                raise AssertionError(own)
        return 0, ""

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        done = self.run(command)
        sink(DUMP)
        return done

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        """Take the heartbeat."""
        for _ in source:
            if self.is_lost:
                raise ConnectionLost("the connection is lost", host=self.name)
        return Completed(0)

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        if self.is_lost:
            raise ConnectionLost("the connection is lost", host=self.name)
        fault = self._fault("await_healthy", "health")
        if fault is not None:
            try:
                fault.how()
            except ConnectionLost:
                self.is_lost = True
                raise
        return HttpAnswer(200) if self.world.is_healthy else HttpAnswer(503, b"not yet")

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        raise AssertionError("no step needs it")

    def close(self) -> None:
        self.is_lost = True


_ROLES: dict[int, tuple[HostPlan, dict[tuple[str, ...], dict[str, tuple[str, bool]]]]] = {}


def _roles(plan: HostPlan) -> dict[tuple[str, ...], dict[str, tuple[str, bool]]]:
    """For every command of a plan: in which steps it stands, as what, and whether it is the last of its kind there."""
    if id(plan) in _ROLES:
        return _ROLES[id(plan)][1]
    found: dict[tuple[str, ...], dict[str, tuple[str, bool]]] = {}
    for number, step in enumerate(plan.steps, 1):
        name = f"{number:03d}-{step.kind}"
        gates = [action for action in step.forward() if isinstance(action, Gate)]
        roles = {
            "watch": [gate.watch for gate in gates if gate.watch is not None],
            "post": [check.command for check in step.postcondition()],
            "pre": [check.command for check in step.precondition()],
            "forward": [action for action in step.forward() if isinstance(action, Command)],
        }
        for role, commands in roles.items():
            for command in commands:
                found.setdefault(command.argv, {})[name] = (role, command.argv == commands[-1].argv)
    _ROLES[id(plan)] = (plan, found)
    return found


def _recognised(lead: Lead) -> dict[str, str]:
    """The journal's own scripts by their text."""
    project, run_id = lead.project, lead.run_id
    commands = {
        "open": lead.open_run("{}", "{}"),
        "begin": lead.begin(name="", undo="", begun=""),
        "hold": lead.hold(),
        "led": lead.led(lead.append("")),
        "append": lead.append(""),
        "commit": lead.commit(""),
        "rejoin": lead.rejoin(limit=1),
        "verdict": journal.verdict(project, run_id, wait=1),
        "begun": journal.has_begun(project, run_id, ""),
        "end": journal.end_session(project, run_id),
    }
    known = {command.argv[2]: name for name, command in commands.items()}
    return known | {journal.unwind(project, run_id, "laptop").argv[1]: "unwind"}


_TOKEN = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+|\n""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def _split(text: str) -> Iterator[list[str]]:
    """Yield the words of each line of a script made by ``shell.batch``; words may hold line breaks."""
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token != "\n":
            words.append(_QUOTED.sub(lambda found: found[1] or found[2] or "", token))
        elif words:
            yield words
            words = []
    if words:
        yield words


def effects(plan: HostPlan) -> list[tuple[str, Effect]]:
    """Every command of a plan in the order in which it runs, by the kind of its step."""
    found = []
    for step in plan.steps:
        for check in step.precondition():
            found.append((step.kind, check.command.effect))
        found += [(step.kind, action.effect) for action in step.forward() if isinstance(action, Command)]
        for check in step.postcondition():
            found.append((step.kind, check.command.effect))
    return found
