"""Which lines of a known_hosts file hold for a host."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_tasks.errors import HostKeyChanged, HostKeyUnknown
from rollback_tasks.transport.known_hosts import Place, fingerprint, look_up

KEY, OTHER = b"\0\0\0\x0bssh-ed25519-one", b"\0\0\0\x0bssh-ed25519-two"
ED, RSA = "ssh-ed25519", "ssh-rsa"


def line(names: str, blob: bytes = KEY, kind: str = ED, marker: str = "") -> str:
    return " ".join(word for word in (marker, names, kind, base64.b64encode(blob).decode()) if word) + "\n"


def hashed(name: str) -> str:
    salt = bytes(range(20))
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(hmac.digest(salt, name.encode(), 'sha1')).decode()}"


def place(file: Path, *, hostname: str = "prod1.example.com", port: int = 22, alias: str | None = None) -> Place:
    return Place(host="prod1", hostname=hostname, port=port, files=(str(file),), alias=alias)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.mark.parametrize(
    ("names", "hostname", "port", "holds"),
    [
        ("prod1.example.com", "prod1.example.com", 22, True),
        ("PROD1.example.com", "prod1.Example.COM", 22, True),
        ("prod1.example.com", "prod1.example.com", 2222, True),
        ("[prod1.example.com]:2222", "prod1.example.com", 2222, True),
        ("[prod1.example.com]:2222", "prod1.example.com", 22, False),
        ("[prod1.example.com]:2222", "prod1.example.com", 2223, False),
        ("*.example.com", "prod1.example.com", 22, True),
        ("prod?.example.com", "prod1.example.com", 22, True),
        ("prod?.example.com", "prod10.example.com", 22, False),
        ("*.example.com,!prod1.*", "prod1.example.com", 22, False),
        ("!prod1.*,*.example.com", "prod1.example.com", 22, False),
        ("!prod2.*,*.example.com", "prod1.example.com", 22, True),
        ("[ab].example.com", "a.example.com", 22, False),
        ("prod1xexample.com", "prod1.example.com", 22, False),
        ("example.com", "prod1.example.com", 22, False),
        ("prod1", "prod1.example.com", 22, False),
        (hashed("prod1.example.com"), "prod1.example.com", 22, True),
        (hashed("[prod1.example.com]:2222"), "prod1.example.com", 2222, True),
        (hashed("prod2.example.com"), "prod1.example.com", 22, False),
        ("|1|damaged|field", "prod1.example.com", 22, False),
        ("|1|", "prod1.example.com", 22, False),
        ("10.0.0.*", "10.0.0.7", 22, True),
        ("fe80::1", "fe80::1", 22, True),
        ("[fe80::1]:2222", "fe80::1", 2222, True),
    ],
)
def test_names_and_patterns_hold_as_with_ssh(file: Path, names: str, hostname: str, port: int, holds: bool) -> None:
    file.write_text(line(names))
    assert [entry.blob for entry in look_up(place(file, hostname=hostname, port=port)).trusted] == [KEY] * holds


def test_an_alias_is_looked_up_in_place_of_the_name(file: Path) -> None:
    file.write_text(line("prod1.example.com", OTHER) + line("the-alias"))
    known = look_up(place(file, port=2222, alias="the-alias"))
    assert [entry.place for entry in known.trusted] == [f"{file}:2"]


def test_the_name_without_its_port_is_only_a_fallback(file: Path) -> None:
    file.write_text(line("prod1.example.com", OTHER) + line("[prod1.example.com]:2222"))
    assert [entry.blob for entry in look_up(place(file, port=2222)).trusted] == [KEY]


def test_several_files_are_read_and_missing_ones_say_nothing(file: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    file.write_text(line("prod1.example.com"))
    second.write_text(line("prod1.example.com", OTHER, RSA))
    files = (str(tmp_path / "missing"), str(file), str(tmp_path), str(second))
    known = look_up(Place(host="prod1", hostname="prod1.example.com", port=22, files=files))
    assert known.key_types == (ED, RSA)


def test_comments_blanks_and_damaged_lines_are_passed_over(file: Path) -> None:
    file.write_bytes(
        b"# note\n\n  \nprod1.example.com\nprod1.example.com ssh-ed25519\nprod1.example.com ssh-ed25519 !!!\n\xff\xfe\n"
        + line("prod1.example.com").encode()
    )
    assert [entry.line for entry in look_up(place(file)).trusted] == [8]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", HostKeyUnknown, "the host key of prod1.example.com:22 is not known"),
        (line("*", marker="@cert-authority"), HostKeyUnknown, "host certificates are not used"),
        (line("*", OTHER, RSA), HostKeyUnknown, "known are only keys of another type: ssh-rsa"),
        (line("*", OTHER), HostKeyChanged, f"known is {fingerprint(OTHER)} at "),
        (line("*", marker="@revoked") + line("*"), HostKeyChanged, "is marked @revoked at "),
    ],
)
def test_a_key_that_is_not_trusted_is_refused_with_a_reason(
    file: Path, text: str, error: type[Exception], words: str
) -> None:
    file.write_text(text)
    with pytest.raises(error) as caught:
        look_up(place(file)).check(ED, KEY)
    assert words in str(caught.value)
    assert fingerprint(KEY) in str(caught.value)
    assert caught.value.__class__ is error


def test_the_fingerprint_is_that_of_ssh() -> None:
    blob = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIEZcAZ+lP1xWkZ3sYJxkEYBNbbNQv5zTWSbbJBGyFnSg")
    assert fingerprint(blob).startswith("SHA256:")
    assert len(fingerprint(blob)) == 50


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed"
    file.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n" + line("prod1.example.com").encode())
    assert KEY in [entry.blob for entry in look_up(place(file)).trusted]
