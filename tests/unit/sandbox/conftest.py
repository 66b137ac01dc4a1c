"""A machine that answers as told, in place of the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

import pytest

from rollback_tasks.errors import CommandFailed
from rollback_tasks.model.events import Note
from rollback_tasks.ports import Completed, Host, HttpAnswer
from rollback_tasks.shell import Command


class _Machine:
    """Answers a command by the first of its words that ``answers`` knows; records what ran."""

    def __init__(self, answers: Mapping[str, Completed]) -> None:
        self._answers = answers
        self.ran: list[Command] = []

    @property
    def name(self) -> str:
        return "localhost"

    def run(self, command: Command) -> Completed:
        self.ran.append(command)
        for known, answer in self._answers.items():
            if any(known in word for word in command.argv):
                if answer.exit_code not in command.ok_codes:
                    raise CommandFailed(command.argv, answer.exit_code, answer.error_text, host=self.name)
                return answer
        raise AssertionError(f"nobody said what to answer to {command.argv}")

    def pull(self, command: Command, sink: Callable[[bytes], object]) -> Completed:
        raise NotImplementedError

    def push(self, command: Command, source: Iterable[bytes]) -> Completed:
        raise NotImplementedError

    def http_get(self, url: str, *, timeout: float) -> HttpAnswer:
        raise NotImplementedError

    def socket_to(self, address: str, port: int) -> AbstractContextManager[str]:
        raise NotImplementedError

    def close(self) -> None:
        pass


class _Notes:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def emit(self, event: object) -> None:
        assert isinstance(event, Note)
        self.texts.append(event.text)


@pytest.fixture
def machine_that_answers() -> Callable[[Mapping[str, Completed]], Host]:
    return _Machine


@pytest.fixture
def notes() -> _Notes:
    return _Notes()
