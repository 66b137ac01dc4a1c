"""What to say to Alembic, where a release keeps its migrations, and how they come out of an archive."""

from __future__ import annotations

import configparser
import io
import re
import tarfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from rollback_tasks.drivers.alembic_scripts import Script, ScriptGraph, parse_scripts
from rollback_tasks.errors import MalformedAnswer

__all__ = [
    "Script",
    "ScriptFolders",
    "ScriptGraph",
    "current_argv",
    "downgrade_argv",
    "parse_scripts",
    "script_folders",
    "scripts_from_tar",
]

_HINT = "Name the folder in hosts.yaml: migrations.directory."
_SEPARATORS = {"space": " ", "newline": "\n", "os": ":", ":": ":", ";": ";"}
_TRUE = frozenset({"true", "1", "yes", "on"})
# As alembic chooses files; editors' locks and packages are none.
_SCRIPT_NAME = re.compile(r"(?!\.#|__init__).+\.py\Z")
_MAX_MEMBERS = 50_000
_MAX_FILE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFolders:
    """Where migrations are, relative to the folder that alembic.ini is in.

    :param location: the folder of env.py.
    :param versions: the folders of the scripts.
    :param is_recursive: scripts also stand in folders below those.
    """

    location: str
    versions: tuple[str, ...]
    is_recursive: bool = False


def script_folders(ini: str | None, pyproject: str | None) -> ScriptFolders:
    """Return where a release keeps its migrations; alembic.ini wins over ``[tool.alembic]``, as in Alembic.

    :param ini: text of alembic.ini, None where there is none.
    :param pyproject: text of pyproject.toml, None where there is none.
    :raises MalformedAnswer: neither says where, one cannot be read, or the folder is not inside of the tree.
    """
    options = _toml_options(pyproject) | _ini_options(ini)
    location = options.get("script_location")
    if not isinstance(location, str) or not location.strip():
        raise MalformedAnswer("no script_location in alembic.ini or pyproject.toml", hint=_HINT)
    folder = _inside(location)
    listed = options.get("version_locations")
    if isinstance(listed, str):
        separator = options.get("path_separator", options.get("version_path_separator"))
        listed = _split(listed, separator)
    versions = tuple(_inside(item) for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
    recursive = str(options.get("recursive_version_locations", "")).strip().lower() in _TRUE
    return ScriptFolders(
        location=folder, versions=versions or (str(PurePosixPath(folder) / "versions"),), is_recursive=recursive
    )


def _ini_options(ini: str | None) -> dict[str, object]:
    if ini is None:
        return {}
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(ini.lstrip("\ufeff"))
        found = dict(parser.items("alembic")) if parser.has_section("alembic") else {}
    except configparser.Error as error:
        raise MalformedAnswer("alembic.ini cannot be read", details=str(error)[:300], hint=_HINT) from error
    return {name: value for name, value in found.items() if value}


def _toml_options(pyproject: str | None) -> dict[str, object]:
    if pyproject is None:
        return {}
    try:
        tool = tomllib.loads(pyproject.lstrip("\ufeff")).get("tool")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedAnswer("pyproject.toml cannot be read", details=str(error)[:300], hint=_HINT) from error
    table = tool.get("alembic") if isinstance(tool, dict) else None
    return dict(table) if isinstance(table, dict) else {}


def _split(listed: str, separator: object) -> list[object]:
    if separator is None:
        # Alembic's way where no separator is set.
        return [item for item in re.split(r", *|\s+", listed.strip()) if item]
    if separator not in _SEPARATORS:
        raise MalformedAnswer("path_separator of alembic.ini is none that Alembic takes", hint=_HINT)
    return [item.strip() for item in listed.split(_SEPARATORS[str(separator)]) if item.strip()]


def _inside(path: str) -> str:
    """Return a folder in its shortest form.

    :raises MalformedAnswer: it is absolute, leaves the tree, or is no plain path.
    """
    plain = path.strip().replace("%(here)s/", "").replace("%(here)s", ".").replace("%%", "%")
    package, colon, rest = plain.partition(":")
    if colon:
        # "myapp:migrations" names a folder inside of a package.
        plain = f"{package.replace('.', '/')}/{rest}"
    parts: list[str] = []
    for part in PurePosixPath(plain).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    if not parts or parts[0] in ("/", "//", "..") or not plain.isprintable() or re.search(r"%\(|\\", plain):
        raise MalformedAnswer(
            "the folder of the migrations is not inside of the release", details=repr(path)[:200], hint=_HINT
        )
    return "/".join(parts)


def scripts_from_tar(
    data: bytes,
    *,
    versions: Iterable[str] = ("versions",),
    is_recursive: bool = False,
    max_bytes: int = 64_000_000,
) -> dict[str, str]:
    """Return path to text of the scripts in an archive (``git archive`` or ``docker cp CONTAINER:PATH -``).

    Links, devices, and names that climb out are left out. A folder matches by its end, as the archive may start
    anywhere on the way to it.

    :param versions: the folders of the scripts, ``ScriptFolders.versions``.
    :param max_bytes: the most that the scripts may hold together.
    :raises MalformedAnswer: it is no tar archive, or holds too much.
    """
    folders = tuple(PurePosixPath(folder).parts for folder in versions)
    files: dict[str, str] = {}
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= _MAX_MEMBERS:
                    raise MalformedAnswer("the archive of migrations has too many members")
                path = PurePosixPath(member.name)
                if not member.isreg() or member.issparse() or not _is_script(path, folders, is_recursive):
                    continue
                size += member.size
                if member.size > _MAX_FILE or size > max_bytes:
                    raise MalformedAnswer("the archive of migrations is too big")
                content = archive.extractfile(member)
                if content is not None:
                    files[str(path)] = content.read().decode("utf-8-sig", "replace")
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise MalformedAnswer("the archive of migrations cannot be read", details=type(error).__name__) from error
    return files


def _is_script(path: PurePosixPath, folders: tuple[tuple[str, ...], ...], is_recursive: bool) -> bool:
    if path.is_absolute() or ".." in path.parts or not str(path).isprintable() or not _SCRIPT_NAME.match(path.name):
        return False
    parents = [path.parent, *path.parent.parents] if is_recursive else [path.parent]
    return any(_same_end(parent.parts, folder) for parent in parents for folder in folders)


def _same_end(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    shorter = min(len(first), len(second))
    return shorter > 0 and first[-shorter:] == second[-shorter:]


def downgrade_argv(command: tuple[str, ...], revision: str) -> tuple[str, ...]:
    """Return the words that downgrade to ``revision`` (one of ``Verdict.commands``).

    :param command: the words that start alembic, e.g. ``("alembic",)``.
    """
    return (*command, "downgrade", revision)


def current_argv(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that name the database (first line) and its revisions."""
    return (*command, "current", "--verbose")
