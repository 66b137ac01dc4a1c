"""The demo application's releases, and the git history that holds them.

A release is a row in ``RELEASES`` and a folder in ``assets/app`` with the files that it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"

_AUTHOR = "Comic Pile Team <team@comicpile.example>"
_FIRST = 1_735_722_000  # 2025-01-01 09:00 UTC: fixed, so that commits are equal on every host
_DAY = 86_400
_NAMES = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}  # else they would act on this repository


class Behaviour(StrEnum):
    """How a release behaves once it is deployed."""

    GOOD = "good"
    SLOW = "slow"
    FAILING = "failing"
    NEVER_READY = "never ready"
    CRASHING = "crashing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One tagged release of the demo application.

    :param tag: its git tag, and the name of its folder in ``assets/app``.
    :param parent: the tag that it is built upon; None for the first.
    :param heads: the heads of its alembic history.
    :param subject: first line of the commit and of the tag.
    """

    tag: str
    parent: str | None
    heads: tuple[str, ...]
    subject: str
    behaviour: Behaviour = Behaviour.GOOD


_ROWS = (
    Release(tag="v1", parent=None, heads=("0001",), subject="First release"),
    Release(tag="v2", parent="v1", heads=("0002",), subject="Lower case emails"),
    Release(tag="v3", parent="v2", heads=("0004",), subject="Finished threads; events by time"),
    Release(tag="v4", parent="v3", heads=("0005",), subject="Invoices"),
    Release(tag="v5", parent="v4", heads=("0006",), subject="Nicknames"),
    Release(tag="v6", parent="v5", heads=("0006",), subject="A page for each reader"),
    Release(
        tag="bad-migration",
        parent="v6",
        heads=("0007",),
        subject="Call the email an email address",
        behaviour=Behaviour.FAILING,
    ),
    Release(tag="bad-code", parent="v6", heads=("0006",), subject="Names for events", behaviour=Behaviour.FAILING),
    Release(tag="crash", parent="v6", heads=("0006",), subject="Regions", behaviour=Behaviour.CRASHING),
    Release(tag="slow", parent="v6", heads=("0006",), subject="Warm up first", behaviour=Behaviour.SLOW),
    Release(tag="proxy", parent="v6", heads=("0006",), subject="A proxy in front"),
    Release(tag="proxy-next", parent="proxy", heads=("0006",), subject="Greetings"),
    Release(tag="never", parent="v6", heads=("0006",), subject="Wait for the cache", behaviour=Behaviour.NEVER_READY),
)
RELEASES = {row.tag: row for row in _ROWS}
NEWEST = "v6"


def tree(tag: str) -> dict[str, bytes]:
    """Return the files of a release: those of its parent, with its own folder laid over them."""
    release = RELEASES[tag]
    files = {} if release.parent is None else tree(release.parent)
    folder = ASSETS / "app" / tag
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(folder).as_posix()
            files[_NAMES.get(name, name)] = path.read_bytes()
    return files


def stream() -> bytes:
    """Return the whole history for ``git fast-import``: every release with its annotated tag, and main."""
    return b"".join(_pieces())


def _pieces() -> Iterator[bytes]:
    for number, release in enumerate(_ROWS, 1):
        when = f"{_AUTHOR} {_FIRST + number * _DAY} +0000".encode()
        subject = _data(release.subject.encode() + b"\n")
        yield b"commit refs/heads/build\nmark :%d\n" % number
        yield b"author %s\ncommitter %s\n%s" % (when, when, subject)
        if release.parent is not None:
            yield b"from :%d\n" % (1 + list(RELEASES).index(release.parent))
        yield b"deleteall\n"
        for name, content in tree(release.tag).items():
            mode = b"100755" if content.startswith(b"#!") else b"100644"
            yield b"M %s inline %s\n" % (mode, name.encode())
            yield _data(content.replace(b"@RELEASE@", release.tag.encode()))
        yield b"tag %s\nfrom :%d\ntagger %s\n%s" % (release.tag.encode(), number, when, subject)
    yield b"reset refs/heads/main\nfrom :%d\n\n" % (1 + list(RELEASES).index(NEWEST))
    yield b"reset refs/heads/build\nfrom %s\n\ndone\n" % (b"0" * 40)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
