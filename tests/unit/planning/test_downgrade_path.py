"""The commands, held against the real Alembic on random histories."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers.alembic import ScriptGraph, parse_scripts
from rollback_tasks.planning.downgrade_path import downgrade_commands, downgrade_path

History = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def source(revision: str, down: Iterable[str], depends_on: Iterable[str]) -> str:
    return (
        f"revision = {revision!r}\ndown_revision = {tuple(down) or None!r}\n"
        f"depends_on = {tuple(depends_on) or None!r}\n"
        "def upgrade():\n    pass\ndef downgrade():\n    pass\n"
    )


def files(history: History) -> dict[str, str]:
    return {f"versions/{revision}.py": source(revision, *place) for revision, place in history.items()}


def graph_of(**history: str) -> ScriptGraph:
    """``c="a b/d"``: c stands on a and b and depends on d."""
    places = {}
    for revision, text in history.items():
        down, _, depends = text.partition("/")
        places[revision] = (tuple(down.split()), tuple(depends.split()))
    return parse_scripts(files(places))


LINE = graph_of(a="", b="a", c="b")
MERGE = graph_of(a="", b1="a", b2="a", c="b1 b2")
BRANCHES = graph_of(a="", b1="a", b2="a", b3="a")
ROOTS = graph_of(a1="", a2="a1", z1="", z2="z1")
DEPENDS = graph_of(a1="", a2="a1", z1="/a1", z2="z1/a2")


@pytest.mark.parametrize(
    ("graph", "live", "target", "commands"),
    [
        pytest.param(LINE, "c", "c", (), id="nothing to undo"),
        pytest.param(LINE, "c", "a", ("a",), id="straight down"),
        pytest.param(LINE, "c", "", ("base",), id="everything"),
        pytest.param(MERGE, "c", "b1 b2", ("b1",), id="a merge comes apart whichever parent is named"),
        pytest.param(MERGE, "c", "a", ("a",), id="below a merge"),
        pytest.param(MERGE, "c", "b1", ("b2@a",), id="one side of a merge"),
        pytest.param(BRANCHES, "b1 b2", "a", ("a",), id="both branches in one call"),
        pytest.param(BRANCHES, "b1 b2", "b1", ("b2@a",), id="one branch alone"),
        pytest.param(BRANCHES, "b1 b2 b3", "b1", ("b2@a", "b3@a"), id="two branches of three"),
        pytest.param(ROOTS, "a2 z2", "a1 z2", ("a1",), id="one of two histories"),
        pytest.param(ROOTS, "a2 z2", "z2", ("a1@base",), id="the whole of one of two histories"),
        pytest.param(ROOTS, "a2 z2", "", ("base",), id="both histories"),
        pytest.param(DEPENDS, "z2", "a2 z1", ("z1",), id="what is depended on comes back as a head"),
        pytest.param(DEPENDS, "z2", "a1", ("a1", "z1@base"), id="dependents go with what they depend on"),
    ],
)
def test_the_commands_for_a_shape_are(graph: ScriptGraph, live: str, target: str, commands: tuple[str, ...]) -> None:
    assert downgrade_commands(graph, live.split(), target.split()) == commands


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, list[str], list[str]]:
    """A history, some applied revisions and some of those to go back to."""
    count = draw(st.integers(1, 9))
    names = [f"r{number}x" for number in range(count)]
    history: History = {}
    for number, name in enumerate(names):
        before = names[:number]
        down = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        may_depend = [other for other in before if other not in down]
        depends = draw(st.lists(st.sampled_from(may_depend), max_size=2, unique=True)) if may_depend else []
        history[name] = (tuple(down), tuple(depends))
    live = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    target = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    return history, live, target


class RealAlembic:
    """Alembic itself on a script folder and an SQLite file."""

    def __init__(self, folder: Path) -> None:
        from alembic.config import Config

        self.folder = folder
        self.database = folder / "x.db"
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(
            "from alembic import context\nfrom sqlalchemy import create_engine\n"
            "engine = create_engine(context.config.get_main_option('url'))\n"
            "with engine.connect() as connection:\n"
            "    context.configure(connection=connection)\n"
            "    with context.begin_transaction():\n        context.run_migrations()\n"
            "engine.dispose()\n"
        )
        self.config = Config()
        self.config.set_main_option("script_location", str(folder))
        self.config.set_main_option("path_separator", "os")
        self.config.set_main_option("url", f"sqlite:///{self.database}")

    def write(self, history: History) -> None:
        for path, text in files(history).items():
            (self.folder / path).write_text(text)

    def stamp(self, rows: Iterable[str]) -> None:
        # Not by `alembic stamp` or `upgrade`: both fail on some of the shapes that `downgrade` can undo.
        import sqlite3

        connection = sqlite3.connect(self.database)
        try:
            connection.execute("create table alembic_version (version_num varchar(32) not null primary key)")
            connection.executemany("insert into alembic_version values (?)", [(row,) for row in rows])
            connection.commit()
        finally:
            connection.close()

    def downgrade(self, argument: str) -> None:
        from alembic import command

        command.downgrade(self.config, argument)

    def rows(self) -> tuple[str, ...]:
        import sqlite3

        connection = sqlite3.connect(self.database)
        try:
            return tuple(sorted(row[0] for row in connection.execute("select version_num from alembic_version")))
        finally:
            connection.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=histories())
def test_the_real_alembic_ends_where_the_path_says(
    case: tuple[History, list[str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    history, applied, chosen = case
    graph = parse_scripts(files(history))
    live = graph.tips(graph.ancestors(applied))
    target = graph.tips(graph.ancestors(set(chosen) & graph.ancestors(live)))
    path = downgrade_path(graph, live, target)
    real = RealAlembic(tmp_path_factory.mktemp("alembic") / "migrations")
    real.write(history)
    real.stamp(live)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument in path.commands:
            real.downgrade(argument)
    assert real.rows() == path.rows
    assert graph.ancestors(path.rows) == graph.ancestors(target)
