"""What --host means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.config.schema import Inventory
from rollback_tasks.config.select import select
from rollback_tasks.config.validate import validate
from rollback_tasks.errors import UsageError

NAMES = ("web2", "web1", "db1", "stage")
INVENTORY: Inventory = validate(
    {
        "version": 1,
        "defaults": {
            "project_dir": "/srv/app",
            "app_services": ["app"],
            "database": {"name": "shop", "user": "owner"},
            "health": {"url": "http://localhost/"},
        },
        "hosts": dict.fromkeys(NAMES),
        "groups": {"prod": ["db1", "web1", "web2"], "all-web": ["web1", "web2"]},
    },
    path="hosts.yaml",
    folder="/etc/ops",
    home="/home/olga",
)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["web1"], ["web1"]),
        (["prod"], ["web2", "web1", "db1"]),
        (["web?"], ["web2", "web1"]),
        (["*"], ["web2", "web1", "db1", "stage"]),
        (["[ds]*"], ["db1", "stage"]),
        (["db1,web1"], ["web1", "db1"]),
        (["stage", "web1"], ["web1", "stage"]),
        (["web1", "web1,prod", " web1 "], ["web2", "web1", "db1"]),
    ],
)
def test_hosts_come_in_the_order_of_the_inventory_and_each_once(patterns: Sequence[str], expected: list[str]) -> None:
    assert [host.name for host in select(INVENTORY, patterns)] == expected


EXISTING = "hosts: web2, web1, db1, stage\ngroups: prod, all-web"
HINT = "HINT: name a host, a group, a glob or a comma list: --host prod"


@pytest.mark.parametrize(
    ("patterns", "brief"),
    [
        ([], "no host is named"),
        ([""], "--host holds an empty name"),
        (["web1,"], "--host holds an empty name"),
        (["wbe1"], 'no host or group is called "wbe1", did you mean "web1"?'),
        (["Prod"], 'no host or group is called "Prod", did you mean "prod"?'),
        (["zzzz"], 'no host or group is called "zzzz"'),
        (["x*"], 'no host matches "x*"'),
        (["pro*"], 'no host matches "pro*"'),
        (["\x1b[2J"], 'no host matches "\\u001b[2J"'),
        (
            ["web1,zzzz", "x*"],
            'no host or group is called "zzzz"; no host matches "x*"',
        ),
    ],
)
def test_a_name_that_means_nothing_is_refused_and_what_exists_is_listed(patterns: Sequence[str], brief: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(INVENTORY, patterns)
    assert str(caught.value) == f"{brief}\n{EXISTING}\n{HINT}"


@given(st.lists(st.text() | st.sampled_from([*NAMES, "prod", "w*", ","])))
def test_any_pattern_selects_hosts_or_is_a_usage_error(patterns: list[str]) -> None:
    try:
        names = [host.name for host in select(INVENTORY, patterns)]
    except UsageError:
        return
    assert names
    assert names == [name for name in NAMES if name in names]
