"""What fetches the Python packages of the hosts' images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import UsageError
from rollback_tasks.ports import Completed
from rollback_tasks.sandbox.engine import Engine
from rollback_tasks.sandbox.images import ImageMaker

Machine = Callable[[Mapping[str, Completed]], Any]

YES, NO = Completed(0), Completed(1)
NO_PIP = {"pip": NO, "image": NO}


@pytest.fixture
def make_on(machine_that_answers: Machine, notes: Any, tmp_path: Path) -> Callable[..., None]:
    def make(answers: Mapping[str, Completed]) -> None:
        machine = machine_that_answers(answers)
        engine = Engine(machine, state=str(tmp_path), key="1234abcd", events=notes)
        ImageMaker(machine, engine, cache=str(tmp_path / "cache"), events=notes).make()

    return make


@pytest.mark.parametrize(
    ("answers", "brief", "hint"),
    [
        pytest.param(
            {"command -v apt-get": NO, "mmdebstrap": YES, "command -v": Completed(0, b"pip3\n"), **NO_PIP},
            "pip3 is needed to fetch Python packages, and only root on Debian or Ubuntu can install what is missing",
            "Install python3-pip and then type: inv sandbox.up",
            id="not root",
        ),
        pytest.param(
            {"command -v": YES, **NO_PIP},
            "no Python of this machine has pip, which fetches the application's packages",
            f"Type: {sys.executable} -m ensurepip, and then: inv sandbox.up",
            id="a pip3 that belongs to none of them",
        ),
    ],
)
def test_without_pip_one_sentence_says_so(
    make_on: Callable[..., None], answers: Mapping[str, Completed], brief: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_on(answers)
    assert (caught.value.brief, caught.value.hint) == (brief, hint)
