"""What the operator reads before saying yes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollback_tasks.model.plan import Diagnosis, HostPlan, Keep, Plan
from rollback_tasks.model.release import Release
from rollback_tasks.reporting import plan_view
from rollback_tasks.reporting.lines import plain
from tests.unit.reporting.conftest import Told

WIDE = """\
rollback.full, run 20261122T031501Z-4f2a

prod1 (database comicpile): to roll back in 3 steps
  from     v1.4.2  commit 9d8e7f6  app a1b2c3d4e5f6  schema c3d4e5
  to       20261114T100000Z-3f2a1bc  app 0f1e2d3c4b5a  schema b2c3d4
  verdict  downgrade 1 revision, loses users.nickname (12 values)
  lost     users.nickname (12 values), with revision c3d4e5
  warning  c3d4e5 runs raw SQL in its downgrade
  warning  2 files in the work tree were changed
  1. back up the database comicpile and prove the dump readable
     kept: the dump stays
  --- downtime starts: the application is stopped ---
  2. stop app
     undo: start app again with the images it had
  3. downgrade the schema to b2c3d4 with the image that runs now
     CANNOT BE UNDONE: no copy fits on the disk

prod2: nothing to do: runs 20261114T100000Z-3f2a1bc already
  from     20261114T100000Z-3f2a1bc  app 0f1e2d3c4b5a  schema b2c3d4

prod3: blocked
  from     v1.4.2  commit 9d8e7f6  app a1b2c3d4e5f6  schema c3d4e5
  to       20261114T100000Z-3f2a1bc  app 0f1e2d3c4b5a  schema b2c3d4
  verdict  diverged: revision ffff00 is in no release
  blocked  the schema cannot be brought to b2c3d4
           HINT: restore the newest proven backup: inv rollback.restore --host prod3 --backup 20261121
  blocked  the database does not answer

3 hosts: 1 to roll back, 1 nothing to do, 1 blocked
prod1 and prod3 share one database
"""


def test_a_plan_of_three_hosts(plan: Plan) -> None:
    assert plain(plan_view.lines(plan)) == WIDE


def test_at_80_columns_long_lines_hang_below_their_text(plan: Plan) -> None:
    broken = WIDE.replace(
        "inv rollback.restore --host prod3 --backup", "inv rollback.restore --host\n           prod3 --backup"
    )
    assert plain(plan_view.lines(plan), width=80) == broken


@pytest.mark.parametrize(
    ("hosts", "last"),
    [
        ((), "rollback.full, run R\n"),
        ((HostPlan(host="a", current=Release(id="i", commit="c")),), "1 host: 1 to roll back\n"),
        ((HostPlan(host="a", current=Release(id="i", commit="c"), noop_reason="x"),), "1 host: 1 nothing to do\n"),
    ],
)
def test_the_counts_name_only_what_there_is(hosts: tuple[HostPlan, ...], last: str) -> None:
    text = plain(plan_view.lines(Plan(task="rollback.full", run_id="R", hosts=hosts)))
    assert text.splitlines(keepends=True)[-1] == last


def test_foreign_text_cannot_write_lines_of_its_own(plan: Plan) -> None:
    evil = replace(plan.hosts[1].current, names=("v1\n1 host: 1 nothing to do\x1b[2J",))
    text = plain(plan_view.lines(replace(plan, hosts=(replace(plan.hosts[1], current=evil),), notes=("a\nb",))))
    assert text == (
        "rollback.full, run 20261122T031501Z-4f2a\n"
        "\n"
        "prod2: nothing to do: runs 20261114T100000Z-3f2a1bc already\n"
        "  from     v1 / 1 host: 1 nothing to do\\x1b[2J  commit 3f2a1bc  app 0f1e2d3c4b5a  schema b2c3d4\n"
        "\n"
        "1 host: 1 nothing to do\n"
        "a / b\n"
    )


def fleet(*hosts: tuple[str, str]) -> str:
    """Return the plan of hosts whose only step says this."""
    plans = tuple(
        HostPlan(host=name, current=Release(id="i", commit="c"), steps=(Told(text, Keep("it stays")),))
        for name, text in hosts
    )
    return plain(plan_view.lines(Plan(task="rollback.full", run_id="R", hosts=plans)))


def test_steps_that_stand_above_already_are_not_said_again() -> None:
    said = fleet(("prod1", "copy to /b/prod1 here"), ("prod2", "copy to /b/prod2 here"), ("prod3", "copy to /c here"))
    assert [line for line in said.splitlines() if line.startswith("  ") and "from" not in line] == [
        "  1. copy to /b/prod1 here",
        "     kept: it stays",
        "  steps    the same 1 as prod1",
        "  1. copy to /c here",
        "     kept: it stays",
    ]


@pytest.mark.parametrize(
    "hosts",
    [
        (("app", "stop app"), ("db", "stop db")),
        (("a", "copy to /x/ab"), ("b", "copy to /x/bb")),
        (("prod1", "copy to /b/prod1"), ("prod2", "copy to /b/prod1")),
    ],
)
def test_what_only_looks_alike_is_said_in_full(hosts: tuple[tuple[str, str], ...]) -> None:
    assert "the same" not in fleet(*hosts)


def test_what_a_plan_was_chosen_for_stands_before_it() -> None:
    host = HostPlan(
        host="a",
        current=Release(id="i", commit="c"),
        noop_reason="all is well",
        diagnosis=Diagnosis(found=("it is healthy", "two\nlines"), therefore="nothing is to be done"),
    )
    assert (
        plain(plan_view.lines(Plan(task="scenario.bad-code", run_id="r", hosts=(host,))))
        == """\
scenario.bad-code, run r

a: nothing to do: all is well
  found    it is healthy
  found    two / lines
  so       nothing is to be done
  from     i  commit c  no schema

1 host: 1 nothing to do
"""
    )
