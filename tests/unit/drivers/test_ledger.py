"""The ledger of releases: written by a real shell, read whatever lies there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.drivers import ledger
from rollback_tasks.drivers.ledger import Ledger, marked, parse, recorded, rolled_back, voided
from rollback_tasks.model.release import Release, ReleaseStatus
from rollback_tasks.transport.local import LocalHost

GOOD, BAD, UNMARKED = ReleaseStatus.GOOD, ReleaseStatus.BAD, ReleaseStatus.UNMARKED


def release(name: str, status: ReleaseStatus = UNMARKED, **changes: object) -> Release:
    fields: dict[str, object] = {"commit": f"c-{name}", "images": {"app": f"i-{name}"}, "schema": (f"s-{name}",)}
    fields |= {"recorded_at": "at", "status": status, **changes}
    return Release(id=name, **fields)  # type: ignore[arg-type]


def seen(name: str, run_id: str = "") -> str:
    return recorded(release(name), at="at", run_id=run_id)


def judged(name: str, status: ReleaseStatus, run_id: str = "") -> str:
    return marked(name, status, at="later", by="ann", reason=f"why {name}", run_id=run_id)


def back(left: str, reached: str, run_id: str = "") -> str:
    return rolled_back(left, reached, at="later", by="ann", reason="broken", run_id=run_id)


@pytest.mark.parametrize(
    ("lines", "releases"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([seen("a"), seen("b")], [release("a"), release("b")], id="in the order of deployment"),
        pytest.param(
            [seen("a"), judged("a", GOOD), seen("b"), judged("b", BAD)],
            [release("a", GOOD, reason="why a"), release("b", BAD, reason="why b")],
            id="marked",
        ),
        pytest.param(
            [seen("a"), judged("a", BAD), judged("a", GOOD)], [release("a", GOOD, reason="why a")], id="the last mark"
        ),
        pytest.param(
            [seen("a"), judged("a", GOOD), seen("b"), seen("a")],
            [release("b"), release("a", GOOD, reason="why a")],
            id="deployed again: the newest, with its mark",
        ),
        pytest.param(
            [seen("a"), seen("b"), judged("b", BAD), back("b", "a")],
            [release("a", is_rolled_back_to=True), release("b", BAD, reason="why b")],
            id="rolled back: keeps its place",
        ),
        pytest.param(
            [seen("a"), seen("b"), back("b", "a"), seen("a")], [release("b"), release("a")], id="a deployment ends that"
        ),
        pytest.param(
            [seen("a"), seen("b", "run"), judged("b", BAD, "run"), back("b", "a", "run"), voided("run")],
            [release("a")],
            id="a run that was put back does not count",
        ),
        pytest.param(
            [seen("a", "other"), voided("run"), judged("a", GOOD, "")],
            [release("a", GOOD, reason="why a")],
            id="another run counts",
        ),
        pytest.param([judged("a", GOOD), back("b", "a"), seen("")], [], id="marks of what was never recorded"),
        pytest.param([seen("a"), '{"event": "invented", "id": "a"}'], [release("a")], id="an event of a later version"),
        pytest.param(
            [seen("a"), '{"event": "marked", "id": "a", "status": "splendid"}'], [release("a")], id="an unknown mark"
        ),
        pytest.param(
            ['{"event": "recorded", "id": "a", "images": 3, "schema": 4, "names": "abc", "commit": null}'],
            [Release(id="a", commit="None")],
            id="fields of other types",
        ),
    ],
)
def test_the_lines_say(lines: list[str], releases: list[Release]) -> None:
    assert parse("".join(f"{line}\n" for line in lines)) == Ledger(tuple(releases))


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"event": 3}', "null", '{"id": "a"}', "[" * 100_000, "\x00", "1" * 5000]
)
def test_a_line_that_is_none_of_ours_is_counted_and_skipped(line: str) -> None:
    assert parse(f"{seen('a')}\n{line}\n{seen('b')}\n") == Ledger((release("a"), release("b")), damaged=1)


def test_a_last_line_that_was_torn_at_any_byte_is_only_left_out() -> None:
    whole, last = f"{seen('a')}\n", judged("a", GOOD)
    for cut in range(1, len(last)):
        assert parse(whole + last[:cut]) == Ledger((release("a"),), damaged=1)
    assert parse(whole + last) == Ledger((release("a", GOOD, reason="why a"),))


VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3))
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["recorded", "marked", "rolled_back", "voided"])},
    optional=dict.fromkeys(("id", "images", "schema", "names", "run_id", "status", "reason", "at"), VALUES),
)


@given(st.text())
def test_no_text_whatever_raises(text: str) -> None:
    parse(text)


@given(st.lists(EVENTS, max_size=6))
def test_no_event_whatever_raises(events: list[dict[str, object]]) -> None:
    assert parse("\n".join(json.dumps(event) for event in events)).damaged == 0


@given(st.text(), st.text(), st.text())
def test_any_words_come_back_as_they_were_written(name: str, reason: str, tag: str) -> None:
    lines = [
        recorded(release("a", names=(tag,), commit=name), at="at"),
        marked("a", GOOD, at="later", by="ann", reason=reason),
    ]
    assert all("\n" not in line and line.isascii() for line in lines)
    wanted = release("a", GOOD, reason=reason, names=(tag,), commit=name)
    assert parse("\n".join(lines)).releases == (wanted,)


def test_lines_are_appended_and_a_torn_one_is_closed_first(tmp_path: Path) -> None:
    host, folder = LocalHost(), str(tmp_path / "deep/er $(x) 'q'")
    assert host.run(ledger.read(folder)).text == ""
    host.run(ledger.append(folder, [seen("a"), judged("a", GOOD)]))
    file = Path(folder) / "releases.jsonl"
    file.write_text(file.read_text() + '{"torn')
    host.run(ledger.append(folder, [seen("b\\n%s\\c'\"")]))
    found = parse(host.run(ledger.read(folder)).text)
    assert [each.id for each in found.releases] == ["a", "b\\n%s\\c'\""]
    assert (found.damaged, file.stat().st_mode & 0o007) == (1, 0)


def test_what_a_run_wrote_is_taken_back_and_where_it_wrote_nothing_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "releases.jsonl"
    host = LocalHost()
    host.run(ledger.void(str(tmp_path), "run"))
    assert not file.exists()
    file.write_text(seen("a", "other") + "\n")
    host.run(ledger.void(str(tmp_path), "run"))
    assert file.read_text() == seen("a", "other") + "\n"
    host.run(ledger.append(str(tmp_path), (seen("b", "run"),)))
    for _ in range(2):
        host.run(ledger.void(str(tmp_path), "run"))
        assert parse(file.read_text()) == Ledger((release("a"),))
