"""The append-only record of a run, on the host, with the way back beside it.

``runs/ID/`` holds ``journal.jsonl``, ``plan.json``, ``undo/NNN-KIND.sh`` (written before its step acts, renamed to
``.undone`` when it ran), the scripts of ``guardian``, and files that say how the run stands:

* ``holder``: the word of the laptop that leads the run; a step begins only for that one.
* ``lease``: the host's uptime in seconds until which the guard waits for a sign of life, and which start of the
  host that uptime counts from.
* ``sessions/``: a note for every session that acts for the run, so that whoever takes it over can end them.
* ``undecided``: renamed, once, to ``committed`` (the result stands) or ``decided-WHO`` (it is undone). One atomic
  rename: two never decide.
* ``settled``: nothing is left to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from rollback_tasks.execution.guardian import GUARD, LIBRARY, UNWIND
from rollback_tasks.model.project import Project
from rollback_tasks.shell import Command, Effect, script

FENCED = 75
COMMITTED = 76
NOT_ALL_UNDONE = 77
BUSY = 78

_OPEN = """\
run=$1 line=$2 plan=$3 holder=$4 ttl=$5
umask 007
mkdir -p "$run/undo" "$run/sessions" || exit 1
printf '%s' "$6" >"$run/library.sh" && printf '%s' "$7" >"$run/unwind.sh" || exit 1
printf '%s' "$8" >"$run/guard.sh" || exit 1
printf '%s' "$plan" >"$run/plan.json" && printf '%s\\n' "$holder" >"$run/holder" || exit 1
. "$run/library.sh"
renew "$run" "$ttl" && : >"$run/undecided" && printf '%s\\n' "$line" >>"$run/journal.jsonl" || exit 1
flush "$run/library.sh" "$run/unwind.sh" "$run/guard.sh" "$run/plan.json" "$run/journal.jsonl" "$run" "$run/.."
start_guard "$run"
"""

# The fence: a run that lost its lock or its lead, or was decided by somebody else, must not take another step.
# The session is noted before it is looked whether this process leads: whoever takes the lead away writes that down
# first and then ends what it finds noted, so one of the two sees the other.
_BEGIN = """\
run=$1 holder=$2 ttl=$3 name=$4 undo=$5 line=$6
umask 007
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
renew "$run" "$ttl" || exit 1
if [ -n "$undo" ]; then
  printf '%s' "$undo" >"$run/undo/$name.partial" || exit 1
  flush "$run/undo/$name.partial"
  mv "$run/undo/$name.partial" "$run/undo/$name.sh" || exit 1
fi
write_down "$run" "$line" || exit 1
flush "$run/journal.jsonl" "$run/undo"
"""

# The same fence for the later parts of a step: each of them travels in a session of its own.
_HOLD = """\
run=$1 holder=$2 ttl=$3
umask 007
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
renew "$run" "$ttl" || exit 1
"""

_LED = """\
run=$1 holder=$2
shift 2
. "$run/library.sh" || exit 75
note_session "$run" || exit 1
is_led_by "$run" "$holder" || exit 75
(exec "$@")
code=$?
forget_session "$run"
exit "$code"
"""

_APPEND = """\
run=$1 holder=$2
. "$run/library.sh" || exit 1
is_led_by "$run" "$holder" || exit 75
write_down "$run" "$3" || exit 1
flush "$run/journal.jsonl"
"""

_COMMIT = """\
run=$1 holder=$2 line=$3
umask 007
. "$run/library.sh" || exit 75
alone "$run" 20 || exit 78
is_led_by "$run" "$holder" || exit 75
mv "$run/undecided" "$run/committed" || exit 75
write_down "$run" "$line" || exit 1
: >"$run/settled"
flush "$run/journal.jsonl" "$run"
"""

# A sign of life for each line; the connection's end ends it.
_RENEW = """\
run=$1 holder=$2 ttl=$3
umask 007
. "$run/library.sh" || exit 75
while IFS= read -r beat; do
  is_led_by "$run" "$holder" || exit 75
  renew "$run" "$ttl" || exit 1
done
"""

# After a lost connection: what was under way may still be; it is waited for, then the run is ours again or not.
_REJOIN = """\
run=$1 holder=$2 ttl=$3 limit=$4
umask 007
. "$run/library.sh" || exit 75
while [ -n "$(session_members "$run")" ] && [ "$limit" -gt 0 ]; do
  is_led_by "$run" "$holder" || exit 75
  renew "$run" "$ttl"
  sleep 1
  limit=$((limit - 1))
done
is_led_by "$run" "$holder" && renew "$run" "$ttl" || exit 75
[ -z "$(session_members "$run")" ] || exit 79
"""

# The old leader is shut out before what it started is ended.
_LEAD = """\
run=$1 holder=$2 ttl=$3 line=$4
umask 007
. "$run/library.sh" || exit 75
alone "$run" 20 || exit 78
[ -e "$run/undecided" ] || exit 75
[ "$(seconds_left "$run")" -le 0 ] || exit 78
printf '%s\\n' "$holder" >"$run/holder.partial" && mv "$run/holder.partial" "$run/holder" || exit 1
renew "$run" "$ttl" || exit 1
start_guard "$run"
end_session "$run" || exit 78
write_down "$run" "$line" || exit 1
flush "$run/journal.jsonl"
"""

_VERDICT = """\
run=$1 limit=$2
while [ ! -e "$run/settled" ] && [ "$limit" -gt 0 ]; do sleep 1; limit=$((limit - 1)); done
if [ -e "$run/settled" ] && [ -e "$run/committed" ]; then echo committed
elif [ -e "$run/settled" ]; then echo restored
elif [ -e "$run/undecided" ]; then echo undecided
else echo deciding; fi
cat "$run/journal.jsonl"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Who leads a run, and for how long without a sign of life.

    :param holder: a word that only this process knows.
    :param lease: seconds.
    """

    project: Project
    run_id: str
    holder: str
    lease: float

    @property
    def folder(self) -> str:
        """The run's folder on the host."""
        return self.project.run_folder(self.run_id)

    @property
    def ttl(self) -> str:
        """The lease as the host's scripts take it."""
        return str(max(3, round(self.lease)))

    def open_run(self, first: str, plan: str) -> Command:
        """Return the command that makes the run's folder and starts its guard."""
        return script(
            _OPEN, self.folder, first, plan, self.holder, self.ttl, LIBRARY, UNWIND, GUARD, effect=Effect.WRITE
        )

    def begin(self, *, name: str, undo: str, begun: str) -> Command:
        """Return the command that writes a step's compensation, then that it begins; exit code 75 where the run is
        no longer led by this process.

        :param name: ``NNN-kind``; sorts in the order of the steps.
        :param undo: script text; empty where there is nothing to undo.
        """
        return script(_BEGIN, self.folder, self.holder, self.ttl, name, undo, begun, effect=Effect.WRITE)

    def hold(self) -> Command:
        """Return the command that goes first wherever a step goes on in a new round trip; exit code 75 as ``begin``."""
        return script(_HOLD, self.folder, self.holder, self.ttl, effect=Effect.WRITE)

    def led(self, command: Command) -> Command:
        """Return ``command``, run only where the run is still led by this process (exit code 75: it is not)."""
        words = ("sh", "-c", _LED, "rollback", self.folder, self.holder, *command.argv)
        return replace(command, argv=words, effect=max(command.effect, Effect.WRITE))

    def append(self, text: str) -> Command:
        """Return the command that adds a line; exit code 75 as ``begin``."""
        return script(_APPEND, self.folder, self.holder, text, effect=Effect.WRITE)

    def commit(self, last: str) -> Command:
        """Return the command that decides for the result: from now on nothing is undone by itself."""
        return script(_COMMIT, self.folder, self.holder, last, effect=Effect.WRITE)

    def renewing(self, *, timeout: float) -> Command:
        """Return the command that renews the lease for every line of its standard input."""
        return script(_RENEW, self.folder, self.holder, self.ttl, effect=Effect.WRITE, timeout=timeout)

    def rejoin(self, *, limit: float) -> Command:
        """Return the command that waits for what was under way, up to ``limit`` seconds, and says whether the run is
        still led by this process (exit code 75: no; 79: yes, but it still goes on)."""
        return script(
            _REJOIN,
            self.folder,
            self.holder,
            self.ttl,
            str(round(limit)),
            effect=Effect.WRITE,
            timeout=limit + 30,
            ok_codes=frozenset({0, FENCED, 79}),
        )

    def take(self, line_: str) -> Command:
        """Return the command that takes the lead of an abandoned run (exit code 75: it was decided; 78: somebody
        still leads it)."""
        return script(
            _LEAD,
            self.folder,
            self.holder,
            self.ttl,
            line_,
            effect=Effect.WRITE,
            ok_codes=frozenset({0, FENCED, BUSY}),
        )


def line(event: str, *, at: str, **fields: object) -> str:
    """Return one line of a journal. Fields are public API; no secret may stand in one."""
    return json.dumps({"version": 1, "event": event, "at": at, **fields}, ensure_ascii=True)


def unwind(project: Project, run_id: str, who: str, *, holder: str = "") -> Command:
    """Return the command that decides against the result and runs every compensation, newest first.

    :param who: ``laptop``, ``guard``, or ``undo`` for a run whose result was already committed.
    :param holder: the laptop that must still lead an undecided run; empty for an operator's explicit wish.

    Exit code 75: another laptop leads the run, or (``undo``) another run holds the host; 76: the result was
    committed; 77: not every compensation succeeded; 78: it is being undone right now.
    """
    return Command(
        argv=("sh", f"{project.run_folder(run_id)}/unwind.sh", who, holder),
        effect=Effect.DESTROY,
        timeout=1800,
        ok_codes=frozenset({0, FENCED, COMMITTED, NOT_ALL_UNDONE, BUSY}),
    )


def end_session(project: Project, run_id: str) -> Command:
    """Return the command that ends what a run is doing on the host right now."""
    body = '. "$1/library.sh" && end_session "$1"'
    return script(body, project.run_folder(run_id), effect=Effect.WRITE)


def has_begun(project: Project, run_id: str, name: str) -> Command:
    """Return the command that tells whether a step's beginning stands in the journal (exit code 1: no)."""
    return script(
        'grep -qF -- "\\"step\\": \\"$2\\"" "$1/journal.jsonl"',
        project.run_folder(run_id),
        name,
        effect=Effect.READ,
        ok_codes=frozenset({0, 1}),
    )


_UNDO_ONE = """\
file=$1/undo/$2.sh
[ -e "$file" ] || exit 0
sh "$file" >>"$1/undo/$2.log" 2>&1 </dev/null
"""


def undo_one(project: Project, run_id: str, name: str) -> Command:
    """Return the command that undoes one step that was begun, so that it can be done anew."""
    return script(_UNDO_ONE, project.run_folder(run_id), name, effect=Effect.DESTROY, timeout=600)


def verdict(project: Project, run_id: str, *, wait: float) -> Command:
    """Return the command that waits up to ``wait`` seconds until a run is settled and says how."""
    return script(_VERDICT, project.run_folder(run_id), str(round(wait)), effect=Effect.READ, timeout=wait + 30)
