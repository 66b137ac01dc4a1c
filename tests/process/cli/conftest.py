"""A collection of small tasks, run by the real `inv` in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

Inv = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the tasks, an empty home and a state folder of its own."""
    (tmp_path / "home").mkdir()
    shutil.copy(Path(__file__).parent / "sample_tasks.py", tmp_path / "tasks.py")
    return tmp_path


@pytest.fixture
def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def inv(folder: Path, environ: Mapping[str, str]) -> Inv:
    """Run `inv WORDS` there; ``env`` adds variables."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=folder,
            env={**environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            umask=0,  # what is private has to say so itself
        )

    return run
