"""Nobody's database is changed under a host that was not named."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollback_tasks.flows.rollback import with_all_writers
from rollback_tasks.flows.session import Session
from rollback_tasks.flows.world import World
from rollback_tasks.model.plan import HostPlan
from tests.builders import a_release


@dataclass
class Share:
    others: tuple[str, ...]


def host(name: str, served_by: str | None = None) -> Any:
    return SimpleNamespace(name=name, database=SimpleNamespace(host=served_by, name="app"))


HOSTS = {each.name: each for each in (host("db1"), host("prod1", "db1"), host("prod2", "db1"), host("lone"))}


@pytest.mark.parametrize(
    ("name", "share", "hint"),
    [
        ("lone", None, ""),
        ("prod1", Share(("prod2",)), ""),
        ("prod1", None, "--host prod1,prod2"),
        ("db1", None, "--host prod1,prod2"),
    ],
)
def test_who_else_writes_has_to_be_named(name: str, share: Share | None, hint: str) -> None:
    session = cast(Session, SimpleNamespace(config=HOSTS[name]))
    world = cast(World, SimpleNamespace(hosts=HOSTS))
    plan = with_all_writers(HostPlan(host=name, current=a_release(3)), session, world, cast(Any, share))
    assert [blocker.hint.endswith(hint) for blocker in plan.blockers] == ([True] if hint else [])
