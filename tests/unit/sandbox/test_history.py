"""The demo application's git history: the same on every host, and what RELEASES says it is."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from rollback_tasks.sandbox.history import NEWEST, RELEASES, stream, tree


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(folder)], check=True)
    words = ["git", "-C", str(folder), "fast-import", "--quiet", "--done"]
    subprocess.run(words, input=stream(), check=True)
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


def test_the_stream_is_the_same_each_time() -> None:
    assert stream() == stream()


def test_every_release_has_an_annotated_tag_and_main_is_the_newest_good_one(origin: Path) -> None:
    refs = git(origin, "for-each-ref", "--format=%(refname) %(objecttype)").split("\n")[:-1]
    assert sorted(refs) == sorted([*(f"refs/tags/{tag} tag" for tag in RELEASES), "refs/heads/main commit"])
    assert git(origin, "rev-parse", "main") == git(origin, "rev-parse", f"{NEWEST}^{{commit}}")


@pytest.mark.parametrize("tag", RELEASES)
def test_a_release_stands_on_its_parent_and_names_itself_in_its_image(origin: Path, tag: str) -> None:
    parent = RELEASES[tag].parent
    parents = git(origin, "log", "-1", "--format=%P", tag).split()
    assert parents == ([git(origin, "rev-parse", f"{parent}^{{commit}}").strip()] if parent else [])
    dockerfile = git(origin, "show", f"{tag}:Dockerfile")
    assert [line for line in dockerfile.split("\n") if tag in line] == [
        f"ENV RELEASE={tag}",
        f"LABEL org.opencontainers.image.version={tag}",
    ]


@pytest.mark.parametrize("tag", RELEASES)
def test_the_heads_of_a_release_are_those_of_its_migrations(tag: str) -> None:
    down: dict[str, tuple[str, ...]] = {}
    for name, content in tree(tag).items():
        if name.startswith("alembic/versions/"):
            values = {
                statement.targets[0].id: ast.literal_eval(statement.value)
                for statement in ast.parse(content).body
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            }
            before = values["down_revision"]
            down[values["revision"]] = (before,) if isinstance(before, str) else tuple(before or ())
    followed = {revision for before in down.values() for revision in before}
    assert tuple(sorted(set(down) - followed)) == RELEASES[tag].heads


def test_scripts_may_be_run_and_secrets_stay_out_of_git(origin: Path) -> None:
    modes = {line.split("\t")[1]: line.split()[0] for line in git(origin, "ls-tree", "-r", "v1").splitlines()}
    assert (modes["db/docker-entrypoint.sh"], modes["docker-compose.yml"]) == ("100755", "100644")
    assert ".env" in git(origin, "show", "v1:.gitignore").split()
    assert ".env" in git(origin, "show", "v1:.dockerignore").split()


def test_every_python_file_of_the_application_compiles() -> None:
    for tag in RELEASES:
        for name, content in tree(tag).items():
            if name.endswith(".py"):
                compile(content, os.path.join(tag, name), "exec")
