"""The append-only record of a run, on the host, with the way back beside it.

``runs/ID/`` holds ``journal.jsonl``, ``plan.json``, ``undo/NNN-KIND.sh`` (written before its step acts, renamed to
``.undone`` when it ran, ``.early`` when it ran before a newer one that failed), the scripts of ``guardian``, and
files that say how the run stands:

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

from rollback_tasks.execution import journal_scripts as scripts
from rollback_tasks.execution.guardian import GUARD, LIBRARY, UNWIND
from rollback_tasks.model.project import Project, Site
from rollback_tasks.shell import Command, Effect, script

FENCED = 75
COMMITTED = 76
NOT_ALL_UNDONE = 77
BUSY = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Who leads a run, and for how long without a sign of life.

    :param holder: a word that only this process knows.
    :param lease: seconds.
    :param at: the other host on which this run has a folder of its own; None = the application's.
    """

    project: Project
    run_id: str
    holder: str
    lease: float
    at: Site | None = None

    @property
    def folder(self) -> str:
        """The run's folder on the host."""
        return folder_of(self.project, self.run_id, self.at)

    @property
    def place(self) -> str:
        """The place of the run's folder, as of a Command."""
        return self.at.place if self.at else ""

    @property
    def ttl(self) -> str:
        """The lease as the host's scripts take it."""
        return str(max(3, round(self.lease)))

    def open_run(self, first: str, plan: str) -> Command:
        """Return the command that makes the run's folder and starts its guard."""
        return script(
            scripts.OPEN,
            self.folder,
            first,
            plan,
            self.holder,
            self.ttl,
            LIBRARY,
            UNWIND,
            GUARD,
            effect=Effect.WRITE,
            place=self.place,
        )

    def begin(self, *, name: str, undo: str, begun: str) -> Command:
        """Return the command that writes a step's compensation, then that it begins; exit code 75 where the run is
        no longer led by this process.

        :param name: ``NNN-kind``; sorts in the order of the steps.
        :param undo: script text; empty where there is nothing to undo.
        """
        return script(
            scripts.BEGIN, self.folder, self.holder, self.ttl, name, undo, begun, effect=Effect.WRITE, place=self.place
        )

    def hold(self) -> Command:
        """Return the command that goes first wherever a step goes on in a new round trip; exit code 75 as ``begin``."""
        return script(scripts.HOLD, self.folder, self.holder, self.ttl, effect=Effect.WRITE, place=self.place)

    def led(self, command: Command) -> Command:
        """Return ``command``, run only where the run is still led by this process (exit code 75: it is not)."""
        words = ("sh", "-c", scripts.LED, "rollback", self.folder, self.holder, *command.argv)
        return replace(command, argv=words, effect=max(command.effect, Effect.WRITE))

    def append(self, text: str) -> Command:
        """Return the command that adds a line; exit code 75 as ``begin``."""
        return script(scripts.APPEND, self.folder, self.holder, text, effect=Effect.WRITE, place=self.place)

    def commit(self, last: str) -> Command:
        """Return the command that decides for the result: from now on nothing is undone by itself."""
        return script(scripts.COMMIT, self.folder, self.holder, last, effect=Effect.WRITE, place=self.place)

    def renewing(self, *, timeout: float) -> Command:
        """Return the command that renews the lease for every line of its standard input."""
        return script(
            scripts.RENEW, self.folder, self.holder, self.ttl, effect=Effect.WRITE, place=self.place, timeout=timeout
        )

    def rejoin(self, *, limit: float) -> Command:
        """Return the command that waits for what was under way, up to ``limit`` seconds, and says whether the run is
        still led by this process (exit code 75: no; 79: yes, but it still goes on)."""
        return script(
            scripts.REJOIN,
            self.folder,
            self.holder,
            self.ttl,
            str(round(limit)),
            effect=Effect.WRITE,
            place=self.place,
            timeout=limit + 30,
            ok_codes=frozenset({0, FENCED, 79}),
        )

    def take(self, line_: str) -> Command:
        """Return the command that takes the lead of an abandoned run (exit code 75: it was decided; 78: somebody
        still leads it)."""
        return script(
            scripts.LEAD,
            self.folder,
            self.holder,
            self.ttl,
            line_,
            effect=Effect.WRITE,
            place=self.place,
            ok_codes=frozenset({0, FENCED, BUSY}),
        )


def line(event: str, *, at: str, **fields: object) -> str:
    """Return one line of a journal. Fields are public API; no secret may stand in one."""
    return json.dumps({"version": 1, "event": event, "at": at, **fields}, ensure_ascii=True)


def folder_of(project: Project, run_id: str, at: Site | None) -> str:
    """Return a run's folder, on the application's host or on the other one."""
    return at.run_folder(run_id) if at else project.run_folder(run_id)


def unwind(project: Project, run_id: str, who: str, *, holder: str = "", at: Site | None = None) -> Command:
    """Return the command that decides against the result and runs every compensation, newest first.

    :param who: ``laptop``, ``guard``, or ``undo`` for a run whose result was already committed.
    :param holder: the laptop that must still lead an undecided run; empty for an operator's explicit wish.

    Exit code 75: another laptop leads the run, or (``undo``) another run holds the host; 76: the result was
    committed; 77: not every compensation succeeded; 78: it is being undone right now.
    """
    return Command(
        argv=("sh", f"{folder_of(project, run_id, at)}/unwind.sh", who, holder),
        effect=Effect.DESTROY,
        place=at.place if at else "",
        timeout=1800,
        ok_codes=frozenset({0, FENCED, COMMITTED, NOT_ALL_UNDONE, BUSY}),
    )


def end_session(project: Project, run_id: str, at: Site | None = None) -> Command:
    """Return the command that ends what a run is doing on the host right now."""
    body = '. "$1/library.sh" && end_session "$1"'
    place = at.place if at else ""
    return script(body, folder_of(project, run_id, at), effect=Effect.WRITE, place=place)


def has_begun(project: Project, run_id: str, name: str) -> Command:
    """Return the command that tells whether a step's beginning stands in the journal (exit code 1: no)."""
    return script(
        'grep -qF -- "\\"step\\": \\"$2\\"" "$1/journal.jsonl"',
        project.run_folder(run_id),
        name,
        effect=Effect.READ,
        ok_codes=frozenset({0, 1}),
    )


def undo_one(project: Project, run_id: str, name: str) -> Command:
    """Return the command that undoes one step that was begun, so that it can be done anew."""
    return script(scripts.UNDO_ONE, project.run_folder(run_id), name, effect=Effect.DESTROY, timeout=600)


def verdict(project: Project, run_id: str, *, wait: float, at: Site | None = None) -> Command:
    """Return the command that waits up to ``wait`` seconds until a run is settled and says how."""
    words = (folder_of(project, run_id, at), str(round(wait)))
    return script(scripts.VERDICT, *words, effect=Effect.READ, timeout=wait + 30, place=at.place if at else "")
