"""A run that is followed from outside, step by step, so that something can happen to it at a known moment."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

from rollback_tasks.errors import RollbackError
from rollback_tasks.ports import Clock, Completed, Host
from rollback_tasks.shell import Command, Effect, script

# Standard output goes to a file of its own, or to where progress goes; the process has the number that is printed
# first. $1 file for standard output, or empty; then the words
_RUN = """\
out=$1
shift
printf '%s\n' "$$"
if [ -n "$out" ]; then umask 077; exec "$@" 2>&1 >"$out"; fi
exec "$@" 2>&1
"""

_STEP = re.compile(r"^(\S+): (\d+)/(\d+) ")


class FollowedRun:
    """``inv ...`` as a process of its own, whose lines of progress are read while it goes on.

    :param words: of the command; its standard input is empty, so it has to ask nothing.
    :param out: absolute path of the file for its standard output; None puts it among the progress.
    :param cwd: folder that it runs in.
    :param env: further variables.
    :param heard: gets every line of progress as it comes, in another thread.
    :param timeout: seconds after which it is ended in any case.
    """

    def __init__(
        self,
        local: Host,
        clock: Clock,
        words: Sequence[str],
        *,
        cwd: str,
        env: tuple[tuple[str, str], ...] = (),
        out: str | None = None,
        heard: Callable[[str], object] = len,
        timeout: float = 900.0,
    ) -> None:
        self._local = local
        self._clock = clock
        self._command = script(
            *(_RUN, out or "", *words),
            effect=Effect.DESTROY,
            cwd=cwd,
            env=env,
            timeout=timeout,
            ok_codes=frozenset(range(256)),
        )
        self._heard = heard
        self._changed = threading.Condition(threading.RLock())
        self._text = ""
        self._ended: Completed | RollbackError | None = None
        self._thread = threading.Thread(target=self._follow, name="followed run", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        """What it has said so far, line by line, without what is not ended yet."""
        with self._changed:
            return self._text.split("\n")[1:-1]  # the first one is its number

    @property
    def is_over(self) -> bool:
        """True where the process is gone."""
        return not self._thread.is_alive()

    def steps_done(self, host: str) -> int:
        """Return how many steps it said it has done on a host."""
        done = [int(found[2]) for line in self.lines if (found := _STEP.match(line)) and found[1] == host]
        return max(done, default=0)

    def await_step(self, host: str, step: int, *, inside: float = 0.0) -> bool:
        """Wait until ``step`` (1 for the first) of a host has begun and ``inside`` more seconds have passed.

        :returns: False where the run was over before.
        """
        with self._changed:
            while not self.is_over and not self._has_begun(host, step):
                self._changed.wait(0.5)
        if self.is_over:
            return False
        self._clock.sleep(inside)
        return not self.is_over

    def kill(self) -> None:
        """Take the power of the laptop away: no handler of the run sees it coming."""
        with self._changed:
            number = self._text.partition("\n")[0]
        self._local.run(Command(argv=("kill", "-KILL", number), effect=Effect.DESTROY, ok_codes=frozenset({0, 1})))
        self._thread.join()

    def wait(self) -> int:
        """Return its exit code when it ended; 137 where it was killed.

        :raises CommandTimedOut: it did not end in its time.
        """
        self._thread.join()
        if isinstance(self._ended, RollbackError):
            raise self._ended
        assert self._ended is not None
        return self._ended.exit_code

    def _has_begun(self, host: str, step: int) -> bool:
        # A step is only told of when it ends; the first one follows the plan.
        return self.steps_done(host) >= step - 1 and any(line.endswith(" to roll back") for line in self.lines)

    def _follow(self) -> None:
        try:
            self._ended = self._local.pull(self._command, self._take)
        except RollbackError as error:
            self._ended = error
        finally:
            with self._changed:
                self._changed.notify_all()

    def _take(self, piece: bytes) -> None:
        with self._changed:
            known = len(self.lines)
            self._text += piece.decode("utf-8", "replace")
            new = self.lines[known:]
            self._changed.notify_all()
        for line in new:
            self._heard(line)
