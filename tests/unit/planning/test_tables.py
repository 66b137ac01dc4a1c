"""What one table from a backup costs, and what forbids it."""

from __future__ import annotations

import pytest

from rollback_tasks.planning.tables import TableWish, blockers, costs
from tests.builders import RUN, a_backup, some_facts

BACKUP = a_backup("good", counts={"users": 3, "events": 5})


@pytest.mark.parametrize(
    ("table", "live", "brief", "hint"),
    [
        ("user", {"user": 1}, "backup good has no table user", "did you mean users?"),
        ("zzz", {}, "backup good has no table zzz", "it has events, users."),
        ("users", {"events": 5}, "the live database has no table users", "inv rollback.restore --host prod1"),
    ],
)
def test_a_table_that_one_of_the_databases_lacks_is_refused(
    table: str, live: dict[str, int], brief: str, hint: str
) -> None:
    (blocker,) = blockers(some_facts(3), BACKUP, live, TableWish(table=table))
    assert blocker.brief.startswith(brief)
    assert hint in blocker.hint


def test_a_merge_costs_nothing_and_the_rest_is_named() -> None:
    assert not list(blockers(some_facts(3), BACKUP, {"users": 1}, TableWish(table="users")))
    assert costs(RUN, TableWish(table="users")) == ()
    assert costs(RUN, TableWish(table="users", replaces=True, deletes=True)) == (
        f"the values of rows of users that differ from the backup (kept in schema rollback_{RUN})",
        f"rows of users that the backup does not have (kept in schema rollback_{RUN})",
    )
