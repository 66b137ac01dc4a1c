"""Kinds of values in hosts.yaml: each checks one value and notes what is wrong with it."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from rollback_tasks.config.nearest import did_you_mean
from rollback_tasks.shell import Secret


class Missing:
    """Stands where a value is absent or wrong."""


MISSING = Missing()

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,80}\Z")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the file, where problems are noted.

    :param path: e.g. ``hosts.prod2.port``.
    :param problems: all problems so far, shared by every spot of the file.
    :param folder: what relative paths of the laptop start from: the folder of hosts.yaml.
    :param home: what ``~`` stands for.
    """

    path: str
    problems: list[str]
    folder: str
    home: str

    def key(self, name: object) -> Spot:
        """The spot of a key below this one; a strange name is quoted."""
        text = name if isinstance(name, str) and _PLAIN_KEY.match(name) else shown(name)
        return replace(self, path=f"{self.path}.{text}" if self.path else text)

    def item(self, index: int) -> Spot:
        """The spot of a list's entry."""
        return replace(self, path=f"{self.path}[{index}]")

    def wrong(self, problem: str) -> Missing:
        """Note a problem here."""
        self.problems.append(f"{self.path}: {problem}" if self.path else problem)
        return MISSING

    def expected(self, kind: str, value: object) -> Missing:
        """Note that something else should stand here."""
        return self.wrong(f"should be {kind}, got {shown(value)}")


Rule = Callable[[Any, Spot], Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    :param says: what it is for; stands in the problem where it is missing.
    :param rule: what its value must be.
    :param default: what holds where nobody sets it, as YAML would have it; MISSING = it must be set.
    """

    says: str
    rule: Rule
    default: Any = MISSING


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys; a nested Section is a Key's rule. ``x-`` keys are left alone."""

    keys: Mapping[str, Key]

    def __call__(self, value: Any, spot: Spot) -> dict[str, Any]:
        """Check the keys that are there, and only them: defaults and hosts are merged afterwards."""
        parsed: dict[str, Any] = {}
        for name, entry in entries(value, spot):
            if name in self.keys:
                parsed[name] = self.keys[name].rule(entry, spot.key(name))
            else:
                spot.key(name).wrong(f"unknown key{did_you_mean(name, self.keys)}")
        return parsed

    def complete(self, parsed: Mapping[str, Any], spot: Spot) -> dict[str, Any]:
        """Given the merged keys, return all keys, and note the ones that must be set and are not."""
        whole: dict[str, Any] = {}
        for name, key in self.keys.items():
            if isinstance(key.rule, Section):
                whole[name] = key.rule.complete(parsed.get(name, {}), spot.key(name))
            elif name in parsed:
                whole[name] = parsed[name]
            elif key.default is MISSING:
                whole[name] = spot.key(name).wrong(f"is missing: {key.says}")
            else:
                whole[name] = key.rule(key.default, spot.key(name))
        return whole


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Given two mappings, return one: ``above`` wins, mappings are merged key by key, lists are replaced."""
    merged = dict(below)
    for name, value in above.items():
        lower = merged.get(name)
        merged[name] = merge(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return merged


def entries(value: Any, spot: Spot) -> list[tuple[str, Any]]:
    """Given a mapping, return its entries without ``x-`` ones; a section without a body is an empty one."""
    if value is None:
        return []
    if not isinstance(value, dict):
        spot.expected("a mapping", value)
        return []
    found = []
    for name, entry in value.items():
        if not isinstance(name, str):
            spot.key(name).wrong(f"a key should be text, got {shown(name)} (put it in quotes)")
        elif not name.startswith("x-"):
            found.append((name, entry))
    return found


def shown(value: object) -> str:
    """Given any value, return a short printable form of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            short = value if len(value) <= 60 else value[:57] + "..."
            return json.dumps(short, ensure_ascii=not short.isprintable())
        case int():
            return str(value) if abs(value) < 10**20 else "a very large number"
        case float():
            return repr(value)
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def nullable(rule: Rule) -> Rule:
    """``null`` means "not set"; else ``rule`` holds."""
    return lambda value, spot: None if value is None else rule(value, spot)


def text(kind: str = "text", *, pattern: str = r".*", flags: re.RegexFlag = re.NOFLAG) -> Rule:
    """Text without control characters that matches ``pattern`` as a whole."""
    compiled = re.compile(pattern, flags)

    def rule(value: Any, spot: Spot) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return spot.wrong(f"should be {kind}, got {shown(value)} (put it in quotes)")
        if not isinstance(value, str):
            return spot.expected(kind, value)
        if not all(character.isprintable() for character in value):
            return spot.wrong(f"holds control characters: {shown(value)}")
        return value if compiled.fullmatch(value) else spot.expected(kind, value)

    return rule


def word(value: Any, spot: Spot) -> Any:
    """One word of a command: any text without NUL (a script of several lines is one word)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return spot.wrong(f"should be text, got {shown(value)} (put it in quotes)")
    if not isinstance(value, str):
        return spot.expected("text", value)
    if "\0" in value or any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        return spot.wrong("holds a character that no program can be given")
    return value


def integer(low: int, high: int) -> Rule:
    """A whole number between both; ``true`` is no number."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return spot.expected("an integer", value)
        return value if low <= value <= high else spot.expected(f"between {low} and {high}", value)

    return rule


def seconds(low: float, high: float) -> Rule:
    """A number of seconds between both (``.nan`` and ``.inf`` are outside)."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return spot.expected("a number of seconds", value)
        return float(value) if low <= value <= high else spot.expected(f"between {low:g} and {high:g} seconds", value)

    return rule


def items(kind: str, rule: Rule, *, at_least: int = 0, is_unique: bool = True) -> Rule:
    """A list whose entries all follow ``rule``."""

    def checked(value: Any, spot: Spot) -> Any:
        if not isinstance(value, list):
            return spot.expected(f"a list of {kind}", value)
        if len(value) < at_least:
            return spot.wrong(f"should name at least one of {kind}")
        parsed = [rule(entry, spot.item(index)) for index, entry in enumerate(value)]
        seen: set[object] = {MISSING}
        for index, entry in enumerate(parsed):
            if is_unique and entry is not MISSING and entry in seen:
                spot.item(index).wrong(f"{shown(entry)} is named twice")
            seen.add(entry)
        return tuple(parsed)

    return checked


def remote_path(*, can_be_absolute: bool, can_be_relative: bool) -> Rule:
    """A path on the host, in its simplest form; ``..`` and ``~`` are refused since the host would read them."""
    kinds = {(True, False): "an absolute path", (False, True): "a path relative to project_dir"}
    kind = kinds.get((can_be_absolute, can_be_relative), "a path")
    plain = text(kind, pattern=r"[^~-].*")

    def rule(value: Any, spot: Spot) -> Any:
        path = plain(value, spot)
        if path is MISSING:
            return path
        if not (can_be_absolute if path.startswith("/") else can_be_relative):
            return spot.expected(kind, value)
        if ".." in path.split("/"):
            return spot.wrong(f'should not hold "..", got {shown(value)}')
        normal = posixpath.normpath(path)
        normal = "/" + normal.lstrip("/") if path.startswith("/") else normal
        return spot.expected(f"{kind} to a place of its own", value) if normal in ("/", ".") else normal

    return rule


def local_path(value: Any, spot: Spot) -> Any:
    """A path on the laptop, made absolute: ``~/`` is the home folder, others start beside hosts.yaml."""
    path = text("a path", pattern=r".+")(value, spot)
    if path is MISSING:
        return path
    if path == "~" or path.startswith("~/"):
        return posixpath.normpath(posixpath.join(spot.home, path[2:]))
    if path.startswith("~"):
        return spot.wrong(f'only "~/" is expanded, got {shown(value)}')
    return posixpath.normpath(posixpath.join(spot.folder, path))


def url(value: Any, spot: Spot) -> Any:
    """An http or https address without a password in it."""
    address = text("an http or https URL", pattern=r"\S+")(value, spot)
    if address is MISSING:
        return address
    try:
        parts = urlsplit(address)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        return spot.expected("an http or https URL", value)
    if "@" in parts.netloc:
        return spot.wrong("should not hold a user or password")
    return address


def secret_url(value: Any, spot: Spot) -> Any:
    """An http or https address that is a secret by itself: problems do not repeat it."""
    own = replace(spot, problems=[])
    address = url(value, own)
    if address is MISSING:
        return spot.wrong("should be an http or https URL without user and password")
    return Secret(address)
