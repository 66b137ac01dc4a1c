"""The one place where a result becomes output, and an error an exit code."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from rollback_tasks import __version__
from rollback_tasks.errors import ExitCode, RollbackError
from rollback_tasks.model.moments import compact
from rollback_tasks.model.outcome import Outcome, RunReport

_OUTCOMES: Mapping[ExitCode, Outcome] = {
    ExitCode.DONE: Outcome.DONE,
    ExitCode.BUG: Outcome.FAILED,
    ExitCode.USAGE: Outcome.FAILED,
    ExitCode.REFUSED: Outcome.BLOCKED,
    ExitCode.RESTORED: Outcome.RESTORED,
    ExitCode.STRANDED: Outcome.STRANDED,
    ExitCode.LOCKED: Outcome.LOCKED,
    ExitCode.UNREACHABLE: Outcome.UNREACHABLE,
    ExitCode.DECLINED: Outcome.DECLINED,
    ExitCode.PROBLEMS: Outcome.PROBLEMS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a task says that is no run.

    :param text: for people, on stdout.
    :param errors: for people, on stderr.
    :param fields: for programs; they join ``version``, ``task``, ``outcome`` and ``exit_code``.
    """

    text: str = ""
    errors: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.DONE


Result = RunReport | Answer | None


class Rendering(Protocol):
    """How a run's report looks."""

    def document(self, report: RunReport) -> Mapping[str, Any]:
        """Return the report for ``--json``."""

    def text(self, report: RunReport) -> str:
        """Return the report for people, as it stands on stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Runs one task.

    :param task: its whole name, e.g. ``rollback.full``.
    :param rendering: asked for only when there is a report to show, as its libraries are slow to load.
    :param state_folder: error logs go to ``errors/`` in it.
    :param clean: what hides secrets.
    """

    task: str
    wants_json: bool
    is_verbose: bool
    rendering: Callable[[], Rendering]
    state_folder: Path
    clean: Callable[[str], str] = str

    def run(self, body: Callable[[], Result]) -> ExitCode:
        """Run ``body``, show what it gives or why it failed, and return the exit code. Never raises."""
        code = ExitCode.DONE
        try:
            result = body()
            code = ExitCode.DONE if result is None else result.exit_code
            return self._show(result, code)
        except RollbackError as error:
            place = f"{error.host}: {error.brief}" if error.host else error.brief
            problem = f"{place}\n{error.details}" if error.details else place
            return self._fail(error.exit_code, problem, hint=error.hint)
        except KeyboardInterrupt:
            # A run settles itself before it lets an interruption out, so none is under way here.
            return self._fail(ExitCode.DECLINED, "interrupted")
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return self._bug(error, code)

    def _show(self, result: Result, code: ExitCode) -> ExitCode:
        match result:
            case None:
                return code
            case Answer():
                if result.errors:
                    say(self.clean(result.errors))
                text, fields = self.clean(result.text), _cleaned(result.fields, self.clean)
                if self.wants_json:
                    head = self._head(code)
                    fields = head | {name: value for name, value in fields.items() if name not in head}
            case RunReport():
                rendering = self.rendering()
                text = "" if self.wants_json else rendering.text(result)
                fields = rendering.document(result) if self.wants_json else {}
        return self._write(_one_line(fields) if self.wants_json else text, code)

    def _head(self, code: ExitCode) -> dict[str, Any]:
        return {"version": 1, "task": self.task, "outcome": _OUTCOMES[code].value, "exit_code": int(code)}

    def _fail(self, code: ExitCode, problem: str, *, hint: str = "") -> ExitCode:
        problem, hint = self.clean(problem), self.clean(hint)
        say(f"{self.task}: {problem}" + (f"\nHINT: {hint}" if hint else ""))
        if not self.wants_json:
            return code
        document = {
            **self._head(code),
            "run_id": None,
            "hosts": [],
            "report": None,
            "next": hint or None,
            "error": problem,
        }
        return self._write(_one_line(document), code)

    def _bug(self, error: BaseException, code: ExitCode) -> ExitCode:
        trace = self.clean("".join(traceback.format_exception(error)))
        if self.is_verbose:
            say(trace.rstrip("\n"))
        try:
            where = f"the details are in {self._log(trace)}"
        except OSError as problem:
            say(trace.rstrip("\n"))
            where = f"no log could be written: {problem}"
        # A host that is stranded stays so, even where its report cannot be shown.
        return self._fail(code or ExitCode.BUG, f"a bug in this program: {type(error).__name__}\n{where}")

    def _log(self, trace: str) -> Path:
        folder = self.state_folder / "errors"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{compact(time.time())}-{os.getpid()}-{time.monotonic_ns()}.log"
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"rollback-tasks {__version__}, Python {sys.version.split()[0]}, task {self.task}\n{trace}")
        return path

    def _write(self, text: str, code: ExitCode) -> ExitCode:
        try:
            _put(sys.stdout, text, encoding="utf-8" if self.wants_json else None)
        except BrokenPipeError:
            # The reader has seen enough (`| head -1`): that says nothing about the task.
            _detach(sys.stdout)
        except OSError as problem:
            _detach(sys.stdout)
            say(f"{self.task}: the result could not be written to stdout: {problem.strerror}")
            return code or ExitCode.BUG
        return code


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Return ``value`` with every text in it cleaned; the names of fields are ours and stay."""
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {name: _cleaned(each, clean) for name, each in value.items()}
        case list() | tuple():
            return [_cleaned(each, clean) for each in value]
        case _:
            return value


def say(message: str) -> None:
    """Print a message on stderr. Where nobody can read it any more, it is dropped."""
    try:
        _put(sys.stderr, visible(message))
    except OSError:
        _detach(sys.stderr)


# C0 without tab and newline, C1, and the marks that turn the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return ``text`` with control characters spelled out: a host's words must not steer a terminal."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _one_line(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _put(stream: TextIO | None, text: str, *, encoding: str | None = None) -> None:
    if stream is None or not text:  # None: the shell closed it (`>&-`)
        return
    line = text if text.endswith("\n") else text + "\n"
    stream.flush()
    stream.buffer.write(line.encode(encoding or stream.encoding, "backslashreplace"))
    stream.flush()


def _detach(stream: TextIO) -> None:
    """Let what is left in a stream's buffer go nowhere, so that the interpreter's exit is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
