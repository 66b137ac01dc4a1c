"""Where hosts.yaml is looked for, and what its text may be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.config.loader import find, load
from rollback_tasks.config.rules import Section
from rollback_tasks.config.validate import CONTACT, HOST, NOTIFY, TOP
from rollback_tasks.errors import ConfigError

ROOT = Path(__file__).parents[3]

HOSTS = """\
version: 1
hosts:
  prod1: &host
    project_dir: /srv/app
    app_services: [app]
    database: {name: shop, user: owner}
    health: {url: "http://localhost:8000/health"}
    identity_file: keys/id
    backups: {local_dir: ~/dumps}
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "hosts.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.problems


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ops").mkdir()
    written(tmp_path / "ops", HOSTS)
    monkeypatch.chdir(tmp_path)
    host = load(Path("ops/hosts.yaml"), home=Path("/home/olga")).hosts["prod1"]
    assert (host.identity_file, host.backups.local_dir) == (f"{tmp_path}/ops/keys/id", "/home/olga/dumps")


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    path = written(tmp_path, HOSTS + "  prod2: {<<: *host, hostname: other}\n")
    hosts = load(path).hosts
    assert (list(hosts), hosts["prod2"].database) == (["prod1", "prod2"], hosts["prod1"].database)


def test_a_date_stays_text(tmp_path: Path) -> None:
    path = written(tmp_path, HOSTS + "contacts: [{role: DBA, name: 2026-11-22}]\n")
    assert load(path).contacts[0].name == "2026-11-22"


def test_a_key_that_stands_twice_is_reported_with_the_other_problems(tmp_path: Path) -> None:
    path = written(tmp_path, HOSTS + "    port: ssh\n  prod1:\n    user: a\n    user: a\n")
    assert problems(path) == (
        "hosts.prod1: stands twice, in lines 3 and 11",
        "hosts.prod1.user: stands twice, in lines 12 and 13",
        "hosts.prod1.project_dir: is missing: absolute path of the git checkout on the host",
        "hosts.prod1.app_services: is missing: compose services that a rollback stops, switches and starts",
        "hosts.prod1.database.name: is missing: name of the application's database",
        "hosts.prod1.database.user: is missing: its owner",
        "hosts.prod1.health.url: is missing: what answers 2xx while the application is well",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: [1\nb: 2\n", "line 2, column 2: expected ',' or ']', but got ':'"),
        ("a: 1\n b: 2\n", "line 2, column 3: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1\n", "line 2, column 1: but found another document"),
        (
            "a: !!python/object/apply:os.system [touch pwned]\n",
            'line 1, column 4: the tag "tag:yaml.org,2002:python/object/apply:os.system" is not read here',
        ),
        (
            "a: !!binary aGk=\n",
            'line 1, column 4: the tag "tag:yaml.org,2002:binary" is not read here',
        ),
        ("a: !!int foo\n", "line 1, column 4: not a value of type int"),
        ("a: !!bool maybe\n", "line 1, column 4: not a value of type bool"),
        ("a: 0x_\n", "line 1, column 4: not a value of type int"),
        ("? [a]\n: 1\n", "line 1, column 3: found unhashable key"),
        (b"a: \xff\n", "holds bytes that are no UTF-8 text, or control characters"),
        ("a: \x07\n", "holds bytes that are no UTF-8 text, or control characters"),
        ("a: " + "[" * 5000, "is nested too deeply, or holds itself"),
        ("a: !%1b[2J x\n", 'line 1, column 4: the tag "!\\u001b[2J" is not read here'),
    ],
)
def test_text_that_is_no_inventory(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert problems(written(tmp_path, text)) == (problem,)
    assert not (tmp_path / "pwned").exists()


def test_a_mapping_that_holds_itself_is_read_without_end_in_sight_and_refused(tmp_path: Path) -> None:
    assert problems(written(tmp_path, "version: 1\nhosts: &h\n  prod1: *h\n"))[0] == ("hosts.prod1.prod1: unknown key")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    assert problems(written(tmp_path, b"#" * (4 * 1024 * 1024 + 1))) == ("is larger than 4 MiB",)


def test_a_folder_or_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    assert problems(tmp_path) == ("cannot be read: Is a directory",)
    assert problems(tmp_path / "none.yaml") == ("cannot be read: No such file or directory",)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_an_inventory_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    assert all(line.isprintable() for line in problems(path))


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A flag's file, a variable's file, one above the current folder and one beside tasks.py."""
    for name in ("flag", "variable", "desk/deep/here", "tasks"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("flag", "variable", "desk", "tasks"):
        written(tmp_path / name, HOSTS)
    return tmp_path


@pytest.mark.parametrize(
    ("flag", "variable", "folder", "expected"),
    [
        ("../../../flag/hosts.yaml", "../../../variable/hosts.yaml", "desk/deep/here", "desk/deep/here/../../../flag"),
        (None, "../../../variable/hosts.yaml", "desk/deep/here", "desk/deep/here/../../../variable"),
        ("", "", "desk/deep/here", "desk"),
        (None, None, "desk/deep/here", "desk"),
        (None, None, "desk", "desk"),
        (None, None, "flag", "flag"),
    ],
)
def test_the_flag_comes_before_the_variable_before_the_folders_above(
    places: Path, flag: str | None, variable: str | None, folder: str, expected: str
) -> None:
    environment = {} if variable is None else {"ROLLBACK_HOSTS_FILE": variable}
    found = find(flag, tasks_folder=places / "tasks", folder=places / folder, environment=environment)
    assert found == places / expected / "hosts.yaml"


def test_beside_tasks_py_comes_last(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    path = written(tmp_path / "tasks", HOSTS)
    assert find(None, tasks_folder=tmp_path / "tasks", folder=tmp_path, environment={}) == path


def test_a_tilde_in_the_flag_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = written(tmp_path, HOSTS)
    assert find("~/hosts.yaml", tasks_folder=tmp_path, environment={}) == path


@pytest.mark.parametrize(
    ("flag", "environment", "source"),
    [("none.yaml", {}, "--hosts-file"), (None, {"ROLLBACK_HOSTS_FILE": "none.yaml"}, "$ROLLBACK_HOSTS_FILE")],
)
def test_a_named_file_that_is_missing_is_never_replaced_by_another(
    places: Path, flag: str | None, environment: dict[str, str], source: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        find(flag, tasks_folder=places / "tasks", folder=places / "desk", environment=environment)
    assert str(caught.value) == (
        f"{places}/desk/none.yaml: 1 problem\n"
        f"  no such file, named by {source}\n"
        "HINT: name your inventory: --hosts-file PATH; the commented hosts.yaml beside tasks.py is the example to copy"
    )


def test_where_nothing_is_found_every_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find(None, tasks_folder=tmp_path / "tasks", folder=tmp_path, environment={})
    assert caught.value.problems == (
        f"not found: not in {tmp_path} or above it, not in {tmp_path}/tasks, and $ROLLBACK_HOSTS_FILE is not set",
    )


def test_importing_the_loader_does_not_import_yaml() -> None:
    code = "import sys, rollback_tasks.config.loader, rollback_tasks.config.select; print('yaml' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert answer.stdout == b"False\n"


def test_the_example_is_a_valid_inventory() -> None:
    inventory = load(ROOT / "hosts.yaml")
    assert (list(inventory.hosts), dict(inventory.groups)) == (["prod1", "prod2"], {"prod": ("prod1", "prod2")})


def test_the_example_documents_every_key() -> None:
    def keys(section: Section) -> set[str]:
        below = (keys(key.rule) for key in section.keys.values() if isinstance(key.rule, Section))
        return set(section.keys).union(*below)

    known = set(TOP) | keys(HOST) | keys(CONTACT) | keys(NOTIFY)
    shown = set(re.findall(r"^[\s-]*([a-z_]+):", (ROOT / "hosts.yaml").read_text(), re.MULTILINE))
    assert known - shown == set()
