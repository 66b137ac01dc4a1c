"""A dry run's host refuses all that is not READ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import pytest

from rollback_tasks.errors import NotReadOnly
from rollback_tasks.ports import Completed, Host, HttpAnswer
from rollback_tasks.shell import Command, Effect
from rollback_tasks.transport.readonly import ReadOnlyHost


class RecordingHost:
    """Says what it was asked."""

    name = "prod1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, command: Command) -> Completed:
        self.asked.append("run")
        return Completed(0, b"out")

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        self.asked.append("pull")
        sink(b"piece")
        return Completed(0)

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        self.asked.append("push")
        return Completed(0, b"".join(source))

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        self.asked.append("http_get")
        return HttpAnswer(200)

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        self.asked.append("socket_to")
        return nullcontext("/folder")

    def close(self) -> None:
        self.asked.append("close")


def uses(host: Host, effect: Effect) -> list[Callable[[], object]]:
    command = Command(argv=("docker", "ps"), effect=effect)
    return [
        lambda: host.run(command).stdout,
        lambda: host.pull(command, bytes).exit_code,
        lambda: host.push(command, [b"a", b"b"]).stdout,
    ]


def test_reading_passes_through() -> None:
    behind = RecordingHost()
    host = ReadOnlyHost(behind)
    assert [use() for use in uses(host, Effect.READ)] == [b"out", 0, b"ab"]
    assert host.http_get("http://localhost/", timeout=1) == HttpAnswer(200)
    host.close()
    assert (host.name, behind.asked) == ("prod1", ["run", "pull", "push", "http_get", "close"])


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.DESTROY])
def test_everything_else_is_refused_before_it_reaches_the_host(effect: Effect) -> None:
    behind = RecordingHost()
    for use in uses(ReadOnlyHost(behind), effect):
        with pytest.raises(NotReadOnly, match=f"docker, which may {effect.name.lower()}"):
            use()
    assert behind.asked == []


def test_an_open_socket_could_carry_anything_and_is_refused() -> None:
    behind = RecordingHost()
    with pytest.raises(NotReadOnly):
        ReadOnlyHost(behind).socket_to("127.0.0.1", 5432)
    assert behind.asked == []
