"""The incident report is Markdown in which foreign text is only text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rollback_tasks.model.outcome import HostReport, Outcome, RunReport
from rollback_tasks.model.plan import Plan
from rollback_tasks.reporting.foreign import visible
from rollback_tasks.reporting.incident import escaped, fenced, markdown
from rollback_tasks.reporting.masking import Masker


@dataclass(frozen=True)
class Person:
    role: str
    name: str
    phone: str
    slack: str


def test_the_report_of_a_fleet(report: RunReport, plan: Plan) -> None:
    contacts = (Person("On-call engineer", "Olga", "+1 555 0100", "@olga"), Person("DBA", "", "", "#db|ops"))
    text = markdown(
        report,
        plan,
        contacts,
        ended_at="2026-11-22T03:20:00Z",
        operator="olga@laptop",
        reason="500s since 1.4.2 <prod>",
    )
    new = f"commit 9d8e7f6{'0' * 33}; app sha256:a1b2c3d4e5f6{'0' * 52}; schema c3d4e5"
    old = f"commit 3f2a1bc{'0' * 33}; app sha256:0f1e2d3c4b5a{'0' * 52}; schema b2c3d4"
    assert (
        text
        == f"""\
# Incident report: rollback.full on prod1, prod2, prod3

| Severity | Critical: a host needs a person |
|---|---|
| Run | 20261122T031501Z-4f2a |
| Began | 2026-11-22T03:15:01Z |
| Ended | 2026-11-22T03:20:00Z |
| Outcome | stranded (exit code 5) |
| Reporter | olga@laptop |

## Summary

Reason: 500s since 1.4.2 \\<prod\\>

- prod1: done, 9d8e7f6 c3d4e5 -\\> 3f2a1bc b2c3d4
- prod2: noop, unchanged
- prod3: stranded, 9d8e7f6 c3d4e5

What to type next:

```
inv rollback.resume --host prod3
```

## Impact

- prod1: downtime 2.4 s
- prod2: downtime -
- prod3: downtime 3 min 23 s

Data that the plan counted as lost:

- prod1: users.nickname (12 values)

Who was affected: _to be filled in_

## Host prod1

| Outcome | done |
|---|---|
| Verdict | downgrade |
| From | {new} |
| To | {old} |
| Backup | /srv/app/.rollback/backups/20261122.dump |
| Backup SHA-256 | {"ab" * 32} |
| Backup size | 1.5 KiB |
| Backup proven | restored |

| Step | State | Seconds |
|---|---|---|
| backup\\_database | done | 3.1 |
| stop\\_services | done | 0.8 |

Warning: orphan containers were left alone

## Host prod2

| Outcome | noop |
|---|---|
| Verdict | none |
| From | {old} |
| To | {old} |
| Backup | none |

## Host prod3

| Outcome | stranded |
|---|---|
| Verdict | code-only |
| From | {new} |
| To | unknown |
| Backup | none |

| Step | State | Seconds |
|---|---|---|
| stop\\_services | done | 1.0 |
| switch\\_images | compensation_failed | 200.0 |

Error:

```
docker ended with exit code 1
no space left on device
```

Hint: free space on prod3, then type inv rollback.resume --host prod3

## Root cause

_to be filled in_

## Resolution

_to be filled in_

## Follow-up actions

- [ ] _to be filled in_

## Lessons learned

_to be filled in_

## Contacts

| Role | Name | Phone | Slack |
|---|---|---|---|
| On-call engineer | Olga | \\+1 555 0100 | @olga |
| DBA |  |  | \\#db\\|ops |
"""
    )


def test_a_run_of_which_nothing_is_known_leaves_all_open() -> None:
    text = markdown(RunReport(task="rollback.full", run_id="odd"), None, ())
    assert text.startswith("# Incident report: rollback.full\n")
    assert "| Began | _to be filled in_ |" in text
    assert "- _to be filled in_\n" in text
    assert text.endswith("## Contacts\n\nNone are named in the inventory.\n")


@pytest.mark.parametrize(
    ("outcome", "resolution"),
    [
        (Outcome.DONE, "The rollback was done."),
        (Outcome.RESTORED, "The rollback failed; the host is as before."),
        (Outcome.STRANDED, "_to be filled in_"),
    ],
)
def test_the_resolution_says_how_the_run_ended(outcome: Outcome, resolution: str) -> None:
    text = markdown(RunReport(task="t", run_id="R", hosts=(HostReport(host="a", outcome=outcome),)), None, ())
    assert re.search(r"## Resolution\n\n(.*)\n", text).group(1) == resolution  # type: ignore[union-attr]


def test_secrets_are_hidden_before_they_are_escaped(report: RunReport) -> None:
    secret = "p*ss_[x]"
    host = replace(report.hosts[0], error=f"failed with {secret}", hint=f"type {secret}", warnings=(secret,))
    text = markdown(replace(report, hosts=(host,)), None, (), reason=secret, clean=Masker([secret]))
    assert ("p*" in text, "p\\*" in text, text.count("\\*\\*\\*")) == (False, False, 3)
    assert "failed with ***\n" in text


_MARKDOWN = MarkdownIt("commonmark").enable("table").enable("strikethrough")
_TRICKY = st.text(st.sampled_from("ab 1.)-+=#*_`~[]()<>!|\\&;:/$\n\t\x1b") | st.characters(), max_size=30)


def test_what_was_found_and_what_was_looked_at_afterwards_stand_with_the_host(report: RunReport) -> None:
    extra = {
        "diagnosis": {"found": ["it is *sick*", "two\nlines"], "therefore": "rollback.full"},
        "checks": [{"check": "health", "ok": True, "text": "HTTP 200"}, {"check": "logs", "ok": False, "text": "a|b"}],
    }
    host = replace(report.hosts[1], outcome=Outcome.PROBLEMS, error="logs: a|b", extra=extra)
    text = markdown(replace(report, hosts=(host,)), None, ())
    assert (
        """
- it is \\*sick\\*
- two / lines
- Therefore: rollback.full

| Check | Result | What was seen |
|---|---|---|
| health | ok | HTTP 200 |
| logs | PROBLEM | a\\|b |
"""
        in text
    )
    assert "It was done; what was looked at afterwards is not all well." in text


def _texts(markdown_text: str) -> list[tuple[str, str]]:
    """Block tokens with the plain text of each inline one; anything but text in a line shows up by its type."""
    found = []
    for token in _MARKDOWN.parse(markdown_text):
        inner = "".join(
            child.content if child.type in ("text", "text_special") else f"<{child.type}>"
            for child in token.children or ()
        )
        found.append((token.type, inner))
    return found


@given(_TRICKY)
def test_foreign_text_in_a_list_is_only_text(text: str) -> None:
    expected = visible(text.strip())
    if expected:
        assert _texts(f"- {escaped(text)}") == [
            ("bullet_list_open", ""),
            ("list_item_open", ""),
            ("paragraph_open", ""),
            ("inline", expected),
            ("paragraph_close", ""),
            ("list_item_close", ""),
            ("bullet_list_close", ""),
        ]


@given(_TRICKY)
def test_foreign_text_in_a_table_stays_in_its_cell(text: str) -> None:
    cells = [inner for kind, inner in _texts(f"| a | b |\n|---|---|\n| {escaped(text)} | end |") if kind == "inline"]
    assert cells == ["a", "b", visible(text.strip()), "end"]


@given(_TRICKY)
@example("a\n```\nb\n`````\nc")
@example("~~~\n  ```")
def test_foreign_text_in_a_block_cannot_end_it(text: str) -> None:
    tokens = _MARKDOWN.parse("\n".join(fenced(text)))
    assert [token.type for token in tokens] == ["fence"]
