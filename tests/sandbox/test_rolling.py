"""Containers of an earlier release back while a client asks every 10 ms: not one answer fails, there or back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sandbox.stage import CHECKOUT, FOLDER, Ended, Laptop, Stage

pytestmark = pytest.mark.timeout(600, func_only=True)


@pytest.fixture(autouse=True)
def _disarmed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"plugin_host", "standalone_host"} & set(request.fixturenames):
        request.getfixturevalue(name).disarm()


@contextmanager
def client(stage: Stage) -> Iterator[Callable[[], dict[str, Any]]]:
    """Ask a host's /health every 10 ms from another process; gives what ends that and tells how it went."""
    words = [sys.executable, "-m", "tests.sandbox.asking", f"http://{stage.address}:8000/health"]
    process = subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end() -> dict[str, Any]:
        out, _ = process.communicate(timeout=120)
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    try:
        yield end
    finally:
        process.kill()
        process.communicate()


def behind_a_proxy(stage: Stage, operator: Laptop) -> None:
    """Release ``proxy`` was good, then ``proxy-next`` was deployed."""
    stage.play("v6")
    stage.sandbox.deploy(stage.name, "proxy")
    marked = operator.inv("release.mark", "--good", "--host", stage.name)
    assert marked.code == 0, marked.err
    stage.sandbox.deploy(stage.name, "proxy-next")
    assert stage.health() == (200, "proxy-next")


def rolling(stage: Stage, operator: Laptop, *words: str) -> Ended:
    return operator.inv("rollback.rolling", "--host", stage.name, "--yes", "--json", *words)


def containers(stage: Stage) -> str:
    """Service, release and state of each container of the application."""
    return stage.root(
        "docker ps --all --quiet --filter label=com.docker.compose.service=app | xargs docker inspect --format "
        """'{{index .Config.Labels "org.opencontainers.image.version"}} {{.State.Status}}' | sort"""
    ).strip()


def there_and_back(stage: Stage, operator: Laptop, record: Callable[[str, object], None]) -> None:
    with client(stage) as end:
        done = rolling(stage, operator)
        assert (done.code, done.host["outcome"]) == (0, "done"), done.err
        assert stage.health() == (200, "proxy")
        assert containers(stage) == "proxy running"
        again = operator.inv("rollback.redo", "--host", stage.name, "--yes", "--json")
        assert (again.code, again.host["outcome"]) == (0, "done"), again.err
        assert stage.health() == (200, "proxy-next")
        assert containers(stage) == "proxy-next running"
        said = end()
    record("measured", f"rolling on {stage.name}: {json.dumps(said)}")
    assert said["failed"] == []
    assert (done.host["downtime_seconds"], again.host["downtime_seconds"]) == (None, None)
    assert said["asked"] > 100


@pytest.mark.long
def test_not_one_answer_fails_there_and_back(
    plugin_host: Stage, operator: Laptop, record_property: Callable[[str, object], None]
) -> None:
    behind_a_proxy(plugin_host, operator)
    there_and_back(plugin_host, operator, record_property)


@pytest.mark.long
def test_not_one_answer_fails_there_and_back_with_the_older_compose_and_two_containers(
    standalone_host: Stage, operator: Laptop, record_property: Callable[[str, object], None]
) -> None:
    behind_a_proxy(standalone_host, operator)
    there_and_back(standalone_host, operator, record_property)
    scale = f"cd {FOLDER} && runuser -u deploy -- env HOME=/home/deploy docker-compose up -d --no-build --scale app=2"
    standalone_host.root(scale)
    with client(standalone_host) as end:
        done = rolling(standalone_host, operator)
        assert (done.code, done.host["outcome"]) == (0, "done"), done.err
        assert containers(standalone_host) == "proxy running\nproxy running"
        said = end()
    record_property("measured", f"rolling of two on {standalone_host.name}: {json.dumps(said)}")
    assert said["failed"] == []


# The docker call that fails, and whether it does so behind what it does.
FAULTS = {
    "trial": ("compose*run -d*", False),
    "no new container": ("compose*up --no-start*", False),
    "new container, then an error": ("compose*up --no-start*", True),
    "no stop": ("stop *", False),
    "stop, then an error": ("stop *", True),
    "removal": ("rm *", True),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_half_way_costs_no_answer_and_no_container(plugin_host: Stage, operator: Laptop, fault: str) -> None:
    behind_a_proxy(plugin_host, operator)
    before = plugin_host.look().without_traces()
    pattern, is_after = FAULTS[fault]
    # The first `rm` takes the container of the trial away.
    plugin_host.when_docker(pattern, "exit 1", call=3 if pattern == "rm *" else 1, is_after=is_after)
    with client(plugin_host) as end:
        done = rolling(plugin_host, operator)
        said = end()
    assert plugin_host.was_sprung()
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert said["failed"] == []
    assert plugin_host.health() == (200, "proxy-next")
    after = plugin_host.look().without_traces()
    if fault == "removal":
        assert containers(plugin_host) == "proxy-next running"
    else:
        assert after == before


# As a proxy that looks the name up once, when it starts.
_FORGETFUL = """\
proxy=$(docker ps -q -f label=com.docker.compose.service=proxy)
docker exec "$proxy" sed -i 's/^LOOKED_UP_EVERY = .*/LOOKED_UP_EVERY = 1e6/' /srv/proxy.py
docker restart "$proxy" >/dev/null
"""


@pytest.mark.long
def test_a_proxy_that_never_looks_again_is_found_out_before_an_old_container_stops(
    plugin_host: Stage, operator: Laptop
) -> None:
    behind_a_proxy(plugin_host, operator)
    plugin_host.root(_FORGETFUL)
    plugin_host.await_behaviour("proxy-next")
    before = plugin_host.look().without_traces()
    with client(plugin_host) as end:
        done = rolling(plugin_host, operator)
        said = end()
    assert (done.code, done.host["outcome"]) == (4, "restored"), done.err
    assert "asks only the old ones" in done.host["error"]
    assert said["failed"] == []
    assert plugin_host.look().without_traces() == before


def test_a_fixed_port_is_refused_with_the_way_that_has_a_gap(plugin_host: Stage, operator: Laptop) -> None:
    before = plugin_host.play("bad-code")
    done = rolling(plugin_host, operator)
    assert (done.code, done.host["outcome"]) == (3, "blocked")
    assert "takes port 8000 of the host for itself" in done.host["error"]
    assert f"inv rollback.docker --host {plugin_host.name}" in done.err
    assert plugin_host.look() == before
