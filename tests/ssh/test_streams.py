"""Dumps: whole, quick, and in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.shell import Effect, script
from rollback_tasks.transport.channel import window_bytes
from rollback_tasks.transport.laptop import LocalLaptop

ROOT = Path(__file__).parents[2]
GROWTH_KIB = 48 * 1024

PROGRAM = """
import hashlib, json, resource, sys
sys.path.insert(0, {root!r})
from rollback_tasks.shell import Command, Effect, script
from rollback_tasks.transport.connect import SshTarget, connect

host = connect(SshTarget(**json.loads(sys.argv[1])), connect_timeout=10)
host.run(Command(argv=("true",), effect=Effect.READ))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest = hashlib.sha256()
MIB = 1 << 20
"""


def measured(sshd: Any, body: str) -> dict[str, Any]:
    """Run ``body`` in a process of its own; it sets ``result``. Adds the growth of memory in KiB."""
    target = sshd.target()
    values = json.dumps({name: getattr(target, name) for name in target.__dataclass_fields__})
    end = """
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps({"result": result, "growth": growth}))
    """
    text = PROGRAM.format(root=str(ROOT)) + textwrap.dedent(body) + textwrap.dedent(end)
    done = subprocess.run([sys.executable, "-c", text, values], capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_two_hundred_megabytes_come_down_whole_in_bounded_memory(sshd: Any) -> None:
    body = """
        one = host.run(script('seq 1 30000000 | head -c 209715200 | sha256sum', effect=Effect.READ)).text.split()[0]
        size = 0
        def take(piece):
            global size
            size += len(piece)
            digest.update(piece)
        host.pull(script('seq 1 30000000 | head -c 209715200', effect=Effect.READ), take)
        result = [one == digest.hexdigest(), size]
    """
    answer = measured(sshd, body)
    assert answer["result"] == [True, 209715200]
    assert answer["growth"] < GROWTH_KIB


def test_two_hundred_megabytes_go_up_whole_in_bounded_memory(sshd: Any) -> None:
    body = """
        def source():
            for number in range(200):
                piece = bytes([number]) * MIB
                digest.update(piece)
                yield piece
        said = host.push(Command(argv=("sha256sum",), effect=Effect.READ), source()).text.split()[0]
        result = said == digest.hexdigest()
    """
    answer = measured(sshd, body)
    assert answer["result"] is True
    assert answer["growth"] < GROWTH_KIB


@pytest.mark.parametrize("mib", [511, 512])
def test_streams_that_end_where_paramiko_would_renew_its_keys_end_well(sshd: Any, mib: int) -> None:
    """Stock paramiko dead-locks in some of these: its threshold falls into the stream's last window."""
    body = f"""
        sizes = []
        for _ in range(2):
            size = 0
            def take(piece):
                global size
                size += len(piece)
            host.pull(script("head -c {mib * (1 << 20)} /dev/zero", effect=Effect.READ), take)
            sizes.append(size)
        result = sizes
    """
    sizes = measured(sshd, body)["result"]
    assert sizes == [mib << 20] * 2


def test_the_keys_would_be_renewed_in_the_midst_of_a_stream_without_our_limit(ssh_host: Any) -> None:
    """Shows that the limit is what keeps the stream free of a key exchange: with a small one there is one."""
    transport = ssh_host._transport
    first = transport.session_id, transport.H
    ssh_host.pull(script("head -c 30000000 /dev/zero", effect=Effect.READ), len)
    assert (transport.session_id, transport.H) == first
    transport.packetizer.REKEY_BYTES = 20_000_000
    ssh_host.pull(script("head -c 60000000 /dev/zero; sleep 0.5", effect=Effect.READ), len)
    assert first[1] != transport.H


@pytest.mark.parametrize(
    ("round_trip", "window"),
    [(0.0, 4 << 20), (0.001, 4 << 20), (0.04, 10_000_000), (0.3, 16 << 20)],
)
def test_the_window_grows_with_the_round_trip(round_trip: float, window: int) -> None:
    assert window_bytes(round_trip) == window


def test_a_dump_goes_to_a_private_file_with_its_digest(ssh_host: Any, tmp_path: Path) -> None:
    laptop = LocalLaptop(tmp_path)
    with laptop.receive("backups/prod1/x.dump") as receiver:
        ssh_host.pull(script("seq 1 100000", effect=Effect.READ), receiver.write)
        receiver.finish()
    said = ssh_host.run(script("seq 1 100000 | sha256sum", effect=Effect.READ)).text.split()[0]
    assert receiver.sha256 == said
    assert (tmp_path / "backups/prod1/x.dump").stat().st_mode & 0o777 == 0o600


def test_a_stream_from_one_command_feeds_another(ssh_host: Any, sshd: Any) -> None:
    second = sshd.connect()

    def dump() -> Iterator[bytes]:
        for number in range(50):
            yield ssh_host.run(
                script('seq "$1" "$2"', str(number * 1000), str(number * 1000 + 999), effect=Effect.READ)
            ).stdout

    assert second.push(script("sort -n | uniq | wc -l", effect=Effect.READ), dump()).stdout.strip() == b"50000"
    second.close()
