"""Small parts: public halves of keys, the order of addresses, the clock, the light start."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rollback_tasks.transport.clock import SystemClock
from rollback_tasks.transport.dial import AddressInfo, _alternating
from rollback_tasks.transport.identities import public_blob


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_public_half_is_found_without_the_passphrase(tmp_path: Path, kind: str, passphrase: str) -> None:
    key = tmp_path / "key"
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(key)]
    if kind == "rsa":
        words += ["-b", "2048"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    public = key.with_suffix(".pub")
    blob = base64.b64decode(public.read_text().split()[1])
    assert public_blob(str(public)) == blob
    public.unlink()
    assert public_blob(str(key)) == blob


def test_an_old_key_file_is_known_by_the_public_one_beside_it(tmp_path: Path) -> None:
    key = tmp_path / "key"
    words = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "x1x2x3", "-f", str(key)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    assert public_blob(str(key)) == base64.b64decode((tmp_path / "key.pub").read_text().split()[1])
    (tmp_path / "key.pub").unlink()
    assert public_blob(str(key)) is None


@pytest.mark.parametrize("text", ["", "x", "one two", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "ssh-rsa !!"])
def test_what_is_no_key_has_no_public_half(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    assert public_blob(str(tmp_path / "key")) is None
    assert public_blob(str(tmp_path / "nowhere")) is None


def test_addresses_of_both_families_take_turns() -> None:
    def info(family: socket.AddressFamily, name: str) -> AddressInfo:
        return (family, socket.SOCK_STREAM, 6, "", (name, 22))

    six, four = socket.AF_INET6, socket.AF_INET
    found = [info(six, "a"), info(six, "b"), info(four, "c"), info(six, "d")]
    assert [entry[4][0] for entry in _alternating(found)] == ["a", "c", "b", "d"]


def test_the_clock_goes_on() -> None:
    clock = SystemClock()
    begun = clock.monotonic()
    clock.sleep(-1)
    clock.sleep(0.01)
    assert clock.monotonic() - begun >= 0.01
    assert clock.now() > 1_700_000_000


def test_this_machine_as_a_host_needs_no_heavy_library() -> None:
    program = (
        "import sys; import rollback_tasks.transport.local, rollback_tasks.transport.laptop\n"
        "import rollback_tasks.transport.readonly, rollback_tasks.transport.clock\n"
        "print([name for name in ('fabric', 'paramiko', 'psycopg', 'rich', 'invoke') if name in sys.modules])"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=30)
    assert done.stdout.strip() == "[]", done.stderr
