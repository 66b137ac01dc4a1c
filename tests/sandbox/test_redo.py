"""A finished rollback is taken back, and made again, on a real host."""

from __future__ import annotations

import pytest

from tests.sandbox.stage import Laptop, Stage

pytestmark = pytest.mark.timeout(240, func_only=True)


def test_a_lossy_rollback_is_taken_back_with_the_values_that_it_dropped(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("v6")
    words = ("rollback.full", "--host", plugin_host.name, "--to", "v4", "--accept-data-loss", "users.nickname")
    done = operator.inv(*words, "--yes", "--json")
    assert (done.code, done.document["outcome"]) == (0, "done"), done.err
    plugin_host.sql("INSERT INTO tasks (user_id, title, is_done) VALUES (1, 'written since', false)")

    shown = operator.inv("rollback.redo", "--host", plugin_host.name, "--dry-run", "--json")
    assert (shown.code, shown.host["outcome"]) == (0, "planned"), shown.err
    left = f"comicpile__left_{done.document['run_id']}"
    assert shown.host["costs"] == [f"1 rows of tasks are not in the database that comes back; they stay in {left}"]
    back = operator.inv("rollback.redo", "--host", plugin_host.name, "--yes", "--json")
    assert (back.code, back.document["outcome"]) == (0, "done"), back.err

    now = plugin_host.look()
    assert (now.rows, now.schema, now.head, now.branch) == (before.rows, before.schema, before.head, before.branch)
    assert (now.running, now.files) == (before.running, before.files)
    assert plugin_host.health() == (200, "v6")
    assert plugin_host.sql("SELECT count(*) FROM tasks WHERE title = 'written since'", database=left) == "1"

    # Nothing is left to take back; the runs tell what happened; the rollback can be made again.
    again = operator.inv("rollback.redo", "--host", plugin_host.name, "--yes", "--json")
    assert (again.code, again.document["outcome"]) == (0, "noop"), again.err
    told = operator.inv("rollback.history", "--host", plugin_host.name, "--json").host["runs"]
    assert [(run["task"], run["state"]) for run in told] == [("rollback.full", "undone")]
    named = operator.inv("rollback.redo", "--host", plugin_host.name, "--yes", "--run", done.document["run_id"])
    assert (named.code, "undone" in named.err) == (3, True), named.err
    assert operator.inv(*words, "--yes").code == 0
    assert plugin_host.health() == (200, "v4")


def test_what_was_deployed_since_is_not_taken_away(plugin_host: Stage, operator: Laptop) -> None:
    plugin_host.play("bad-code")
    assert operator.inv("rollback.full", "--host", plugin_host.name, "--yes").code == 0
    plugin_host.sandbox.deploy(plugin_host.name, "v5")
    before = plugin_host.look()
    refused = operator.inv("rollback.redo", "--host", plugin_host.name, "--yes")
    assert (refused.code, "changed since that run" in refused.err) == (3, True), refused.err
    assert plugin_host.look() == before
    unknown = operator.inv("rollback.redo", "--host", plugin_host.name, "--yes", "--run", "nothing")
    assert unknown.code == 2, unknown.err
