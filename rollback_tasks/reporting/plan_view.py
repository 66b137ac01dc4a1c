"""A plan as people read it before they say yes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rollback_tasks.model.plan import Compensation, HostPlan, Irreversible, Keep, Plan, Step
from rollback_tasks.model.release import Release
from rollback_tasks.reporting.amounts import count, short_commit, short_image
from rollback_tasks.reporting.foreign import visible_lines
from rollback_tasks.reporting.lines import Line, Span, Tone, line

_LABEL = 9
_HANG = 2 + _LABEL


def lines(plan: Plan) -> Iterator[Line]:
    """Given a plan, yield its lines: every host with from, to, verdict, losses and steps, then the counts.

    Steps that stand above already, for another host, are not said again.
    """
    yield line(Span(plan.task, Tone.STRONG), f", run {plan.run_id}")
    told: dict[tuple[str, ...], str] = {}
    for host in plan.hosts:
        yield line()
        yield from _host(host)
        same = told.setdefault(_told(host), host.host)
        if same != host.host and host.steps:
            yield _labelled("steps", f"the same {len(host.steps)} as {same}")
        else:
            yield from _steps(host)
    if plan.hosts:
        yield line()
        yield _counts(plan)
    for note in plan.notes:
        yield line(*_first(note), hang=2)


def _host(host: HostPlan) -> Iterator[Line]:
    database = f" (database {host.database})" if host.database else ""
    yield line(Span(host.host, Tone.STRONG), database, ": ", _standing(host), hang=2)
    if host.diagnosis is not None:
        for sentence in host.diagnosis.found:
            yield _labelled("found", sentence)
        yield _labelled("so", host.diagnosis.therefore, Tone.STRONG)
    yield _labelled("from", _release(host.current))
    if host.target is not None:
        yield _labelled("to", _release(host.target))
    warnings = host.warnings
    if host.verdict is not None:
        tone = Tone.WARN if host.verdict.losses else Tone.PLAIN if host.verdict.is_possible else Tone.BAD
        yield _labelled("verdict", str(host.verdict), tone)
        for loss in host.verdict.losses:
            undone = f", with revision {loss.revision}" if loss.revision else ""
            yield _labelled("lost", f"{loss}{undone}", Tone.BAD)
        warnings = (*host.verdict.warnings, *host.warnings)
    for cost in host.costs:
        yield _labelled("cost", cost, Tone.BAD)
    for warning in warnings:
        yield _labelled("warning", warning, Tone.WARN)
    for blocker in host.blockers:
        yield _labelled("blocked", blocker.brief, Tone.BAD)
        if blocker.hint:
            yield _labelled("", f"HINT: {blocker.hint}")


def _standing(host: HostPlan) -> Span:
    if host.blockers:
        return Span("blocked", Tone.BAD)
    if host.is_noop:
        return Span(f"nothing to do: {host.noop_reason}", Tone.GOOD)
    return Span(f"to {host.does} in {count(len(host.steps), 'step')}", Tone.STRONG)


def _told(host: HostPlan) -> tuple[str, ...]:
    """Return what the steps of a host say; a folder that is named after the host is the same for every host."""
    own = re.compile(rf"(?<=/){re.escape(host.host)}(?![^\s/])")
    return tuple(own.sub("HOST", text) for step in host.steps for text in (step.describe(), step.compensation().says))


def _steps(host: HostPlan) -> Iterator[Line]:
    steps = host.steps
    digits = len(str(len(steps)))
    hang = 2 + digits + 2
    is_away = False
    for number, step in enumerate(steps, 1):
        if step.takes_service_away and not is_away:
            is_away = True
            said = (
                "downtime starts: the application is stopped" if host.has_gap else "no gap: others serve from here on"
            )
            yield line("  ", Span(f"--- {said} ---", Tone.WARN if host.has_gap else Tone.GOOD))
        yield line(f"  {number:>{digits}}. ", *_first(step.describe()), hang=hang)
        if step.compensation().says:
            yield line(" " * hang, _undo(step), hang=hang + 6)


def _undo(step: Step) -> Span:
    match step.compensation():
        case Compensation(says=says):
            return Span(f"undo: {says}", Tone.FAINT)
        case Keep(says=says):
            return Span(f"kept: {says}", Tone.FAINT)
        case Irreversible(says=says):
            return Span(f"CANNOT BE UNDONE: {says}", Tone.BAD)


def _release(release: Release) -> str:
    # An id of the ledger ends in the commit already.
    is_named = release.label.endswith(f"-{short_commit(release.commit)}")
    commit = [] if is_named else [f"commit {short_commit(release.commit)}"]
    images = [f"{service} {short_image(image)}" for service, image in release.images.items()]
    schema = f"schema {', '.join(release.schema)}" if release.schema else "no schema"
    return "  ".join([release.label, *commit, *images, schema])


def _labelled(label: str, text: str, tone: Tone = Tone.PLAIN) -> Line:
    return line("  ", Span(f"{label:<{_LABEL}}", Tone.FAINT), *_first(text, tone), hang=_HANG)


def _first(text: str, tone: Tone = Tone.PLAIN) -> tuple[Span, ...]:
    """A sentence is one line: where it holds several, they are joined."""
    return (Span(" / ".join(visible_lines(text)), tone),)


def _counts(plan: Plan) -> Line:
    blocked = sum(bool(host.blockers) for host in plan.hosts)
    idle = sum(host.is_noop for host in plan.hosts)
    acting = len(plan.hosts) - blocked - idle
    doings = {host.does for host in plan.hosts if not host.blockers and not host.is_noop}
    parts = [
        (f"{acting} to {doings.pop() if len(doings) == 1 else 'change'}", Tone.STRONG, acting),
        (f"{idle} nothing to do", Tone.GOOD, idle),
        (f"{blocked} blocked", Tone.BAD, blocked),
    ]
    spans: list[Span | str] = [f"{count(len(plan.hosts), 'host')}: "]
    for text, tone, number in parts:
        if number:
            spans += [Span(text, tone), ", "]
    return line(*spans[:-1])
