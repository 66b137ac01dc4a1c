"""The protocol of lock, journal, lease and guard as a model, walked through in every order of its atomic actions.

The actions are those that are atomic in the scripts: a rename, an append, a section that has its turn. Laptops may
hang (they are just not next), die or lose the connection at every point; the lease may end at every point; who undoes
may be cut anywhere; the host may be started again. Each flaw that the scripts once had is a variant of the model, and
the walk has to find it: that shows that the walk would see it come back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import pytest

BEFORE, HALF, AFTER = range(3)
NO_UNDO, WRITTEN, UNDONE = range(3)
LEADERS = ("A", "B")
T = TypeVar("T")


class Part(NamedTuple):
    """A round trip of a leader on the host. ``number`` -1 undoes a step that an earlier leader had begun."""

    step: int
    number: int
    at: str  # note, check, write, go, acting, done


class Undoing(NamedTuple):
    """A process that undoes. ``who`` began it; ``step`` is the one that is next or under way."""

    who: str
    at: str  # start, decided, undoing, next
    step: int


class State(NamedTuple):
    lock: str = ""
    turn: str = ""
    is_open: bool = False
    decision: str = "undecided"
    settled: bool = False
    holder: str = ""
    lease: bool = False
    guard: bool = False
    notes: frozenset[str] = frozenset()
    undo: tuple[int, ...] = ()
    world: tuple[int, ...] = ()
    done: tuple[bool, ...] = ()
    laptops: tuple[str, ...] = ("take", "")
    parts: tuple[Part | None, ...] = (None, None)
    unwinders: tuple[Undoing, ...] = ()
    orphan: int = -1
    stranger: str = ""
    restarts: int = 0
    cuts: int = 0
    losses: int = 0
    wrong: str = ""


def put(values: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    return (*values[:at], value, *values[at + 1 :])


class Model:
    """All that may happen next.

    :param second: what the second laptop does at some time: ``resume``, ``abort``, or ``new`` (a new run; a stale
        view of the host may make it free a lock first).
    :param flaw: which old flaw it has; empty for the scripts as they are.
    :param parts: of each step, how many round trips it takes: one that needs input takes two.
    :param undo_after: a fleet may undo the run after it was committed.
    """

    def __init__(
        self, second: str, flaw: str = "", *, parts: tuple[int, ...] = (1, 2), undo_after: bool = False
    ) -> None:
        self.second = second
        self.flaw = flaw
        self.parts = parts
        self.last = len(parts) - 1
        self.undo_after = undo_after

    def start(self, troubles: str = "") -> State:
        """Return where everything begins. ``troubles`` may happen once each: restarts, cuts, losses."""
        none = (0,) * len(self.parts)
        fresh = State(undo=none, world=none, done=(False,) * len(self.parts))
        may: dict[str, Any] = dict.fromkeys(troubles.split(), 1)
        return fresh._replace(**may)

    # --- what scripts look at ---

    def is_led_by(self, s: State, who: str) -> bool:
        return s.holder == who and s.is_open and s.decision == "undecided" and s.lock == "old"

    def is_unfinished(self, s: State) -> bool:
        return s.is_open and not s.settled

    def next(self, s: State) -> Iterator[tuple[str, State]]:
        for number, who in enumerate(LEADERS):
            yield from self.laptop(s, number, who)
            yield from self.part(s, number, who)
        for unwinder in s.unwinders:
            yield from self.unwinder(s, unwinder)
        yield from self.host(s)
        if self.second == "new":
            yield from self.stranger(s)

    # --- laptops ---

    def moved(self, s: State, number: int, to: str) -> State:
        laptops = (to, s.laptops[1]) if number == 0 else (s.laptops[0], to)
        return s._replace(laptops=laptops)

    def laptop(self, s: State, number: int, who: str) -> Iterator[tuple[str, State]]:
        at = s.laptops[number]
        if at in ("", "dead", "end"):
            if number == 1 and at == "" and self.second == "resume":
                yield from self.resume(s)
            return

        def go(to: str, **change: Any) -> State:
            return self.moved(s._replace(**change), number, to)

        yield f"{who} dies", go("dead")
        verb, _, rest = at.partition(" ")
        match verb:
            case "take":
                if s.lock == "" and not self.is_unfinished(s):
                    yield f"{who} locks", go("open", lock="old")
            case "open":
                yield f"{who} opens", go("step 0 0", is_open=True, holder=who, lease=True, guard=True)
            case "lead":
                ended = self.ended(s)
                yield f"{who} ends sessions", self.moved(ended._replace(turn=""), number, self.first(ended))
            case "step":
                step, part = map(int, rest.split())
                begun = Part(step, part, "note")
                yield f"{who} sends {rest}", go(f"wait {rest}", parts=put(s.parts, number, begun))
            case "wait":
                if s.losses:
                    yield f"{who} loses the connection", go(f"rejoin {rest}", losses=s.losses - 1)
            case "rejoin":
                if s.parts[number] is None or who not in s.notes:
                    if not self.is_led_by(s, who):
                        yield f"{who} is shut out", go("end")
                    elif s.parts[number] is None:
                        yield f"{who} rejoins", self.moved(s._replace(lease=True), number, self.first(s))
            case "commit":
                if s.turn == "":
                    if self.is_led_by(s, who):
                        yield f"{who} commits", go("settle", decision="committed", turn=who)
                    else:
                        yield f"{who} is fenced at its commit", go("end")
            case "settle":
                yield f"{who} settles", go("release", settled=True, turn="")
            case "release":
                if self.flaw == "a lock is looked at, then moved":
                    if s.lock == "old" and s.settled:
                        yield f"{who} looks at the lock", go("move")
                elif not self.is_unfinished(s):
                    yield f"{who} unlocks", go("end", lock="" if s.lock == "old" else s.lock)
                if self.undo_after and s.decision == "committed":
                    new = Undoing("undo", "start", self.last)
                    yield f"{who} undoes the committed run", go("end", unwinders=tuple(sorted((*s.unwinders, new))))
            case "move":
                yield f"{who} moves the lock", go("end", lock="")
            case "putback":
                new = Undoing(who, "start", self.last)
                yield f"{who} puts back", go("release", unwinders=tuple(sorted((*s.unwinders, new))))

    def first(self, s: State) -> str:
        """Return where a leader goes on: the first step that is not done."""
        for step, is_done in enumerate(s.done):
            if not is_done:
                return f"step {step} {-1 if s.undo[step] == WRITTEN else 0}"
        return "commit"

    def resume(self, s: State) -> Iterator[tuple[str, State]]:
        if s.turn == "" and s.is_open and s.decision == "undecided" and not s.lease:
            yield "B takes the lead", self.moved(s._replace(turn="B", holder="B", lease=True, guard=True), 1, "lead")

    def answered(self, s: State, number: int, answer: str) -> State:
        """A round trip ended; the laptop goes on, where it still waits."""
        part = s.parts[number]
        assert part is not None
        s = s._replace(parts=put(s.parts, number, None))
        if not s.laptops[number].startswith("wait"):
            return s
        if answer == "ok":
            if part.number == -1:
                return self.moved(s, number, f"step {part.step} 0")
            if part.number + 1 < self.parts[part.step]:
                return self.moved(s, number, f"step {part.step} {part.number + 1}")
            return self.moved(s, number, "commit" if part.step == self.last else f"step {part.step + 1} 0")
        return self.moved(s, number, "putback")

    # --- what a leader does on the host ---

    def part(self, s: State, number: int, who: str) -> Iterator[tuple[str, State]]:
        part = s.parts[number]
        if part is None:
            return

        def to(at: str, **change: Any) -> State:
            return s._replace(parts=put(s.parts, number, part._replace(at=at)), **change)

        says = f"{who}: {part.step}.{part.number} {part.at}"
        match part.at:
            case "note":
                if self.flaw == "only the beginning is fenced" and part.number > 0:
                    yield says, to("go", notes=s.notes - {who})
                elif self.flaw == "one note for all":
                    yield says, to("check", notes=frozenset({who}))
                else:
                    yield says, to("check", notes=s.notes | {who})
            case "check":
                if not self.is_led_by(s, who):
                    yield f"{says}: fenced", self.answered(s, number, "fenced")
                elif part.number == 0:
                    yield says, to("write", lease=True)
                else:
                    yield says, to("go", lease=True)
            case "write":
                yield says, to("go", undo=put(s.undo, part.step, WRITTEN))
            case "go":
                yield says, to("acting", world=put(s.world, part.step, HALF))
            case "acting":
                if part.number == -1:
                    yield says, self.answered(s._replace(world=put(s.world, part.step, BEFORE)), number, "ok")
                elif part.number + 1 < self.parts[part.step]:
                    yield says, self.answered(s, number, "ok")
                else:
                    yield says, to("done", world=put(s.world, part.step, AFTER))
            case "done":
                if self.is_led_by(s, who):
                    yield says, self.answered(s._replace(done=put(s.done, part.step, True)), number, "ok")
                else:
                    yield f"{says}: fenced", self.answered(s, number, "fenced")

    def ended(self, s: State) -> State:
        """End what is noted, whoever it is."""
        for number, who in enumerate(LEADERS):
            if who in s.notes and s.parts[number] is not None:
                s = self.answered(s, number, "killed")
        return s

    # --- who undoes ---

    def unwinder(self, s: State, u: Undoing) -> Iterator[tuple[str, State]]:
        rest = tuple(each for each in s.unwinders if each is not u)

        def to(at: str, step: int = u.step, **change: Any) -> State:
            return s._replace(unwinders=tuple(sorted((*rest, Undoing(u.who, at, step)))), **change)

        def gone(**change: Any) -> State:
            return s._replace(unwinders=rest, turn="", **change)

        has_turn = u.at != "start"
        if s.cuts:
            orphan = u.step if u.at == "undoing" else s.orphan
            holds = u.at == "undoing" and self.flaw != "an undo does not hold the turn"
            turn = "orphan" if holds else ("" if has_turn else s.turn)
            yield f"{u.who}'s undoing is cut", s._replace(unwinders=rest, turn=turn, orphan=orphan, cuts=s.cuts - 1)
        says = f"{u.who} undoing: {u.at} {u.step}"
        match u.at:
            case "start":
                if s.turn != "":
                    return
                if s.decision == "committed" and u.who == "undo":
                    if self.flaw == "renamed before it is unfinished":
                        yield says, to("unsettle", turn="undo", decision="decided")
                    elif s.lock == "old":
                        yield says, to("rename", turn="undo", settled=False)
                    else:
                        yield f"{says}: another run's", gone()
                elif s.decision == "committed":
                    yield f"{says}: committed", gone(settled=True)
                elif s.settled:
                    yield f"{says}: settled", gone(lock="" if s.lock == "old" else s.lock)
                elif u.who == "guard" and s.decision == "undecided" and s.lease:
                    yield f"{says}: alive", gone()
                elif u.who in LEADERS and s.decision == "undecided" and s.holder != u.who:
                    if self.flaw == "who was shut out undoes":
                        yield says, to("decided", turn=u.who, decision="decided", wrong="a fenced laptop decided")
                    else:
                        yield f"{says}: shut out", gone()
                else:
                    yield says, to("decided", turn=u.who, decision="decided")
            case "unsettle":
                yield says, to("decided", settled=False)
            case "rename":
                yield says, to("decided", decision="decided")
            case "decided":
                ended = self.ended(s)
                yield says, ended._replace(unwinders=tuple(sorted((*rest, Undoing(u.who, "next", self.last)))))
            case "next":
                if u.step < 0:
                    yield says, to("unlock", settled=True)
                elif s.undo[u.step] == WRITTEN:
                    yield says, to("undoing")
                else:
                    yield says, to("next", u.step - 1)
            case "undoing":
                change = {"world": put(s.world, u.step, BEFORE), "undo": put(s.undo, u.step, UNDONE)}
                yield says, to("next", u.step - 1, **change)
            case "unlock":
                yield says, gone(lock="" if s.lock == "old" else s.lock)

    # --- the host itself ---

    def host(self, s: State) -> Iterator[tuple[str, State]]:
        if s.orphan >= 0:
            freed = "" if s.turn == "orphan" else s.turn
            yield "an orphaned undo ends", s._replace(world=put(s.world, s.orphan, BEFORE), orphan=-1, turn=freed)
        if s.lease and not s.settled:
            yield "the lease ends", s._replace(lease=False)
        for number, who in enumerate(LEADERS):
            lives = s.laptops[number].startswith(("step", "wait", "rejoin", "commit"))
            if lives and not s.lease and self.is_led_by(s, who):
                yield f"{who} beats", s._replace(lease=True)
        names = {each.who for each in s.unwinders}
        if s.guard and s.settled:
            yield "the guard goes home", s._replace(guard=False)
        elif s.guard and "guard" not in names and not (s.decision == "undecided" and s.lease):
            yield (
                "the guard acts",
                s._replace(unwinders=tuple(sorted((*s.unwinders, Undoing("guard", "start", self.last))))),
            )
        if s.restarts and s.is_open and not s.settled:
            laptops = tuple(f"rejoin {at[5:]}" if at.startswith("wait") else at for at in s.laptops)
            laptops = tuple("dead" if at in ("settle", "lead", "move") else at for at in laptops)
            yield (
                "the host starts again",
                s._replace(
                    laptops=(laptops[0], laptops[1]), parts=(None, None), unwinders=(), orphan=-1, guard=False,
                    turn="", lease=False, notes=frozenset(), restarts=0,
                ),
            )  # fmt: skip
        is_quiet = all(at in ("", "dead", "end") for at in s.laptops) and not s.guard
        if "abort" not in names and (self.second == "abort" or is_quiet) and self.is_unfinished(s):
            yield "abort", s._replace(unwinders=tuple(sorted((*s.unwinders, Undoing("abort", "start", self.last)))))
        if is_quiet and s.lock == "old" and not self.is_unfinished(s):
            yield "abort frees the lock", s._replace(lock="")
        # Who was killed in a section that has its turn loses the turn.
        for number, who in enumerate(LEADERS):
            if s.turn == who and s.laptops[number] == "dead" and who not in names:
                yield f"{who}'s turn ends", s._replace(turn="", settled=s.settled)

    def stranger(self, s: State) -> Iterator[tuple[str, State]]:
        """Another operator: a new run, after freeing a lock that seemed to be left."""
        frees = not s.is_open or self.flaw == "an unfinished run's lock is freed"
        if s.stranger == "" and s.lock == "old" and frees:
            yield "a stale view frees the lock", s._replace(lock="")
        may = s.lock == "" and not self.is_unfinished(s)
        if self.flaw == "an unfinished run's lock is freed":
            may = s.lock == ""
        match s.stranger:
            case "":
                if may:
                    yield "a new run locks", s._replace(lock="new", stranger="acting")
            case "acting":
                yield "the new run ends", s._replace(lock="" if s.lock == "new" else s.lock, stranger="end")


def problem(s: State) -> str:
    """Return what is wrong in a state; empty where nothing is."""
    acting = [who for number, who in enumerate(LEADERS) if (p := s.parts[number]) is not None and p.at == "acting"]
    undoing = [u for u in s.unwinders if u.at == "undoing"]
    busy = len(acting) + len(undoing) + (s.orphan >= 0)
    if s.wrong:
        return s.wrong
    if len(acting) > 1:
        return "two laptops act"
    if acting and (undoing or s.orphan >= 0):
        return "something acts while it is undone"
    if len(undoing) + (s.orphan >= 0) > 1:
        return "two undo"
    if s.stranger == "acting" and busy:
        return "two runs act"
    if s.stranger == "acting" and s.lock != "new":
        return "a lock was lost to a stranger"
    if acting and s.lock != "old":
        return "a run acts without its lock"
    if s.decision == "committed" and UNDONE in s.undo:
        return "committed and undone"
    if s.settled and s.decision == "committed" and set(s.world) != {AFTER}:
        return "settled as done, but not all is after"
    if s.settled and s.decision == "decided" and set(s.world) != {BEFORE}:
        return "settled as restored, but not all is before"
    return ""


class Walk(NamedTuple):
    """What a walk found: how many states, and the shortest trace to the first problem."""

    states: int
    problem: str
    trace: tuple[str, ...]
    ends: frozenset[tuple[str, bool]]


def walk(model: Model, troubles: str = "restarts cuts losses") -> Walk:
    """Visit every state, breadth first; then prove that from each of them the host can still be settled."""
    start = model.start(troubles)
    came: dict[State, tuple[State, str] | None] = {start: None}
    back: dict[State, list[State]] = {}
    todo = deque([start])
    ends: set[tuple[str, bool]] = set()

    def trace(state: State) -> tuple[str, ...]:
        said = []
        while (before := came[state]) is not None:
            state, what = before
            said.append(what)
        return tuple(reversed(said))

    while todo:
        state = todo.popleft()
        if wrong := problem(state):
            return Walk(len(came), wrong, trace(state), frozenset(ends))
        ends.add((state.decision, state.settled))
        for what, after in model.next(state):
            back.setdefault(after, []).append(state)
            if after not in came:
                came[after] = (state, what)
                todo.append(after)
    good = [s for s in came if s.lock != "old" and (s.settled or not s.is_open) and s.turn == ""]
    seen = set(good)
    while good:
        for before in back.get(good.pop(), ()):
            if before not in seen:
                seen.add(before)
                good.append(before)
    for state in came:
        if state not in seen:
            return Walk(len(came), "cannot be settled any more", trace(state), frozenset(ends))
    return Walk(len(came), "", (), frozenset(ends))


ALL = "restarts cuts losses"


@pytest.mark.parametrize(
    ("second", "parts", "undo_after", "troubles"),
    [
        ("abort", (1, 2), False, ALL),
        ("abort", (2,), True, ALL),
        ("new", (2,), False, ALL),
        ("new", (1, 2), True, "cuts"),
        # Two laptops that both may act are many states: one trouble at a time. (All at once, with two steps, was
        # walked through as well: some 940,000 states.)
        ("resume", (1, 2), False, ""),
        ("resume", (2,), False, "restarts"),
        ("resume", (2,), False, "cuts"),
        ("resume", (2,), False, "losses"),
    ],
)
def test_in_every_order_one_acts_one_decides_and_the_host_can_be_settled(
    second: str, parts: tuple[int, ...], undo_after: bool, troubles: str
) -> None:
    found = walk(Model(second, parts=parts, undo_after=undo_after), troubles)
    assert (found.problem, found.trace) == ("", ())
    # The walk went to both ends, so it did not pass for want of moves.
    assert {("committed", True), ("decided", True)} <= found.ends
    assert found.states > 5000


@pytest.mark.parametrize(
    ("flaw", "second", "undo_after", "troubles", "problem_found"),
    [
        ("only the beginning is fenced", "abort", False, "", "something acts while it is undone"),
        ("one note for all", "resume", False, "", "something acts while it is undone"),
        ("who was shut out undoes", "resume", False, "", "a fenced laptop decided"),
        ("a lock is looked at, then moved", "new", False, "", "a lock was lost to a stranger"),
        ("an unfinished run's lock is freed", "new", False, "", "a run acts without its lock"),
        ("renamed before it is unfinished", "abort", True, "", "settled as restored, but not all is before"),
        ("an undo does not hold the turn", "abort", False, "cuts", "two undo"),
    ],
)
def test_the_walk_finds_a_flaw(flaw: str, second: str, undo_after: bool, troubles: str, problem_found: str) -> None:
    found = walk(Model(second, flaw, parts=(2,), undo_after=undo_after), troubles)
    assert found.problem == problem_found
    assert len(found.trace) > 5
