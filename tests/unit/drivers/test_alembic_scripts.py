"""The graph of a release's migrations."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts


def places(graph: ScriptGraph) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    return {name: (script.down, script.depends_on, script.labels) for name, script in graph.scripts.items()}


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("revision = 'a'\ndown_revision = None", ((), (), ())),
        ("revision: str = 'a'\ndown_revision: str | None = 'b'", (("b",), (), ())),
        ("revision = 'a'\ndown_revision = ('b', 'c')", (("b", "c"), (), ())),
        ("revision = 'a'\ndown_revision = ['b']\ndepends_on = ('x', 'y')", (("b",), ("x", "y"), ())),
        ("revision = 'a'\nbranch_labels = ('one',)\ndepends_on: str = 'two'", ((), ("two",), ("one",))),
        ("down_revision: str\nrevision = other = 'a'", ((), (), ())),
        ("revision = 'b'\nrevision = 'a'\r\n", ((), (), ())),
        ("\ufeffrevision = 'a'", ((), (), ())),
        ("revision = 'a'\ndef f():\n    revision = g()", ((), (), ())),
        (r"x = '\d'; revision = 'a'", ((), (), ())),
    ],
)
def test_a_file_says_where_it_stands(source: str, place: tuple[tuple[str, ...], ...]) -> None:
    graph = parse_scripts({"v/a.py": source})
    assert (places(graph), graph.unreadable) == ({"a": place}, ())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("revision = make()", "revision is not literal"),
        ("revision = None", "revision is not one text"),
        ("revision = ('a',)", "revision is not one text"),
        ("revision, down_revision = 'a', 'b'", "revision is not literal"),
        ("from x import revision", "revision is not literal"),
        ("if x:\n    revision = 'a'", "revision is not literal"),
        ("revision = 'a'\ndown_revision = other.revision", "down_revision is not literal"),
        ("revision = 'a'\ndown_revision = ('b', c)", "down_revision is not literal"),
        ("revision = 'a'\ndepends_on = f'{x}'", "depends_on is not literal"),
        ("revision = 'a@b'", "revision holds a name that alembic does not take"),
        ("revision = '-1'", "revision holds a name that alembic does not take"),
        ("revision = 'head'", "revision holds a name that alembic does not take"),
        ("revision = 'a\\x1b[31m'", "revision holds a name that alembic does not take"),
        ("revision = ''", "revision holds a name that alembic does not take"),
        ("revision = 'a'\n  x = 1", "is no Python that this machine can read (IndentationError)"),
        ("revision = 'a'\0", "is no Python that this machine can read"),
    ],
)
def test_a_file_that_cannot_be_placed_is_named(source: str, why: str) -> None:
    graph = parse_scripts({"v/a.py": source})
    assert dict(graph.scripts) == {}
    assert len(graph.unreadable) == 1
    assert graph.unreadable[0].startswith(f"v/a.py: {why}")


def test_files_without_a_revision_are_left_out() -> None:
    assert parse_scripts({"v/x.py": "def f(): pass", "v/y.py": ""}) == ScriptGraph()


def test_deeply_nested_files_are_named_and_not_fatal() -> None:
    graph = parse_scripts(
        {"v/a.py": "revision = 'a'\nx = " + "(" * 5000, "v/b.py": "revision = 'b'\nx = " + "-" * 100_000 + "1"}
    )
    assert [sentence.partition(":")[0] for sentence in graph.unreadable] == ["v/a.py", "v/b.py"]


def graph_of(**history: str) -> ScriptGraph:
    """``c="a b/d"``: c stands on a and b and depends on d."""
    files = {}
    for name, text in history.items():
        down, _, depends = text.partition("/")
        files[f"v/{name}.py"] = f"revision={name!r}\ndown_revision={down.split()!r}\ndepends_on={depends.split()!r}"
    return parse_scripts(files)


def test_heads_are_what_nothing_stands_on_or_depends_on() -> None:
    assert graph_of(a="", b="a", c="a").heads == ("b", "c")
    assert graph_of(a="", b="a", z="/b").heads == ("z",)
    assert ScriptGraph().heads == ()


def test_ancestors_follow_parents_and_dependencies_and_leave_unknown_ids_out() -> None:
    graph = graph_of(a="", b="a", c="a", m="b c", y="", z="y/b")
    assert graph.ancestors(["z"]) == {"z", "y", "b", "a"}
    assert graph.ancestors(["m", "nowhere"]) == {"m", "b", "c", "a"}


def test_newest_first_puts_each_revision_before_all_that_it_stands_on() -> None:
    graph = graph_of(a="", b="a", c="a", m="b c", z="/b")
    assert graph.newest_first(graph.ancestors(["m", "z"])) == ("m", "c", "z", "b", "a")


def test_a_dependency_may_be_named_by_its_branch_label() -> None:
    graph = parse_scripts({"a": "revision='a'\nbranch_labels='one'", "b": "revision='b'\ndepends_on='one'"})
    assert (graph.heads, graph.parents["b"]) == (("b",), ("a",))


def test_lost_parents_and_circles_are_what_alembic_refuses() -> None:
    assert graph_of(a="gone", b="/lost").broken == (
        "revision a stands on gone, which no file has",
        "revision b stands on lost, which no file has",
    )
    assert graph_of(a="b", b="a", c="").broken == ("the revisions a, b form a circle",)
    assert graph_of(a="b", b="a").ancestors(["a"]) == {"a", "b"}


def test_a_revision_that_stands_in_two_files_is_recorded() -> None:
    same = parse_scripts({"v/1.py": "revision='a'", "v/2.py": "revision='a'"})
    other = parse_scripts({"v/1.py": "revision='a'", "v/2.py": "revision='a' # x"})
    moved = parse_scripts({"v/1.py": "revision='a'", "v/2.py": "revision='a'\ndown_revision='b'"})
    assert (same.duplicates, same.unreadable, same.scripts["a"].is_double) == (("a",), (), False)
    assert (other.duplicates, other.unreadable, other.scripts["a"].is_double) == (("a",), (), True)
    assert (moved.duplicates, moved.unreadable) == (("a",), ("v/2.py: revision a has another place in v/1.py",))


def test_the_digest_does_not_depend_on_line_ends() -> None:
    one, two = (parse_scripts({"v": text}).scripts["a"] for text in ("revision='a'\nx=1\n", "revision='a'\r\nx=1\r\n"))
    assert one.digest == two.digest


def test_nothing_in_a_script_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = tmp_path / "proof"
    ran: list[str] = []
    monkeypatch.setattr(builtins, "ran_by_script", ran, raising=False)
    evil = (
        f"open({str(proof)!r}, 'w')\nran_by_script.append(1)\nrevision = 'a'\n"
        f"def upgrade(x=open({str(proof)!r}, 'w')): ran_by_script.append(2)\n"
        f"def downgrade():\n    ran_by_script.append(3)\n    op.execute(f'{{ran_by_script.append(4)}}')\n"
    )
    script = parse_scripts({"v/a.py": evil}).scripts["a"]
    assert (script.upgrade.exists, script.downgrade.exists, ran, proof.exists()) == (True, True, [], False)


_STATEMENTS = st.sampled_from(
    """op.drop_table('t')
with op.batch_alter_table(t) as b: b.drop_column(*c)
for x in (1, (2, 3)): op.drop_table(x)
for x, *y in ((1, 2), 3): op.execute(x)
op.execute(x % y, **z)
raise E(*a)
return
downgrade()
upgrade(*a, b=1, **c)
if (y := f(y)): raise
op.alter_column(**k)
op.alter_column('t', None, new_column_name=3, type_=None)
x[0], y.z = 1, 2
x = x + x
lambda: op.drop_table
[op.drop_table(t) for t in z]
while 1: break
def inner(): downgrade()
global op
del op
op.execute(f"drop {x!r:>{y}} table {'t'}")
op.execute(b'drop table t')
op.add_column('t', c)
op.rename_table(None, 3)
assert op.drop_table(x), 1
yield op.drop_column
().drop()
'%s' .format(1).delete()""".splitlines()
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A migration whose functions hold odd, legal statements."""
    parts = ["revision = 'aaaa'"]
    for name in ("upgrade", "downgrade"):
        body = draw(st.lists(_STATEMENTS, min_size=1, max_size=6))
        parts.append("\n    ".join([f"def {name}(a=1, /, b=2, *c, d, e=3, **f):", *body]))
    return "\n".join(parts)


@given(programs() | st.text(max_size=100))
@settings(max_examples=400, deadline=None)
def test_hostile_files_never_break_the_reader(source: str) -> None:
    graph = parse_scripts({"v/a.py": source, "v/b.py": "revision = 'bbbb'"})
    assert "bbbb" in graph
    for script in graph.scripts.values():
        assert isinstance(script.upgrade.operations + script.downgrade.operations, tuple)
    assert isinstance(graph.problems, tuple)
