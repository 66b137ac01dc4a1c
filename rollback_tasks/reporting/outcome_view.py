"""How a run ended: a table of what changed, then what went wrong and what to type next."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.reporting.amounts import duration, short_commit, short_image
from rollback_tasks.reporting.foreign import visible, visible_lines
from rollback_tasks.reporting.lines import Line, Span, Tone, cells, line

TONES: Mapping[Outcome, Tone] = {
    Outcome.DONE: Tone.GOOD,
    Outcome.NOOP: Tone.GOOD,
    Outcome.PLANNED: Tone.STRONG,
    Outcome.BLOCKED: Tone.BAD,
    Outcome.RESTORED: Tone.WARN,
    Outcome.STRANDED: Tone.BAD,
    Outcome.LOCKED: Tone.WARN,
    Outcome.UNREACHABLE: Tone.WARN,
    Outcome.DECLINED: Tone.WARN,
    Outcome.PROBLEMS: Tone.BAD,
    Outcome.FAILED: Tone.BAD,
}

_HEADS = ("HOST", "OUTCOME", "FROM -> TO", "DOWNTIME", "SECONDS", "BACKUP")
_LABEL = 10


def lines(report: RunReport, *, width: int | None = None) -> Iterator[Line]:
    """Given a report, yield its lines.

    :param width: columns of the terminal; a table that is wider is shown host by host. None = any width.
    """
    rows = [_row(host) for host in report.hosts]
    if rows:
        table = list(_table(rows, report.hosts))
        fits = width is None or all(cells(row.text.rstrip()) <= width for row in table)
        yield from table if fits else _records(rows, report.hosts)
    for host in report.hosts:
        yield from _remarks(host)
    if report.error:
        yield from _remark("", "error", report.error, Tone.BAD)
    if report.report:
        yield line("report: ", report.report, hang=2)
    if report.next:
        yield line("next: ", Span(report.next, Tone.STRONG), hang=2)


def _row(host: HostReport) -> tuple[str, ...]:
    seconds = sum(step.seconds for step in host.steps)
    return (
        visible(host.host),
        host.outcome.value,
        visible(change(host.left, host.reached)),
        duration(host.downtime_seconds),
        f"{seconds:.1f}" if host.steps else "-",
        visible(_backup(host.backup)),
    )


def _table(rows: Sequence[tuple[str, ...]], hosts: Sequence[HostReport]) -> Iterator[Line]:
    widths = [max(cells(row[index]) for row in (_HEADS, *rows)) for index in range(len(_HEADS))]

    def padded(row: Sequence[str]) -> list[str]:
        return [cell + " " * (width - cells(cell) + 2) for cell, width in zip(row, widths, strict=True)]

    yield line(*(Span(cell, Tone.FAINT) for cell in padded(_HEADS)))
    for row, host in zip(rows, hosts, strict=True):
        name, outcome, *rest = padded(row)
        yield line(Span(name, Tone.STRONG), Span(outcome, TONES[host.outcome]), *rest)


def _records(rows: Sequence[tuple[str, ...]], hosts: Sequence[HostReport]) -> Iterator[Line]:
    for row, host in zip(rows, hosts, strict=True):
        yield line(Span(row[0], Tone.STRONG), ": ", Span(row[1], TONES[host.outcome]))
        for head, cell in zip(_HEADS[2:], row[2:], strict=True):
            if cell != "-":
                yield line("  ", Span(f"{head.lower():<{_LABEL}}", Tone.FAINT), "  ", cell, hang=_LABEL + 4)


def _remarks(host: HostReport) -> Iterator[Line]:
    for warning in host.warnings:
        yield from _remark(host.host, "warning", warning, Tone.WARN)
    checks = host.extra.get("checks") or ()
    if checks:
        well = sum(bool(check["ok"]) for check in checks)
        tone = Tone.GOOD if well == len(checks) else Tone.BAD
        yield from _remark(host.host, "checks", f"{well} of {len(checks)} are well", tone)
    if host.error:
        yield from _remark(host.host, "error", host.error, Tone.BAD)
    if host.hint:
        yield line("  HINT: ", " / ".join(visible_lines(host.hint)), hang=4)


def _remark(host: str, kind: str, text: str, tone: Tone) -> Iterator[Line]:
    first, *more = visible_lines(text)
    yield line(Span(f"{host}: " if host else "", Tone.STRONG), Span(f"{kind}: ", tone), first, hang=2)
    for rest in more:
        yield line("  ", rest, hang=2)


def change(left: Mapping[str, Any] | None, reached: Mapping[str, Any] | None) -> str:
    """Given two states of a host, return the parts that differ as ``a -> b``; ``-`` where nothing is known."""
    if left is None and reached is None:
        return "-"
    if left is None or reached is None:
        return _parts(left or reached or {}, _PARTS)
    differing = tuple(name for name in _PARTS if left.get(name) != reached.get(name))
    if not differing:
        return "unchanged"
    # A commit and a schema tell releases apart; images only where nothing else does.
    telling = tuple(name for name in differing if name != "images") or differing
    return f"{_parts(left, telling)} -> {_parts(reached, telling)}"


_PARTS = ("commit", "schema", "images")


def _parts(state: Mapping[str, Any], names: Sequence[str]) -> str:
    shown = {
        "commit": short_commit(str(state.get("commit") or "?")),
        "schema": ",".join(map(str, state.get("schema") or ())) or "no schema",
        "images": ",".join(short_image(str(image)) for image in (state.get("images") or {}).values()) or "no image",
    }
    wanted = [name for name in names if name != "images"] or names
    return " ".join(shown[name] for name in wanted)


def _backup(backup: Mapping[str, Any] | None) -> str:
    if not backup:
        return "-"
    name = posixpath.basename(str(backup.get("path") or "?"))
    return f"{name} ({backup['verified']})" if backup.get("verified") else name
