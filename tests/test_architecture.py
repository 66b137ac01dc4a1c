"""The walls between the rooms, read from the imports themselves (also those inside functions)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rollback_tasks"
ASSETS = PACKAGE / "sandbox" / "assets"  # runs inside the sandbox's hosts, by their rules
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(ASSETS))

_SEAMS = {"errors", "shell", "ports"}
_MODEL = _SEAMS | {"model"}
_STEPS = _MODEL | {"drivers", "steps"}

# Room -> the rooms that it may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "shell": {"errors"},
    "ports": {"errors", "shell"},
    "model": _SEAMS,
    "drivers": _MODEL,
    "steps": _STEPS,
    "planning": _STEPS,
    "execution": _STEPS,
    "reporting": _STEPS,
    "transport": _STEPS,
    "config": _STEPS,
    # The effects reach a flow as ports: only cli/wiring builds them.
    "flows": _STEPS | {"planning", "execution", "config"},
    "sandbox": _MODEL,
    # Any task may have its answer laid out by reporting; what reaches a host is built by cli/wiring alone.
    "cli": _STEPS | {"planning", "execution", "config", "flows", "sandbox", "reporting"},
    "cli.wiring": _STEPS | {"planning", "execution", "config", "flows", "sandbox", "transport", "reporting"},
}

# Library -> the only rooms that may import it.
LIBRARIES = {
    "invoke": {"cli"},
    "fabric": {"transport"},
    "paramiko": {"transport"},
    "cryptography": {"transport"},  # comes with paramiko, whose errors it raises
    "psycopg": {"transport"},
    "rich": {"reporting"},
    "yaml": {"config", "drivers"},  # hosts.yaml, and compose files as they stand at a commit
    "subprocess": {"transport"},
}

PURE = {"model", "drivers", "steps", "planning"}
IMPURE_LIBRARIES = {
    "asyncio",
    "concurrent",
    "http",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "time",
    "urllib.request",
    "uuid",
}
ASKS_FOR_NOW = {"now", "utcnow", "today"}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}
MOST_LINES = 300


class Import(NamedTuple):
    line: int
    module: str


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    whole = ".".join(parts)
    return whole if whole in MAY_IMPORT else parts[0]


def imports_of(tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(node.lineno, alias.name)
            case ast.ImportFrom(level=0, module=str(module)):
                # `from rollback_tasks import transport` names a room only in what it imports.
                for alias in node.names:
                    yield Import(node.lineno, f"{module}.{alias.name}")
            case ast.ImportFrom():
                yield Import(node.lineno, "." * node.level)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def wrong_rooms(path: Path, tree: ast.AST) -> list[str]:
    """Imports of one module that go through a wall."""
    room = room_of(path)
    if room == "__init__":
        return [f"{path.name}:{found.line} imports {found.module}" for found in imports_of(tree)]
    wrong = []
    for line, module in imports_of(tree):
        first, *rest = module.split(".")
        where = f"{path.relative_to(PACKAGE)}:{line} ({room}) imports {module}"
        if first == "rollback_tasks":
            target = rest[0] if rest else ""
            if target not in MAY_IMPORT[room] | {room.split(".")[0], "__version__"}:
                wrong.append(where)
        elif first in LIBRARIES:
            if room.split(".")[0] not in LIBRARIES[first]:
                wrong.append(where)
        elif first not in sys.stdlib_module_names:
            wrong.append(where)
    return wrong


def impurities(path: Path, tree: ast.AST) -> list[str]:
    """What in a pure module touches the world, or asks for now."""
    if room_of(path) not in PURE:
        return []
    where = path.relative_to(PACKAGE)
    found = [
        f"{where}:{line} imports {module}"
        for line, module in imports_of(tree)
        if any(module == name or module.startswith(f"{name}.") for name in IMPURE_LIBRARIES)
    ]
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in ASKS_FOR_NOW:
                found.append(f"{where}:{node.lineno} asks for {name}")
            case ast.Call(func=ast.Name(id="open" | "input" as name)):
                found.append(f"{where}:{node.lineno} calls {name}()")
            case ast.ImportFrom(module="pathlib") if {alias.name for alias in node.names} - {"PurePosixPath"}:
                found.append(f"{where}:{node.lineno} imports a path that can reach the disk")
            case _:
                pass
    return found


def endings(path: Path, tree: ast.AST) -> list[str]:
    """Where a module prints, or ends the process, that may not."""
    room = room_of(path).split(".")[0]
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print")) if room not in {"cli", "reporting"}:
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} prints")
            case ast.Call(func=ast.Name(id="exit" | "quit" | "SystemExit")) if room != "cli":
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} ends the process")
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit") if room != "cli":
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} ends the process")
            case _:
                pass
    return found


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:  # an unpacked archive has no history
        return [path for path in ROOT.rglob("*") if path.is_file() and ".git" not in path.parts]
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    assert wrong_rooms(path, parsed(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_keeps_to_its_room(path: Path) -> None:
    tree = parsed(path)
    assert impurities(path, tree) + endings(path, tree) == []


def test_every_room_has_a_rule() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms - set(MAY_IMPORT) == set()


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lengths.items() if count > MOST_LINES} == {}


def test_nothing_has_a_name_that_says_nothing() -> None:
    paths = [path.relative_to(ROOT) for path in tracked_files() if path.suffix == ".py"]
    assert [str(path) for path in paths if NAMELESS & set(path.with_suffix("").parts)] == []


def test_every_waiver_of_the_type_checker_names_what_it_waives() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(?!\[)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked_files()
        if path.suffix == ".py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if bare.search(line)
    ]
    assert found == []


def test_no_tracked_file_names_a_package_registry() -> None:
    # Put together here, so that this file does not name them either.
    hosts = [
        "py" + "pi.org",
        "python" + "hosted.org",
        "deb.deb" + "ian.org",
        "archive." + "ubuntu.com",
        "npm" + "js.org",
        "npm" + "js.com",
        "registry-1." + "docker.io",
        "quay" + ".io",
        "gh" + "cr.io",
        "g" + "cr.io",
    ]
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)} names {host}" for host in hosts if host in text]
    assert found == []


# The rules themselves are tried on code that breaks them: a check that finds nothing may be blind.
BROKEN = [
    ("drivers/x.py", "import subprocess", ["drivers/x.py:1 (drivers) imports subprocess"]),
    ("cli/x.py", "def f():\n    import rich", ["cli/x.py:2 (cli) imports rich"]),
    ("flows/x.py", "from rollback_tasks import transport", ["flows/x.py:1 (flows) imports rollback_tasks.transport"]),
    (
        "planning/x.py",
        "from rollback_tasks.execution.lock import Lock",
        ["planning/x.py:1 (planning) imports rollback_tasks.execution.lock.Lock"],
    ),
    ("steps/x.py", "import requests", ["steps/x.py:1 (steps) imports requests"]),
    ("cli/x.py", "import rollback_tasks.transport", ["cli/x.py:1 (cli) imports rollback_tasks.transport"]),
    ("cli/wiring.py", "import rollback_tasks.transport\nimport invoke", []),
    ("steps/x.py", "from rollback_tasks.drivers.git import head\nfrom rollback_tasks.steps import y", []),
]


@pytest.mark.parametrize(("name", "code", "expected"), BROKEN)
def test_the_check_of_imports_sees(name: str, code: str, expected: list[str]) -> None:
    assert wrong_rooms(PACKAGE / name, ast.parse(code)) == expected


IMPURE = [
    ("import time", ["planning/x.py:1 imports time"]),
    ("from os import path", ["planning/x.py:1 imports os.path"]),
    ("import datetime\ndatetime.datetime.now()", ["planning/x.py:2 asks for now"]),
    ("from pathlib import Path", ["planning/x.py:1 imports a path that can reach the disk"]),
    ("open('x')", ["planning/x.py:1 calls open()"]),
    ("print(1)", ["planning/x.py:1 prints"]),
    ("import sys\nsys.exit(1)", ["planning/x.py:1 imports sys", "planning/x.py:2 ends the process"]),
    ("from pathlib import PurePosixPath\nimport datetime\nimport json\nrequest.now", []),
]


@pytest.mark.parametrize(("code", "expected"), IMPURE)
def test_the_check_of_pure_rooms_sees(code: str, expected: list[str]) -> None:
    path, tree = PACKAGE / "planning" / "x.py", ast.parse(code)
    assert impurities(path, tree) + endings(path, tree) == expected
