"""The verdict on the schema."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent, indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts
from rollback_tasks.model.verdict import Loss, Verdict, VerdictKind
from rollback_tasks.planning.losses import costs_of
from rollback_tasks.planning.migrations import count_targets, decide, differences, unaccepted, with_counts

ADD_INDEX = "op.create_index('i', 't', ['c'])"
DROP_INDEX = "op.drop_index('i')"


def script(
    revision: str, down: str = "", *, up: str = ADD_INDEX, undo: str | None = DROP_INDEX, extra: str = ""
) -> str:
    lines = [f"revision = {revision!r}", f"down_revision = {tuple(down.split()) or None!r}", dedent(extra)]
    lines += ["def upgrade():", indent(dedent(up), "    ")]
    if undo is not None:
        lines += ["def downgrade():", indent(dedent(undo), "    ")]
    return "\n".join(lines)


def graph(*scripts: str) -> ScriptGraph:
    return parse_scripts({f"versions/{number}.py": text for number, text in enumerate(scripts)})


def line(*revisions: str) -> ScriptGraph:
    """Each stands on the one before."""
    return graph(*(script(name, before) for name, before in zip(revisions, ("", *revisions), strict=False)))


MERGED = graph(script("a"), script("b1", "a"), script("b2", "a"), script("m", "b1 b2", up="pass", undo="pass"))


def verdict(kind: VerdictKind, current: str, target: str, **more: object) -> Verdict:
    base = Verdict(kind=kind, current=tuple(current.split()), target=tuple(target.split()))
    return replace(base, **more)  # type: ignore[arg-type]


K = VerdictKind


@pytest.mark.parametrize(
    ("live", "deployed", "target", "heads", "expected"),
    [
        pytest.param("b", line("a", "b"), line("a", "b"), None, verdict(K.CODE_ONLY, "b", "b"), id="equal"),
        pytest.param("", line("a"), ScriptGraph(), None, verdict(K.CODE_ONLY, "", ""), id="no migrations at all"),
        pytest.param(
            "c",
            line("a", "b", "c"),
            line("a"),
            None,
            verdict(K.DOWNGRADE, "c", "a", commands=("a",), undone=("c", "b")),
            id="below",
        ),
        pytest.param(
            "c",
            line("a", "b", "c"),
            line("a", "b"),
            ("a",),
            verdict(K.DOWNGRADE, "c", "a", commands=("a",), undone=("c", "b")),
            id="the ledger's heads hold, not the scripts'",
        ),
        pytest.param(
            "c",
            line("a", "b", "c"),
            line("a", "b"),
            (),
            verdict(K.DOWNGRADE, "c", "b", commands=("b",), undone=("c",)),
            id="a ledger without heads does not mean base",
        ),
        pytest.param(
            "m",
            MERGED,
            line("a", "b1"),
            None,
            verdict(K.DOWNGRADE, "m", "b1", commands=("b2@a",), undone=("m", "b2")),
            id="one side of a merge",
        ),
        pytest.param(
            "m",
            MERGED,
            graph(script("a"), script("b1", "a"), script("b2", "a")),
            None,
            verdict(K.DOWNGRADE, "m", "b1 b2", commands=("b1",), undone=("m",)),
            id="an empty merge",
        ),
        pytest.param(
            "b1 b2",
            MERGED,
            line("a", "b1"),
            None,
            verdict(
                K.DOWNGRADE,
                "b1 b2",
                "b1",
                commands=("b2@a",),
                undone=("b2",),
                warnings=("the live database has 2 heads: b1, b2",),
            ),
            id="two heads",
        ),
        pytest.param(
            "a",
            line("a", "b"),
            line("a", "b"),
            None,
            verdict(
                K.BEHIND, "a", "b", explanation="the target needs revision b, which the live database does not have yet"
            ),
            id="behind",
        ),
        pytest.param(
            "",
            line("a"),
            line("a", "b"),
            None,
            verdict(
                K.BEHIND,
                "",
                "a b".split()[1],
                explanation="the target needs revisions a, b, which the live database does not have yet",
            ),
            id="empty database, behind scripts that only the target has",
        ),
        pytest.param(
            "b1",
            MERGED,
            line("a", "b2"),
            None,
            verdict(
                K.DIVERGED,
                "b1",
                "b2",
                explanation="the target has revision b2, which the live database does not, and lacks "
                "revision b1: no downgrade leads there",
            ),
            id="siblings",
        ),
        pytest.param(
            "b",
            line("a", "b"),
            line("a", "x"),
            None,
            verdict(
                K.DIVERGED,
                "b",
                "x",
                explanation="the target is at revision x, which the deployed release does not have: "
                "no downgrade leads there",
            ),
            id="another history",
        ),
        pytest.param(
            "z",
            line("a", "b"),
            line("a"),
            None,
            verdict(
                K.IMPOSSIBLE,
                "z",
                "a",
                explanation="the live database is at revision z, which the deployed release does not "
                "have: other code migrated it",
            ),
            id="unknown revision",
        ),
        pytest.param(
            "c",
            line("a", "b"),
            line("a", "b", "c"),
            None,
            verdict(
                K.CODE_ONLY,
                "c",
                "c",
                warnings=("the deployed release does not have revision c, the target does not need it to",),
            ),
            id="unknown to the deployed release, wanted by the target",
        ),
        pytest.param(
            "b",
            line("a", "b"),
            ScriptGraph(),
            None,
            verdict(
                K.IMPOSSIBLE,
                "b",
                "",
                explanation="the target release has no migrations, so every one would have to be undone, "
                "which nobody asked for",
            ),
            id="a target without scripts is not base",
        ),
        pytest.param(
            "b",
            line("a", "b"),
            graph("revision = f()"),
            None,
            verdict(
                K.IMPOSSIBLE,
                "b",
                "",
                explanation="the heads of the target release cannot be read: versions/0.py: revision is not literal",
            ),
            id="unreadable target",
        ),
        pytest.param(
            "b",
            graph(script("b", "a"), "revision = f()"),
            line("a"),
            None,
            verdict(
                K.IMPOSSIBLE,
                "b",
                "a",
                explanation="the deployed release has no readable script for revision a: "
                "versions/1.py: revision is not literal",
                warnings=("not taken into account: versions/1.py: revision is not literal",),
            ),
            id="unreadable parent",
        ),
        pytest.param(
            "c",
            graph(script("a"), script("b", "x"), script("c", "b a")),
            line("a"),
            None,
            verdict(
                K.IMPOSSIBLE, "c", "a", explanation="applied migrations stand on revision x, which no readable file has"
            ),
            id="lost parent",
        ),
        pytest.param(
            "b",
            graph(script("a"), script("b", "a"), script("c", "x")),
            line("a"),
            None,
            verdict(
                K.IMPOSSIBLE,
                "b",
                "a",
                explanation="alembic refuses the deployed scripts: revision c stands on x, which no file has",
            ),
            id="alembic itself cannot load the folder",
        ),
        pytest.param(
            "b",
            graph(script("a"), script("b", "a"), "revision = f()"),
            line("a"),
            None,
            verdict(
                K.DOWNGRADE,
                "b",
                "a",
                commands=("a",),
                undone=("b",),
                warnings=("not taken into account: versions/2.py: revision is not literal",),
            ),
            id="an unreadable file that nothing applied stands on",
        ),
        pytest.param(
            "b",
            line("a", "b"),
            line("x", "a"),
            None,
            verdict(
                K.DOWNGRADE,
                "b",
                "a",
                commands=("a",),
                undone=("b",),
                warnings=("below the target the two releases differ in revision x",),
            ),
            id="histories that differ below",
        ),
        pytest.param(
            "c",
            line("a", "b", "c"),
            line("a"),
            ("b",),
            verdict(
                K.DOWNGRADE,
                "c",
                "b",
                commands=("b",),
                undone=("c",),
                warnings=("the target release has no script for revision b: its own alembic cannot start there",),
            ),
            id="heads that the target's scripts do not know",
        ),
        pytest.param(
            "a z",
            graph(script("a"), script("z", "a")),
            line("a"),
            ("a", "z"),
            verdict(
                K.CODE_ONLY,
                "a z",
                "a z",
                warnings=(
                    "the live database has 2 heads: a, z",
                    "the target release has no script for revision z: its own alembic cannot start there",
                ),
            ),
            id="redundant rows, recorded as they are",
        ),
        pytest.param(
            "a z",
            graph(script("a"), script("z", "a")),
            line("a", "z"),
            None,
            verdict(K.CODE_ONLY, "a z", "a z", warnings=("the live database has 2 heads: a, z",)),
            id="redundant rows, the same migrations",
        ),
    ],
)
def test_the_verdict_is(
    live: str, deployed: ScriptGraph, target: ScriptGraph, heads: tuple[str, ...] | None, expected: Verdict
) -> None:
    found = decide(live=tuple(live.split()), deployed=deployed, target_graph=target, target_heads=heads)
    assert found == expected


def undo(*scripts: str, live: str, target: str = "a", **more: object) -> Verdict:
    deployed = graph(script("a"), *scripts)
    return decide(live=(live,), deployed=deployed, target_graph=deployed, target_heads=(target,), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scripts", "explanation"),
    [
        ([script("b", "a", undo=None)], "revision b has no downgrade()"),
        ([script("b", "a", undo="pass")], "revision b has an empty downgrade(): it would leave the schema as it is"),
        (
            [script("b", "a", up="op.execute(make())", undo="pass")],
            "revision b has an empty downgrade(): it would leave the schema as it is",
        ),
        (
            [script("b", "a", up="do_all()", undo="print('no')")],
            "revision b has an empty downgrade(): it would leave the schema as it is",
        ),
        (
            [script("b", "a", undo="raise NotImplementedError('restore a backup')")],
            "revision b refuses: its downgrade() raises NotImplementedError: restore a backup",
        ),
        (
            [script("b", "a", undo="pass"), script("c", "b", undo="raise No")],
            (
                "revision c refuses: its downgrade() raises No; "
                "revision b has an empty downgrade(): it would leave the schema as it is"
            ),
        ),
    ],
)
def test_a_revision_that_cannot_be_undone_makes_the_downgrade_impossible(scripts: list[str], explanation: str) -> None:
    live = "c" if len(scripts) == 2 else "b"
    found = undo(*scripts, live=live)
    assert (found.kind, found.explanation, found.commands) == (K.IMPOSSIBLE, explanation, ())


@pytest.mark.parametrize(
    ("scripts", "warnings"),
    [
        ([script("b", "a", up="pass", undo="pass")], ()),
        (
            [script("b", "a", up="op.execute('UPDATE t SET a = 1')", undo="pass")],
            ("revision b: downgrade() is empty: what upgrade() did to rows stays",),
        ),
        (
            [script("b", "a", undo="if x:\n    raise No\nop.drop_index('i')")],
            ("revision b: downgrade() raises under some condition",),
        ),
        (
            [script("b", "a", undo="with op.get_context().autocommit_block():\n    op.drop_index('i')")],
            ("revision b: downgrade() commits on its way, so that a failure leaves a part of it done",),
        ),
        (
            [script("b", "a", undo="op.alter_column('t', 'c', type_=sa.Text())")],
            ("revision b: downgrade() changes the type of t.c",),
        ),
        (
            [script("b", "a", undo="op.alter_column('t', 'c', nullable=False)")],
            ("revision b: downgrade() fails where t.c has empty values",),
        ),
        ([script("b", "a", undo="op.execute('UPDATE t SET a = 1')")], ("revision b: downgrade() changes rows of t",)),
        ([script("b", "a", undo="x = 1")], ("revision b: nothing that downgrade() does can be read",)),
        (
            [script("b", "a"), script("b", "a")],
            ("revision b stands in more than one file of the deployed release; alembic runs one of them",),
        ),
    ],
)
def test_doubts_are_warnings_and_no_refusal(scripts: list[str], warnings: tuple[str, ...]) -> None:
    found = undo(*scripts, live="b")
    assert (found.kind, found.warnings) == (K.DOWNGRADE, warnings)


@pytest.mark.parametrize(
    ("scripts", "losses"),
    [
        pytest.param([script("b", "a", undo="op.drop_table('t')")], [("t", "", "b")], id="table"),
        pytest.param(
            [script("b", "a", undo="op.drop_column('t', 'c')\nop.drop_table('t')")],
            [("t", "", "b")],
            id="a column goes with its table",
        ),
        pytest.param([script("b", "a", undo="op.execute(x)")], [("unknown@b", "", "b")], id="what cannot be read"),
        pytest.param([script("b", "a", undo="op.drop_column('t', c)")], [("t", "unknown@b", "b")], id="unread column"),
        pytest.param([script("b", "a", undo="op.drop_column(t, 'c')")], [("unknown@b", "c", "b")], id="unread table"),
        pytest.param(
            [
                script("b", "a", undo="op.drop_column('users', 'email')"),
                script("c", "b", undo="op.alter_column('users', 'email_address', new_column_name='email')"),
            ],
            [("users", "email_address", "b")],
            id="a column that a newer revision renamed",
        ),
        pytest.param(
            [
                script("b", "a", undo="op.drop_column('users', 'email')"),
                script("c", "b", undo="op.execute('ALTER TABLE people RENAME COLUMN mail TO email')"),
                script("d", "c", undo="op.rename_table('persons', 'people')"),
                script("e", "d", undo="op.rename_table('humans', 'persons')"),
            ],
            [("users", "email", "b")],
            id="another table's renames do not matter",
        ),
        pytest.param(
            [
                script("b", "a", undo="op.drop_column('people', 'email')"),
                script("c", "b", undo="op.alter_column('people', 'mail', new_column_name='email')"),
                script("d", "c", undo="op.rename_table('persons', 'people')"),
            ],
            [("persons", "mail", "b")],
            id="table and column renamed",
        ),
        pytest.param(
            [
                script(
                    "b",
                    "a",
                    undo="op.rename_table('a', 'x')\nop.rename_table('b', 'a')\nop.rename_table('x', 'b')\n"
                    "op.drop_table('a')",
                )
            ],
            [("b", "", "b")],
            id="two tables that change names",
        ),
        pytest.param(
            [script("b", "a", undo="op.drop_table('t')"), script("c", "b", undo="op.create_table('t')")],
            [],
            id="a table that the downgrade itself creates",
        ),
        pytest.param(
            [
                script("b", "a", undo="op.drop_column('t', 'c')"),
                script("c", "b", undo="op.add_column('t', sa.Column('c', sa.Text()))"),
            ],
            [],
            id="a column that the downgrade itself adds",
        ),
        pytest.param(
            [
                script("b", "a", undo="op.drop_table('t')"),
                script("c", "b", undo="op.drop_table('t')\nop.create_table('t')"),
            ],
            [("t", "", "c")],
            id="a table that is made anew is lost once",
        ),
        pytest.param(
            [script("b", "a", undo="op.drop_table('t')"), script("c", "b", undo="if x:\n    op.create_table('t')")],
            [("t", "", "b")],
            id="a table that may be made",
        ),
        pytest.param(
            [
                script("b", "a", undo="op.drop_table('t')"),
                script("c", "b", undo="if x:\n    op.rename_table('s', 't')"),
            ],
            [("unknown@c", "", "b")],
            id="a rename that may happen",
        ),
    ],
)
def test_losses_bear_the_names_of_the_live_schema(scripts: list[str], losses: list[tuple[str, str, str]]) -> None:
    live = "abcde"[len(scripts)]
    found = undo(*scripts, live=live)
    assert [(loss.table, loss.column, loss.revision) for loss in found.losses] == losses
    assert found.kind is (K.DOWNGRADE_LOSSY if losses else K.DOWNGRADE)


LOSSY = [script("b", "a", undo="op.drop_table('t')\nop.drop_column('u', 'c')\nop.execute(x)")]


@pytest.mark.parametrize(
    ("counts", "losses"),
    [
        (None, (Loss("t", revision="b"), Loss("u", "c", revision="b"), Loss("unknown@b", revision="b"))),
        ({("t", ""): 7, ("u", "c"): 0}, (Loss("t", "", 7, "b"), Loss("unknown@b", revision="b"))),
        ({("t", ""): 0}, (Loss("u", "c", None, "b"), Loss("unknown@b", revision="b"))),
        ({("t", ""): 0, ("u", "c"): 0, ("unknown@b", ""): 0}, (Loss("unknown@b", revision="b"),)),
    ],
)
def test_counts_take_out_what_is_empty_and_nothing_else(
    counts: dict[tuple[str, str], int] | None, losses: tuple[Loss, ...]
) -> None:
    found = undo(*LOSSY, live="b", counts=counts)
    assert (found.kind, found.losses) == (K.DOWNGRADE_LOSSY, losses)


def test_a_downgrade_that_only_drops_what_is_empty_loses_nothing() -> None:
    found = undo(script("b", "a", undo="op.drop_table('t')"), live="b", counts={("t", ""): 0})
    assert (found.kind, found.losses, found.commands) == (K.DOWNGRADE, (), ("a",))


def test_only_losses_with_a_name_are_counted() -> None:
    losses = undo(*LOSSY, live="b").losses
    assert count_targets(losses) == [("t", ""), ("u", "c")]
    assert with_counts(losses, {}) == losses


def test_what_was_not_accepted_by_name_is_named() -> None:
    losses = (Loss("t", "", 7, "b"), Loss("u", "c", None, "b"))
    assert unaccepted(losses, frozenset()) == losses
    assert unaccepted(losses, frozenset({"t", "u"})) == losses[1:]
    assert unaccepted(losses, frozenset({"t", "u.c"})) == ()


def test_two_files_of_one_revision_with_other_text_lose_what_nobody_knows() -> None:
    found = undo(script("b", "a"), script("b", "a", extra="x = 1"), live="b")
    assert found.losses == (Loss("unknown@b", revision="b"),)


def test_without_a_downgrade_the_schema_stays_ahead_and_what_older_code_may_miss_is_named() -> None:
    found = undo(
        script("b", "a", up="op.drop_column('users', 'email')", undo="raise No"),
        script("c", "b"),
        live="c",
        code_only=True,
    )
    assert found == verdict(
        K.SCHEMA_AHEAD,
        "c",
        "a",
        warnings=(
            "the schema stays ahead by revisions c, b",
            "revision b: upgrade() did drop column on users.email; older code may need it",
        ),
    )


def test_base_is_reached_only_where_it_was_asked_for() -> None:
    deployed = line("a", "b")
    assert decide(live=("b",), deployed=deployed, target_graph=deployed, to_base=True) == verdict(
        K.DOWNGRADE, "b", "", commands=("base",), undone=("b", "a")
    )


def test_differences_between_image_and_commit_are_sentences() -> None:
    image = graph(script("a"), script("b", "a"), script("c", "b"), script("x", "c"))
    commit = graph(script("a", extra="y = 1"), script("b", "a"), script("c", "a"), script("z", "c"))
    assert differences(image, commit) == (
        "the image has revision x, the commit does not",
        "the commit has revision z, the image does not",
        "revision a has another text in the image than in the commit",
        "revision c stands on other revisions in the image than in the commit",
    )
    assert differences(image, image) == ()


@st.composite
def graphs(draw: st.DrawFn) -> ScriptGraph:
    names = "abcdefg"[: draw(st.integers(1, 7))]
    texts = []
    for at, name in enumerate(names):
        down = draw(st.lists(st.sampled_from(names[:at]), max_size=2, unique=True)) if at else []
        texts.append(script(name, " ".join(down)))
    return graph(*texts)


@given(graphs(), graphs(), st.lists(st.sampled_from("abcdefgz"), max_size=3), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_verdict_is_consistent_with_itself(
    deployed: ScriptGraph, target: ScriptGraph, live: list[str], code_only: bool
) -> None:
    rows = deployed.tips(deployed.ancestors(live)) if "z" not in live else tuple(live)
    found = decide(live=rows, deployed=deployed, target_graph=target, code_only=code_only)
    assert bool(found.commands) == (found.kind is K.DOWNGRADE)
    assert bool(found.explanation) == (not found.is_possible)
    assert set(found.undone) == (
        deployed.ancestors(found.current) - deployed.ancestors(found.target) if found.commands else set()
    )
    if found.commands:
        # Planning again after success finds nothing to do.
        again = decide(live=found.target, deployed=deployed, target_graph=target, code_only=code_only)
        assert again.kind is K.CODE_ONLY


def test_reading_costs_of_nothing_is_nothing() -> None:
    assert costs_of([]).losses == ()
