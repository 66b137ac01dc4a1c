"""What an operator means by ``--to``."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts
from rollback_tasks.errors import UsageError
from rollback_tasks.planning.named_revision import named_heads


def graph_of(**history: str) -> ScriptGraph:
    return parse_scripts(
        {name: f"revision={name!r}\ndown_revision={tuple(down.split())!r}" for name, down in history.items()}
    )


LINE = graph_of(aaaa1="", aaab2="aaaa1", cccc3="aaab2", dddd4="cccc3")
MERGE = graph_of(a="", b1="a", b2="a", m="b1 b2", n="m")
LABELLED = parse_scripts({"a": "revision='a'\nbranch_labels='one'", "b": "revision='b'\ndown_revision='a'"})


@pytest.mark.parametrize(
    ("graph", "live", "name", "heads"),
    [
        pytest.param(LINE, "cccc3", "aaaa1", ("aaaa1",), id="a revision"),
        pytest.param(LINE, "cccc3", "aaab", ("aaab2",), id="a part of one"),
        pytest.param(LINE, "cccc3", "-2", ("aaaa1",), id="two steps"),
        pytest.param(LINE, "cccc3", "-3", (), id="all steps"),
        pytest.param(LINE, "cccc3", "-0", ("cccc3",), id="no step"),
        pytest.param(LINE, "cccc3", "base", (), id="base"),
        pytest.param(LINE, "cccc3", "heads", ("dddd4",), id="heads"),
        pytest.param(LINE, "cccc3", "dddd4", ("dddd4",), id="not applied yet"),
        pytest.param(MERGE, "n", "-1", ("m",), id="down to a merge"),
        pytest.param(MERGE, "n", "b1", ("b1", "b2"), id="a merge comes apart"),
        pytest.param(MERGE, "b1 b2", "b1", ("b1", "b2"), id="other branches stay"),
        pytest.param(MERGE, "b1 b2", "a", ("a",), id="the fork takes both branches"),
        pytest.param(LABELLED, "b", "one", ("a",), id="a branch label"),
    ],
)
def test_a_name_means(graph: ScriptGraph, live: str, name: str, heads: tuple[str, ...]) -> None:
    assert named_heads(graph, tuple(live.split()), name) == heads


@pytest.mark.parametrize(
    ("graph", "live", "name", "brief"),
    [
        (LINE, "cccc3", "zzzz", "the deployed release has no revision 'zzzz'"),
        (LINE, "cccc3", "aaa", "the deployed release has no revision 'aaa'"),
        (graph_of(abcd1="", abcd2=""), "abcd1", "abcd", "'abcd' could mean abcd1, abcd2"),
        (LINE, "cccc3", "-4", "there are fewer than 4 revisions to undo"),
        (MERGE, "m", "-1", "-1 ends at a merge of b1, b2"),
        (MERGE, "m", "-2", "-2 could mean several revisions: b1, b2"),
        (MERGE, "b1 b2", "-1", "-1 could mean several revisions: b1, b2"),
    ],
)
def test_a_name_that_is_not_clear_is_refused(graph: ScriptGraph, live: str, name: str, brief: str) -> None:
    with pytest.raises(UsageError) as caught:
        named_heads(graph, tuple(live.split()), name)
    assert (caught.value.brief, bool(caught.value.hint)) == (brief, True)
