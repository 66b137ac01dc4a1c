"""Known secrets, kept out of everything that is shown or logged."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"


class Masker:
    """Replaces known secret values in text, also percent-encoded, shell-quoted and JSON-escaped.

    A secret that is part of a public word is left alone: a database password that equals the database's
    name would otherwise blank out every path, and by that tell what it is.

    Safe to use from several threads; values may be added while a run goes on.

    :param secrets: the values.
    :param public: words that are shown anyway: names and folders of the inventory.
    """

    def __init__(self, secrets: Iterable[str] = (), *, public: Iterable[str] = ()) -> None:
        self._public = set(public)
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._guard = threading.Lock()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide one more value from now on; an empty one is ignored."""
        if not secret or any(secret in word for word in self._public):
            return
        with self._guard:
            self._forms |= {form for form in _forms(secret) if form}
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def spare(self, words: Iterable[str]) -> None:
        """Show these words too, whatever is hidden from now on."""
        self._public |= set(words)

    def __call__(self, text: str) -> str:
        """Given a text, return it with every known secret replaced by ``***``."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)


def _forms(secret: str) -> set[str]:
    encodable = secret.encode("utf-8", "surrogatepass")
    percent = {quote(encodable, safe=""), quote(encodable, safe="/"), quote_plus(encodable)}
    # RFC 3986 lets either case stand for an encoded byte.
    lower = {re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in percent}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    # A quoted word in the middle of a quoted command line is quoted once more.
    once = shlex.quote(secret)
    quoted = {form.strip("'") for form in (once, shlex.quote(once))}
    return {secret, repr(secret)[1:-1], *percent, *lower, *escaped, *quoted}
