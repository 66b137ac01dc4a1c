"""Known secrets reach no output, however they are written."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.reporting.masking import Masker

SECRET = "p@ss w'örd/%\"x"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").replace("%40", "%40").replace("%C3%B6", "%c3%b6").replace("%2F", "%2f"),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        shlex.quote(SECRET)[1:-1],
        repr(SECRET)[1:-1],
    ],
)
def test_each_way_to_write_a_secret_is_masked(text: str) -> None:
    assert Masker([SECRET])(f"postgresql://app:{text}@db/shop") == "postgresql://app:***@db/shop"


def test_a_command_line_with_a_quoted_secret_is_masked() -> None:
    assert Masker(["two words"])("env " + shlex.join(["PGPASSWORD=two words"])) == "env 'PGPASSWORD=***'"


def test_the_longest_secret_is_masked_first() -> None:
    assert Masker(["abcd", "abcdef"])("abcdef abcd") == "*** ***"


def test_secrets_can_be_added_while_a_run_goes_on() -> None:
    masker = Masker()
    assert masker("hunter2") == "hunter2"
    masker.add("hunter2")
    assert masker("hunter2") == "***"


def test_an_empty_secret_hides_nothing() -> None:
    assert Masker([""])("text") == "text"


def test_a_secret_that_is_a_public_word_is_left_alone_and_so_not_told() -> None:
    masker = Masker(["comicpile", "hunter2"], public=["/srv/comicpile", "prod1"])
    assert masker("/srv/comicpile hunter2") == "/srv/comicpile ***"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_secret_is_left_in_any_text(secret: str, before: str, behind: str) -> None:
    masked = Masker([secret])(f"{before}{secret}{behind}")
    # What was masked may meet its surroundings so that the secret arises anew only where it is made of stars.
    assert secret not in masked or "*" in secret


def test_words_of_the_inventory_are_shown_although_somebody_took_one_for_a_password() -> None:
    masker = Masker()
    masker.spare(["/srv/comicpile", "app"])
    for secret in ("comicpile", "app", "else"):
        masker.add(secret)
    assert masker("app at /srv/comicpile, or else") == "app at /srv/comicpile, or ***"
