"""Many hosts: in waves, a bounded number at once, until the failure budget is spent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rollback_tasks.execution.interruption import Interruption
from rollback_tasks.execution.settling import Performed
from rollback_tasks.model.outcome import Outcome


@dataclass(slots=True, kw_only=True)
class FleetResult:
    """What became of the hosts that were started.

    :param done: in the order in which they ended.
    :param is_stopped: True where more hosts failed than were allowed to, be it the last ones, or hosts were left out
        because somebody asked to stop.
    :param is_left: the operator left at once; hosts that are not in ``done`` are still under way.
    """

    done: dict[str, Performed] = field(default_factory=dict)
    is_stopped: bool = False
    is_left: bool = False


def run_fleet(
    waves: Sequence[Sequence[str]],
    work: Mapping[str, Callable[[], Mapping[str, Performed]]],
    *,
    parallel: int,
    max_failures: int,
    failed_before: int,
    interruption: Interruption,
    ended: Callable[[str, Performed], None],
) -> FleetResult:
    """Work on every host; never more than ``parallel`` at once, and none after too many failed.

    :param work: host to what is to be done there, and what became of every host that it was done for; never raises.
    :param failed_before: hosts that already count against ``max_failures``.
    :param ended: called, in this thread, for every host as it ends; it may find problems there.
    """
    result = FleetResult()
    failed = failed_before
    answers: queue.SimpleQueue[Mapping[str, Performed]] = queue.SimpleQueue()
    untold: dict[str, Performed] = {}

    def tell(found: Mapping[str, Performed]) -> None:
        result.done.update(found)
        untold.update(found)
        for name in list(untold):
            ended(name, untold[name])
            del untold[name]

    try:
        for wave in waves:
            waiting = list(wave)
            running = 0
            while waiting or running:
                is_over = failed > max_failures or interruption.is_requested
                while waiting and not is_over and running < parallel:
                    name = waiting.pop(0)
                    _start(name, work[name], answers)
                    running += 1
                if is_over and waiting:
                    result.is_stopped = True
                    waiting.clear()
                if running:
                    found = _next(answers)
                    running -= 1
                    tell(found)
                    failed += sum(one.outcome is not Outcome.DONE or one.has_problems for one in found.values())
    except KeyboardInterrupt:
        # The threads are daemons: leaving ends them, their signs of life with them, and the guards take over.
        result.is_left = True
        tell({})
        while not answers.empty():
            tell(answers.get())
    left_out = {name for wave in waves for name in wave} - set(result.done)
    result.is_stopped = result.is_stopped or bool(left_out) or failed > max_failures
    return result


def _next(answers: queue.SimpleQueue[Mapping[str, Performed]]) -> Mapping[str, Performed]:
    # A signal that comes just before the wait does not end it: Ctrl-C would be heard only with the next answer.
    while True:
        try:
            return answers.get(timeout=0.5)
        except queue.Empty:
            continue


def _start(
    name: str, work: Callable[[], Mapping[str, Performed]], answers: queue.SimpleQueue[Mapping[str, Performed]]
) -> None:
    threading.Thread(target=lambda: answers.put(work()), name=f"host {name}", daemon=True).start()


def together(work: Mapping[str, Callable[[], Performed]]) -> Mapping[str, Performed]:
    """Work on several hosts at the same time, as they wait for each other; return what became of each."""
    found: dict[str, Performed] = {}

    def one(name: str) -> None:
        found[name] = work[name]()

    threads = [threading.Thread(target=one, args=(name,), name=f"host {name}", daemon=True) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: found[name] for name in work}
