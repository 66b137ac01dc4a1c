"""Folders, archives and words."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_tasks.drivers.alembic import (
    ScriptFolders,
    current_argv,
    downgrade_argv,
    script_folders,
    scripts_from_tar,
)
from rollback_tasks.errors import MalformedAnswer


def folders(location: str, *versions: str, recursive: bool = False) -> ScriptFolders:
    return ScriptFolders(location=location, versions=versions or (f"{location}/versions",), is_recursive=recursive)


@pytest.mark.parametrize(
    ("ini", "pyproject", "found"),
    [
        ("[alembic]\nscript_location = alembic\n", None, folders("alembic")),
        ("[alembic]\nscript_location = %(here)s/db/alembic/\n", None, folders("db/alembic")),
        ("[alembic]\nscript_location = ./a/../b\nfile_template = %%(rev)s_%(slug)s%\n", None, folders("b")),
        ("[alembic]\nscript_location = my.app:migrations\n", None, folders("my/app/migrations")),
        (
            "[alembic]\nscript_location = a\nversion_locations = %(here)s/a/v1:%(here)s/b/v2\npath_separator = os\n",
            None,
            folders("a", "a/v1", "b/v2"),
        ),
        ("[alembic]\nscript_location = a\nversion_locations = a/v, b/w\n", None, folders("a", "a/v", "b/w")),
        (
            "[alembic]\nscript_location=a\nversion_path_separator=newline\nversion_locations=\n  a/v\n  b/w\n",
            None,
            folders("a", "a/v", "b/w"),
        ),
        (
            "[alembic]\nscript_location = a\nrecursive_version_locations = true\n",
            None,
            folders("a", recursive=True),
        ),
        (None, '[tool.alembic]\nscript_location = "%(here)s/alembic"\n', folders("alembic")),
        (
            None,
            '[tool.alembic]\nscript_location = "a"\nversion_locations = ["a/v", "%(here)s/b/w"]\n',
            folders("a", "a/v", "b/w"),
        ),
        ("[alembic]\nscript_location = a\n", '[tool.alembic]\nscript_location = "b"\n', folders("a")),
        ("[alembic]\nsqlalchemy.url = x\n", '[tool.alembic]\nscript_location = "b"\n', folders("b")),
        ("\ufeff[alembic]\nscript_location = a\nscript_location = b\n", "", folders("b")),
    ],
)
def test_the_folders_of_a_release_are(ini: str | None, pyproject: str | None, found: ScriptFolders) -> None:
    assert script_folders(ini, pyproject) == found


@pytest.mark.parametrize(
    ("ini", "pyproject", "brief"),
    [
        (None, None, "no script_location in alembic.ini or pyproject.toml"),
        ("[other]\nx = 1\n", "tool = 3", "no script_location in alembic.ini or pyproject.toml"),
        ("script_location = a", None, "alembic.ini cannot be read"),
        (None, "[tool", "pyproject.toml cannot be read"),
        (
            "[alembic]\nscript_location = /app/alembic\n",
            None,
            "the folder of the migrations is not inside of the release",
        ),
        ("[alembic]\nscript_location = a/../../b\n", None, "the folder of the migrations is not inside of the release"),
        (
            "[alembic]\nscript_location = a\nversion_locations = ../x\n",
            None,
            "the folder of the migrations is not inside of the release",
        ),
        (
            "[alembic]\nscript_location = %(root)s/a\n",
            None,
            "the folder of the migrations is not inside of the release",
        ),
        ("[alembic]\nscript_location = a\x07b\n", None, "the folder of the migrations is not inside of the release"),
        ("[alembic]\nscript_location = .\n", None, "the folder of the migrations is not inside of the release"),
        (
            "[alembic]\nscript_location = a\nversion_locations = b\npath_separator = pipe\n",
            None,
            "path_separator of alembic.ini is none that Alembic takes",
        ),
    ],
)
def test_a_release_whose_folders_cannot_be_trusted_is_refused(
    ini: str | None, pyproject: str | None, brief: str
) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        script_folders(ini, pyproject)
    assert (caught.value.brief, bool(caught.value.hint)) == (brief, True)


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_hostile_settings_give_an_inner_folder_or_are_refused(location: str, toml: str) -> None:
    for ini, pyproject in ((f"[alembic]\nscript_location = {location}\n", None), (location, toml), (None, toml)):
        try:
            found = script_folders(ini, pyproject)
        except MalformedAnswer:
            continue
        assert all(not folder.startswith("/") and ".." not in folder.split("/") for folder in found.versions)


def tar_of(*members: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, to in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            archive.addfile(info)
    return out.getvalue()


MIXED = tar_of(
    ("alembic/env.py", b"x"),
    ("alembic/versions/a.py", b"\xef\xbb\xbfrevision = 'a'"),
    ("./alembic/versions/b.py", b"revision = '\xff'"),
    ("alembic/versions/__init__.py", b"x"),
    ("alembic/versions/.#c.py", b"x"),
    ("alembic/versions/notes.txt", b"x"),
    ("alembic/versions/old/d.py", b"d"),
    ("other/versions/e.py", b"e"),
    ("/alembic/versions/f.py", b"f"),
    ("../alembic/versions/g.py", b"g"),
    ("alembic/versions/\x1b[31m.py", b"h"),
    links=(("alembic/versions/i.py", "/etc/passwd"),),
)


@pytest.mark.parametrize(
    ("versions", "recursive", "names"),
    [
        (("alembic/versions",), False, ["alembic/versions/a.py", "alembic/versions/b.py"]),
        (("app/alembic/versions",), False, ["alembic/versions/a.py", "alembic/versions/b.py"]),
        (("alembic/versions",), True, ["alembic/versions/a.py", "alembic/versions/b.py", "alembic/versions/old/d.py"]),
        (("versions",), False, ["alembic/versions/a.py", "alembic/versions/b.py", "other/versions/e.py"]),
        (
            ("alembic/versions", "other/versions"),
            False,
            ["alembic/versions/a.py", "alembic/versions/b.py", "other/versions/e.py"],
        ),
        (("elsewhere",), False, []),
    ],
)
def test_only_scripts_come_out_of_an_archive(versions: tuple[str, ...], recursive: bool, names: list[str]) -> None:
    assert sorted(scripts_from_tar(MIXED, versions=versions, is_recursive=recursive)) == names


def test_the_text_of_a_script_has_no_byte_order_mark_and_bad_bytes_are_replaced() -> None:
    assert scripts_from_tar(MIXED, versions=("alembic/versions",)) == {
        "alembic/versions/a.py": "revision = 'a'",
        "alembic/versions/b.py": "revision = '\ufffd'",
    }


def test_an_archive_that_holds_too_much_is_refused() -> None:
    with pytest.raises(MalformedAnswer, match="the archive of migrations is too big"):
        scripts_from_tar(tar_of(("versions/a.py", b"x" * 100), ("versions/b.py", b"x" * 100)), max_bytes=150)


@pytest.mark.parametrize("data", [b"no archive" * 100, MIXED[:700]], ids=["text", "cut off"])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="the archive of migrations cannot be read"):
        scripts_from_tar(data)


@given(st.binary(max_size=2000), st.integers(0, len(MIXED)), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_broken_archives_never_break_the_reader(data: bytes, at: int, byte: int) -> None:
    for hostile in (data, MIXED[:at] + bytes([byte]) + MIXED[at + 1 :]):
        try:
            found = scripts_from_tar(hostile)
        except MalformedAnswer:
            continue
        assert all(name.endswith(".py") for name in found)


def test_the_words_for_alembic_are() -> None:
    command = (".venv/bin/alembic", "-c", "db/alembic.ini")
    assert downgrade_argv(command, "b2@a") == (".venv/bin/alembic", "-c", "db/alembic.ini", "downgrade", "b2@a")
    assert current_argv(("alembic",)) == ("alembic", "current", "--verbose")
