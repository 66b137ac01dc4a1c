"""The incident report: Markdown, filled with all that the run knows; what only people know is left open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting.amounts import duration, size
from rollback_tasks.reporting.foreign import visible, visible_lines
from rollback_tasks.reporting.lines import Clean
from rollback_tasks.reporting.outcome_view import change


class Contact(Protocol):
    """Somebody to call, as the inventory has it."""

    @property
    def role(self) -> str:
        """What to call them for."""

    @property
    def name(self) -> str:
        """Their name."""

    @property
    def phone(self) -> str:
        """Their phone."""

    @property
    def slack(self) -> str:
        """Their slack name."""


_OPEN = "_to be filled in_"


def markdown(
    report: RunReport,
    plan: Plan | None,
    contacts: Sequence[Contact],
    *,
    began_at: str = "",
    ended_at: str = "",
    operator: str = "",
    reason: str = "",
    clean: Clean = str,
) -> str:
    """Given a run, return its incident report.

    :param plan: what was planned, for verdicts and losses; None where it is not known any more.
    :param began_at: ISO time; empty = what the run id says.
    :param ended_at: ISO time.
    :param reason: text of ``--reason``.
    :param clean: what hides secrets.
    """
    words = _Words(clean)
    parts = [
        _head(words, report, began_at=began_at, ended_at=ended_at, operator=operator),
        _summary(words, report, reason),
        _impact(words, report, plan),
        *_hosts(words, report),
        _people(report),
        _contacts(words, contacts),
    ]
    return "\n".join(line for part in parts for line in (*part, ""))


def escaped(text: str) -> str:
    """Given foreign text, return Markdown (CommonMark, also in a table of GitHub's) that shows exactly it."""
    safe = re.sub(r"([\\`*_\[\]<>|~&#$])", r"\\\1", visible(text.strip()))
    # At the start of a list's entry these would begin a list, a rule or a heading.
    safe = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", safe)
    return f"\\{safe}" if safe.startswith(("-", "+", "=")) else safe


def fenced(text: str) -> list[str]:
    """Given foreign text, return it as a code block that it cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *visible_lines(text), fence]


class _Words:
    """Foreign text for this report: secrets are hidden before anything is escaped, as nobody would know them then."""

    def __init__(self, clean: Clean) -> None:
        self._clean = clean

    def __call__(self, text: str) -> str:
        """On one line, inside a sentence or a cell."""
        return escaped(self._clean(text))

    def block(self, text: str) -> list[str]:
        """As lines of their own."""
        return fenced(self._clean(text))


def _head(words: _Words, report: RunReport, *, began_at: str, ended_at: str, operator: str) -> Iterator[str]:
    hosts = ", ".join(host.host for host in report.hosts)
    yield f"# Incident report: {words(f'{report.task} on {hosts}' if hosts else report.task)}"
    yield ""
    rows = (
        ("Run", report.run_id),
        ("Began", began_at or _moment(report.run_id)),
        ("Ended", ended_at),
        ("Outcome", f"{report.outcome.value} (exit code {int(report.exit_code)})"),
        ("Reporter", operator),
    )
    yield from _table(("Severity", _severity(report)), [(name, words(value) or _OPEN) for name, value in rows])


def _severity(report: RunReport) -> str:
    if any(host.outcome is Outcome.STRANDED for host in report.hosts):
        return "Critical: a host needs a person"
    return _OPEN


def _moment(run_id: str) -> str:
    """A run id begins with the moment that the command was typed at, in UTC."""
    match = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", run_id)
    return "{}-{}-{}T{}:{}:{}Z".format(*match.groups()) if match else ""


def _summary(words: _Words, report: RunReport, reason: str) -> Iterator[str]:
    yield "## Summary"
    yield ""
    yield f"Reason: {words(reason) or _OPEN}"
    yield ""
    for host in report.hosts:
        yield f"- {words(host.host)}: {host.outcome.value}, {words(change(host.left, host.reached))}"
    if report.next:
        yield ""
        yield "What to type next:"
        yield ""
        yield from words.block(report.next)


def _impact(words: _Words, report: RunReport, plan: Plan | None) -> Iterator[str]:
    yield "## Impact"
    yield ""
    for host in report.hosts:
        yield f"- {words(host.host)}: downtime {duration(host.downtime_seconds)}"
    verdicts = {host.host: host.verdict for host in plan.hosts if host.verdict} if plan else {}
    yield ""
    yield "Data that the plan counted as lost:"
    yield ""
    losses = [(host, loss) for host, verdict in verdicts.items() for loss in verdict.losses]
    for name, loss in losses:
        yield f"- {words(name)}: {words(str(loss))}"
    if not losses:
        yield "- none" if verdicts else f"- {_OPEN}"
    yield ""
    yield f"Who was affected: {_OPEN}"


def _hosts(words: _Words, report: RunReport) -> Iterator[Iterable[str]]:
    for host in report.hosts:
        yield _host(words, host)


def _host(words: _Words, host: HostReport) -> Iterator[str]:
    yield f"## Host {words(host.host)}"
    yield ""
    yield from _table(
        ("Outcome", host.outcome.value),
        [
            ("Verdict", words(host.verdict or "none")),
            ("From", words(_state(host.left))),
            ("To", words(_state(host.reached))),
            *((name, words(value)) for name, value in _backup(host.backup)),
        ],
    )
    if host.steps:
        yield ""
        yield from _table(
            ("Step", "State", "Seconds"),
            [(words(step.kind), step.state.value, f"{step.seconds:.1f}") for step in host.steps],
        )
    yield from _scenario(words, host)
    for warning in host.warnings:
        yield ""
        yield f"Warning: {words(_flat(warning))}"
    if host.error:
        yield ""
        yield "Error:"
        yield ""
        yield from words.block(host.error)
    if host.hint:
        yield ""
        yield f"Hint: {words(host.hint)}"


def _scenario(words: _Words, host: HostReport) -> Iterator[str]:
    """What was found before, and what was looked at afterwards."""
    diagnosis = host.extra.get("diagnosis")
    if diagnosis:
        yield ""
        yield from (f"- {words(_flat(found))}" for found in diagnosis["found"])
        yield f"- Therefore: {words(_flat(diagnosis['therefore']))}"
    checks = host.extra.get("checks")
    if checks:
        rows = [(words(one["check"]), "ok" if one["ok"] else "PROBLEM", words(_flat(one["text"]))) for one in checks]
        yield ""
        yield from _table(("Check", "Result", "What was seen"), rows)


def _flat(text: str) -> str:
    """Several lines as one."""
    return " / ".join(visible_lines(text))


def _state(state: Any) -> str:
    if not state:
        return "unknown"
    images = ", ".join(f"{service} {image}" for service, image in (state.get("images") or {}).items())
    schema = ", ".join(state.get("schema") or ()) or "none"
    return f"commit {state.get('commit') or '?'}; {images or 'no images'}; schema {schema}"


def _backup(backup: Any) -> Iterator[tuple[str, str]]:
    if not backup:
        yield "Backup", "none"
        return
    yield "Backup", str(backup.get("path", "?"))
    yield "Backup SHA-256", str(backup.get("sha256", "?"))
    amount = backup.get("bytes")
    yield "Backup size", size(amount) if isinstance(amount, int) else "?"
    yield "Backup proven", str(backup.get("verified", "?"))


def _people(report: RunReport) -> Iterator[str]:
    endings = {
        Outcome.DONE: "The rollback was done.",
        Outcome.RESTORED: "The rollback failed; the host is as before.",
        Outcome.PROBLEMS: "It was done; what was looked at afterwards is not all well.",
    }
    yield from ("## Root cause", "", _OPEN, "")
    yield from ("## Resolution", "", endings.get(report.outcome, _OPEN), "")
    yield from ("## Follow-up actions", "", f"- [ ] {_OPEN}", "")
    yield from ("## Lessons learned", "", _OPEN)


def _contacts(words: _Words, contacts: Sequence[Contact]) -> Iterator[str]:
    yield "## Contacts"
    yield ""
    if contacts:
        rows = [tuple(words(cell) for cell in (who.role, who.name, who.phone, who.slack)) for who in contacts]
        yield from _table(("Role", "Name", "Phone", "Slack"), rows)
    else:
        yield "None are named in the inventory."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
