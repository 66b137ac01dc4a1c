"""What the reader sees in migration functions and their SQL."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers.alembic import parse_scripts
from rollback_tasks.drivers.alembic_operations import FunctionReading, Operation, OperationKind
from rollback_tasks.drivers.alembic_sql import read_sql

K = OperationKind


def op(
    kind: K, table: str | None = "", column: str | None = "", new: str | None = "", *, maybe: bool = False
) -> Operation:
    return Operation(kind=kind, table=table, column=column, new_name=new, conditional=maybe)


def downgrade(body: str, *, above: str = "") -> FunctionReading:
    source = (
        f"revision = 'a1'\n{dedent(above)}\ndef upgrade(): pass\ndef downgrade():\n{indent(dedent(body), '    ')}\n"
    )
    return parse_scripts({"versions/a1.py": source}).scripts["a1"].downgrade


ONE_STATEMENT = [
    ("op.drop_table('t')", (op(K.DROP_TABLE, "t"),)),
    ("op.drop_table('t', schema='audit')", (op(K.DROP_TABLE, "audit.t"),)),
    ("op.drop_table('t', schema='public')", (op(K.DROP_TABLE, "t"),)),
    ("op.drop_table('t', schema=where())", (op(K.DROP_TABLE, None),)),
    ("op.drop_table(name())", (op(K.DROP_TABLE, None),)),
    ("op.drop_table(op.f('t'))", (op(K.DROP_TABLE, "t"),)),
    ("op.drop_column('t', 'c')", (op(K.DROP_COLUMN, "t", "c"),)),
    ("op.drop_column(table_name='t', column_name='c')", (op(K.DROP_COLUMN, "t", "c"),)),
    ("op.drop_column('t', some)", (op(K.DROP_COLUMN, "t", None),)),
    ("with op.batch_alter_table('t', schema='s') as b:\n    b.drop_column('c')", (op(K.DROP_COLUMN, "s.t", "c"),)),
    (
        "with op.batch_alter_table('t') as b:\n    b.alter_column('c', new_column_name='d')",
        (op(K.RENAME_COLUMN, "t", "c", "d"), op(K.OTHER)),
    ),
    ("op.rename_table('a', 'b')", (op(K.RENAME_TABLE, "a", new="b"),)),
    ("op.alter_column('t', 'c', type_=sa.Integer())", (op(K.CHANGE_TYPE, "t", "c"), op(K.OTHER))),
    ("op.alter_column('t', 'c', nullable=False)", (op(K.SET_NOT_NULL, "t", "c"), op(K.OTHER))),
    ("op.add_column('t', sa.Column('c', sa.Integer()))", (op(K.ADD_COLUMN, "t", "c"),)),
    ("op.create_table('t', sa.Column('id', sa.Integer()))", (op(K.CREATE_TABLE, "t"),)),
    ("op.execute('DROP TABLE t')", (op(K.DROP_TABLE, "t"),)),
    ("op.execute(sa.text('DELETE FROM t WHERE a = 1'))", (op(K.DELETE_ROWS, "t"),)),
    ("op.execute(f'DROP TABLE {name}')", (op(K.DROP_TABLE, None),)),
    ("op.execute('DROP TABLE %s' % name)", (op(K.DROP_TABLE, None),)),
    ("op.execute('DROP TABLE {}'.format(name))", (op(K.DROP_TABLE, None),)),
    ("op.execute('ALTER TABLE t ' + 'DROP COLUMN c')", (op(K.DROP_COLUMN, "t", "c"),)),
    ("op.execute(text)", (op(K.UNKNOWN),)),
    ("op.execute(sa.table('t').delete())", (op(K.DELETE_ROWS, "t"),)),
    ("op.execute(sa.delete(x).where(x.c.id > 3))", (op(K.DELETE_ROWS, None),)),
    ("op.execute(sa.select(sa.table('t')))", (op(K.ADD_DATA, "t"),)),
    ("bind = op.get_bind()\nbind.execute(sa.text('TRUNCATE t'))", (op(K.DELETE_ROWS, "t"),)),
    ("n = op.get_bind().execute(sa.text('SELECT 1')).scalar()", (op(K.ADD_DATA),)),
    ("session.query(User).filter(User.x == 1).delete()", (op(K.DELETE_ROWS, None),)),
    ("Base.metadata.drop_all(op.get_bind())", (op(K.UNKNOWN),)),
    ("sa.Enum(name='mood').drop(op.get_bind())", (op(K.OTHER),)),
    ("sa.Table('t', meta).drop(op.get_bind())", (op(K.DROP_TABLE, "t"),)),
    ("thing.drop()", (op(K.UNKNOWN),)),
    ("op.drop_index('i')", (op(K.OTHER),)),
    ("op.drop_partition('p')", (op(K.UNKNOWN),)),
    ("if x:\n    op.drop_table('t')", (op(K.DROP_TABLE, "t", maybe=True),)),
    ("for t in ('a', 'b'):\n    op.drop_table(t)", (op(K.DROP_TABLE, "a"), op(K.DROP_TABLE, "b"))),
    ("for t, c in [('a', 'b')]:\n    op.drop_column(t, c)", (op(K.DROP_COLUMN, "a", "b"),)),
    ("for t in tables():\n    op.drop_table(t)", (op(K.DROP_TABLE, None, maybe=True),)),
    ("if x:\n    return\nop.create_table('t')", (op(K.CREATE_TABLE, "t", maybe=True),)),
    (
        "with op.get_context().autocommit_block():\n    if x:\n        return\nop.drop_table('t')",
        (op(K.DROP_TABLE, "t", maybe=True),),
    ),
]


@pytest.mark.parametrize(("body", "operations"), ONE_STATEMENT, ids=[body for body, _ in ONE_STATEMENT])
def test_a_statement_is_read_as(body: str, operations: tuple[Operation, ...]) -> None:
    assert downgrade(body).operations == operations


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        ("pass", FunctionReading(is_empty=True)),
        ("...", FunctionReading(is_empty=True)),
        ("'''Nothing to do.'''", FunctionReading(is_empty=True)),
        ("'''Doc.'''\nreturn None", FunctionReading(is_empty=True)),
        ("print('not reversible')", FunctionReading(is_empty=True)),
        ("logger.warning('not %s', 1)", FunctionReading(is_empty=True)),
        ("'''Doc.'''\nraise NotImplementedError", FunctionReading(raises="NotImplementedError")),
        ("raise NotImplementedError('use\\n a backup')", FunctionReading(raises="NotImplementedError: use a backup")),
        (
            "op.drop_index('i')\nraise errors.No()\nop.drop_table('t')",
            FunctionReading(raises="No", operations=(op(K.OTHER),)),
        ),
        ("if x:\n    raise ValueError", FunctionReading(may_raise=True)),
        (
            "if x:\n    raise ValueError\nop.create_table('t')\nraise KeyError",
            FunctionReading(may_raise=True, raises="KeyError", operations=(op(K.CREATE_TABLE, "t"),)),
        ),
        ("try:\n    raise ValueError\nexcept ValueError:\n    pass", FunctionReading(may_raise=True)),
        ("with x:\n    raise ValueError('no')", FunctionReading(raises="ValueError: no")),
        (
            "with op.get_context().autocommit_block():\n    op.drop_index('i')",
            FunctionReading(has_autocommit=True, operations=(op(K.OTHER),)),
        ),
        (
            "op.drop_constraint(None, 't', type_='foreignkey')",
            FunctionReading(
                operations=(op(K.OTHER),),
                notes=("drops a constraint that has no name, which fails where the models have no naming rule",),
            ),
        ),
    ],
)
def test_a_function_as_a_whole_is_read_as(body: str, reading: FunctionReading) -> None:
    assert downgrade(body) == reading


@pytest.mark.parametrize(
    ("above", "body", "reading"),
    [
        pytest.param(
            "T = 't'",
            "op.drop_table(T)",
            FunctionReading(operations=(op(K.DROP_TABLE, "t"),)),
            id="a constant of the file",
        ),
        pytest.param(
            "TS = ['a', 'b']",
            "for t in TS:\n    op.drop_table(t)",
            FunctionReading(operations=(op(K.DROP_TABLE, "a"), op(K.DROP_TABLE, "b"))),
            id="a list of the file",
        ),
        pytest.param(
            "def gone(t, *, c='x'):\n    op.drop_column(t, c)",
            "gone('a')\ngone('b', c='y')",
            FunctionReading(operations=(op(K.DROP_COLUMN, "a", "x"), op(K.DROP_COLUMN, "b", "y"))),
            id="a function of the file with its arguments",
        ),
        pytest.param(
            "def no():\n    raise RuntimeError('never')",
            "no()",
            FunctionReading(raises="RuntimeError: never"),
            id="a function of the file that raises",
        ),
        pytest.param(
            "def loop():\n    loop()",
            "loop()",
            FunctionReading(operations=(op(K.UNKNOWN),)),
            id="a function that calls itself",
        ),
        pytest.param(
            "from app.tools import wipe",
            "wipe()",
            FunctionReading(
                operations=(op(K.UNKNOWN),), notes=("wipe() comes from another file, which is not looked into",)
            ),
            id="a function of another file",
        ),
        pytest.param(
            "from alembic import op as o",
            "o.drop_view('v')",
            FunctionReading(operations=(op(K.OTHER),)),
            id="another name for op",
        ),
        pytest.param(
            "mood = postgresql.ENUM('a', name='mood')",
            "mood.drop(op.get_bind(), checkfirst=True)",
            FunctionReading(operations=(op(K.OTHER),)),
            id="a type of the file",
        ),
        pytest.param(
            "users = sa.table('users')",
            "op.execute(users.update().values(a=1))",
            FunctionReading(operations=(op(K.CHANGE_DATA, "users"),)),
            id="a table of the file",
        ),
    ],
)
def test_what_stands_around_the_function_counts(above: str, body: str, reading: FunctionReading) -> None:
    assert downgrade(body, above=above) == reading


def test_a_downgrade_that_is_not_there_or_not_in_the_file_is_told_apart() -> None:
    files = {
        "a": "revision = 'aaaa'\ndef upgrade(): pass",
        "b": "revision = 'bbbb'\nfrom other import downgrade",
        "c": "revision = 'cccc'\ndowngrade = upgrade = make()",
    }
    unseen = FunctionReading(operations=(op(K.UNKNOWN),), notes=("downgrade() is not written in the file itself",))
    assert {name: script.downgrade for name, script in parse_scripts(files).scripts.items()} == {
        "aaaa": FunctionReading(exists=False),
        "bbbb": unseen,
        "cccc": unseen,
    }


SQL = [
    ('DROP TABLE IF EXISTS users, "Ev".x CASCADE', [op(K.DROP_TABLE, "users"), op(K.DROP_TABLE, "Ev.x")]),
    ("drop table public.Users", [op(K.DROP_TABLE, "users")]),
    (
        "ALTER TABLE ONLY t DROP COLUMN IF EXISTS a CASCADE, DROP b, DROP CONSTRAINT c",
        [op(K.DROP_COLUMN, "t", "a"), op(K.DROP_COLUMN, "t", "b"), op(K.OTHER, "t")],
    ),
    (
        "alter table t alter c type numeric(10,2) using f(a, b), alter c drop default",
        [op(K.CHANGE_TYPE, "t", "c"), op(K.OTHER, "t")],
    ),
    (
        "alter table s.t rename to u; alter table t rename column a to b",
        [op(K.RENAME_TABLE, "s.t", new="s.u"), op(K.RENAME_COLUMN, "t", "a", "b")],
    ),
    ("alter table t set schema s", [op(K.RENAME_TABLE, "t", new="s.t")]),
    ("delete from t where a = 'x; drop table y' -- ; drop table z", [op(K.DELETE_ROWS, "t")]),
    ("/* drop table a; */ select 1", [op(K.ADD_DATA)]),
    (r"select E'\'; drop table a; --'", [op(K.ADD_DATA)]),
    ("truncate table a, b cascade", [op(K.DELETE_ROWS, "a"), op(K.DELETE_ROWS, "b"), op(K.UNKNOWN)]),
    ("with x as (delete from t returning *) insert into u select * from x", [op(K.ADD_DATA), op(K.DELETE_ROWS, "t")]),
    ("update only t set a = 1", [op(K.CHANGE_DATA, "t")]),
    ("merge into t using s on true when matched then delete", [op(K.DELETE_ROWS, "t")]),
    ("insert into t values (1) on conflict do update set a = 1", [op(K.ADD_DATA)]),
    ("do $$ begin drop table x; end $$", [op(K.UNKNOWN)]),
    ("do $$ begin perform 1; end $$", [op(K.OTHER)]),
    ("create function f() returns void as $b$ delete from t; $b$ language sql", [op(K.OTHER)]),
    ("create table if not exists t (id int references u on delete cascade)", [op(K.CREATE_TABLE, "t", maybe=True)]),
    ("drop schema s cascade", [op(K.UNKNOWN)]),
    ("drop type mood", [op(K.OTHER)]),
    ("drop type mood cascade", [op(K.UNKNOWN)]),
    ("drop materialized view v", [op(K.OTHER)]),
    ("delete from alembic_version; update alembic_version set version_num = 'x'", []),
    ("set lock_timeout = '5s'; comment on table t is 'drop'", []),
    ("call clean_up()", [op(K.UNKNOWN)]),
    ("", []),
]


@pytest.mark.parametrize(("sql", "operations"), SQL, ids=[sql for sql, _ in SQL])
def test_sql_is_read_as(sql: str, operations: list[Operation]) -> None:
    assert list(read_sql(sql)) == operations


_PIECES = st.sampled_from(
    """DROP TABLE ; , . ( ) ' " $$ $a$ -- /* */ ALTER COLUMN RENAME TO t "T" DELETE FROM WITH e'\\ DO TRUNCATE CASCADE
    CREATE MERGE IF EXISTS ONLY * rollback_unknown_value é \x00""".split(" ")
)


@given(st.lists(_PIECES, max_size=30).map(" ".join) | st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_sql_text_breaks_the_reader(sql: str) -> None:
    assert all(isinstance(operation, Operation) for operation in read_sql(sql))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["$a$ $b$ ", "/* ", "'", '"', "(", "DROP TABLE a, ", "e'\\", "alter table t drop a, ", "delete "]
)
def test_long_hostile_sql_ends_soon(piece: str) -> None:
    assert isinstance(read_sql((piece * 200_000)[:199_999]), tuple)


def test_helpers_that_multiply_each_other_are_cut_off_and_called_unknown() -> None:
    bomb = (
        "".join(f"def f{n}():\n    f{n + 1}()\n    f{n + 1}()\n" for n in range(60))
        + "def f60():\n    op.drop_index('i')\n"
    )
    reading = downgrade("f0()", above=bomb)
    assert reading.operations[-1] == op(K.UNKNOWN)
    assert reading.notes == ("downgrade() is too long to be read",)


def test_a_text_that_doubles_itself_does_not_fill_the_memory() -> None:
    lines = "\n".join(f"t{n + 1} = t{n} + t{n}" for n in range(60))
    assert downgrade("op.execute(t60)", above=f"t0 = 'drop table x;'\n{lines}").operations == (op(K.UNKNOWN),)
