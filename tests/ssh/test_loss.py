"""Connections that break, servers that stall, and an operator who presses Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_tasks.errors import CommandTimedOut, ConnectionLost, StepFailed
from rollback_tasks.shell import Command, Effect, script
from rollback_tasks.transport import channel, conversation

TRUE = Command(argv=("true",), effect=Effect.READ)
ROOT = Path(__file__).parents[2]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.005)


def signal_server_after(sshd: Any, seconds: float, number: int) -> threading.Timer:
    """Send a signal to the servers of all connections that are open then."""

    def act() -> None:
        for pid in sshd.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def endless(host: Any, way: str) -> None:
    """Use the host in a way that would take ten minutes."""
    if way == "run":
        host.run(Command(argv=("sleep", "600"), effect=Effect.READ, timeout=600))
    elif way == "pull":
        host.pull(Command(argv=("cat", "/dev/zero"), effect=Effect.READ, timeout=600), len)
    else:
        host.push(script("cat >/dev/null", effect=Effect.READ, timeout=600), iter(lambda: b"x" * 65536, b""))


class TestLostConnection:
    def test_a_server_that_dies_under_a_command_leaves_an_unknown_outcome(self, new_sshd: Callable[..., Any]) -> None:
        server = new_sshd()
        host = server.connect()
        killer = signal_server_after(server, 0.3, signal.SIGKILL)
        with pytest.raises(ConnectionLost) as caught:
            host.run(script("echo begun; sleep 30", effect=Effect.WRITE))
        killer.join()
        assert "whether it did its work is unknown" in caught.value.details
        assert "inv rollback.resume --host prod1" in caught.value.hint

    def test_nothing_reconnects_by_itself(self, new_sshd: Callable[..., Any]) -> None:
        server = new_sshd()
        host = server.connect()
        killer = signal_server_after(server, 0.1, signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            host.run(Command(argv=("sleep", "30"), effect=Effect.READ))
        killer.join()
        assert not host.is_connected
        attempts: list[Callable[[], object]] = [
            lambda: host.run(TRUE),
            lambda: host.pull(TRUE, bytes),
            lambda: host.push(TRUE, [b"x"]),
            lambda: host.http_get("http://127.0.0.1:1/", timeout=1),
            lambda: host.socket_to("127.0.0.1", 1).__enter__(),
        ]
        for attempt in attempts:
            with pytest.raises(ConnectionLost, match="the connection is gone"):
                attempt()
        assert server.log.read_text().count("Accepted publickey") == 1
        host.close()

    @pytest.mark.parametrize("way", ["pull", "push"])
    def test_a_server_that_dies_under_a_stream_is_no_end_of_it(self, new_sshd: Callable[..., Any], way: str) -> None:
        server = new_sshd()
        host = server.connect()
        killer = signal_server_after(server, 0.3, signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            endless(host, way)
        killer.join()
        host.close()


class TestStalledServer:
    """The server's kernel still acknowledges, the server itself says nothing."""

    @pytest.fixture
    def stalled(self, new_sshd: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        # The real limits are 30 and 15 seconds; the behaviour is the same.
        monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.5)
        monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.5)
        server = new_sshd()
        yield server
        server.stop()

    @pytest.mark.parametrize("way", ["run", "pull", "push"])
    def test_a_server_that_stops_is_noticed_long_before_the_time_limit(self, stalled: Any, way: str) -> None:
        host = stalled.connect()
        stopper = signal_server_after(stalled, 0.2, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            endless(host, way)
        assert time.monotonic() - started < 10
        stopper.join()
        host.close()

    def test_a_silent_command_on_a_living_server_is_left_alone(self, stalled: Any) -> None:
        host = stalled.connect()
        assert host.run(script("sleep 1.6; echo done", effect=Effect.READ)).stdout == b"done\n"
        host.close()

    def test_a_server_that_stopped_before_the_command_does_not_hang_us(
        self, stalled: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = stalled.connect()
        # The process that will serve the session is there for sure only once it has served something.
        host.run(TRUE)
        monkeypatch.setattr(channel, "OPEN_SECONDS", 0.5)
        for pid in stalled.sessions():
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ConnectionLost, match="the connection is gone"):
            host.run(TRUE)
        host.close()


class TestOwnDeadline:
    def test_a_host_without_timeout_is_watched_from_here(
        self, sshd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # `timeout` on the host is stood in for by a program that gives no limit, as on a host that has none.
        monkeypatch.setattr(conversation, "HOST_KILL_SECONDS", 0.0)
        monkeypatch.setattr(conversation, "GRACE_SECONDS", 0.5)
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "timeout").write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
        (folder / "timeout").chmod(0o755)
        (sshd.home / ".bashrc").write_text(f"PATH={folder}:$PATH\n")
        note = tmp_path / "pid"
        host = sshd.connect()
        try:
            with pytest.raises(CommandTimedOut):
                host.run(script('echo $$ >"$1"; sleep 30; echo', str(note), effect=Effect.READ, timeout=1))
        finally:
            (sshd.home / ".bashrc").unlink()
        assert not is_alive(int(note.read_text()))
        assert host.run(TRUE).exit_code == 0
        host.close()

    def test_a_straggler_that_keeps_the_output_open_is_ended(
        self, ssh_host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation, "HOST_KILL_SECONDS", 0.0)
        monkeypatch.setattr(conversation, "GRACE_SECONDS", 0.5)
        note = tmp_path / "pid"
        with pytest.raises(CommandTimedOut):
            ssh_host.run(script('sleep 30 & echo $! >"$1"', str(note), effect=Effect.READ, timeout=1))
        assert not is_alive(int(note.read_text()))


class TestLoginShell:
    @pytest.fixture
    def bashrc(self, sshd: Any) -> Iterator[Path]:
        path = sshd.home / ".bashrc"
        yield path
        path.unlink()

    def test_what_its_start_files_print_is_not_output(self, sshd: Any, bashrc: Path) -> None:
        if not os.environ.get("SHELL", "/bin/bash").endswith("bash"):
            pytest.skip("only bash reads its start file under sshd")
        bashrc.write_text("echo Welcome; echo to prod1 >&2\nprintf 'no line end'\n")
        host = sshd.connect()
        assert host.run(Command(argv=("cat",), effect=Effect.READ, stdin=b"PGDMP\0\n")).stdout == b"PGDMP\0\n"
        host.close()

    def test_a_shell_that_starts_nothing_is_named(self, new_sshd: Callable[..., Any]) -> None:
        server = new_sshd(options="ForceCommand echo This account is closed.")
        host = server.connect()
        with pytest.raises(StepFailed, match="login shell did not start the command") as caught:
            host.run(TRUE)
        assert "This account is closed." in caught.value.details
        host.close()


PROGRAM = """
import json, sys
sys.path.insert(0, {root!r})
from rollback_tasks.shell import Command, Effect, script
from rollback_tasks.transport.connect import SshTarget, connect

host = connect(SshTarget(**json.loads(sys.argv[1])), connect_timeout=10)
"""


def start_program(sshd: Any, body: str, **options: Any) -> subprocess.Popen[bytes]:
    target = sshd.target()
    values = {name: getattr(target, name) for name in target.__dataclass_fields__}
    text = PROGRAM.format(root=str(ROOT)) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", text, json.dumps(values)], **options)


class TestInterrupt:
    @pytest.mark.parametrize(
        "way",
        ["host.run({command})", "host.pull({command}, len)", "host.push({command}, iter(lambda: b'x' * 9999, b''))"],
    )
    def test_ctrl_c_ends_what_runs_on_the_host(self, sshd: Any, tmp_path: Path, way: str) -> None:
        note = tmp_path / "pids"
        command = f"""script('echo $$ >>"$1"; sleep 60 & echo $! >>"$1"; wait', {str(note)!r}, effect=Effect.WRITE)"""
        body = f"""
            try:
                {way.format(command=command)}
            except KeyboardInterrupt:
                print("interrupted", host.run(Command(argv=("true",), effect=Effect.READ)).exit_code, flush=True)
        """
        process = start_program(sshd, body, stdout=subprocess.PIPE)
        wait_until(lambda: note.exists() and len(note.read_text().split()) == 2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert out == b"interrupted 0\n"
        assert time.monotonic() - started < 5
        assert [pid for pid in map(int, note.read_text().split()) if is_alive(pid)] == []

    @pytest.mark.parametrize("way", ["pull", "push"])
    def test_ctrl_c_in_a_rapid_stream_leaves_a_connection_that_works(self, sshd: Any, tmp_path: Path, way: str) -> None:
        note = tmp_path / "pids"
        use = {
            "pull": "host.pull(script('echo $$ >>\"$1\"; exec cat /dev/zero', note, effect=Effect.READ), len)",
            "push": "host.push(script('echo $$ >>\"$1\"; exec cat >/dev/null', note, effect=Effect.READ), endless)",
        }
        # The signal comes from a child at a moment that nobody chose.
        body = f"""
            import os, subprocess
            note, endless = {str(note)!r}, iter(lambda: b"x" * 65536, b"")
            for number in range(8):
                later = subprocess.Popen(["sh", "-c", "sleep 0.2; kill -INT " + str(os.getpid())])
                try:
                    {use[way]}
                except KeyboardInterrupt:
                    host.run(Command(argv=("true",), effect=Effect.READ))
                later.wait()
            print("works")
        """
        process = start_program(sshd, body, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=60)
        assert out == b"works\n"
        pids = [int(word) for word in note.read_text().split()]
        assert len(pids) == 8
        assert [pid for pid in pids if is_alive(pid)] == []

    def test_a_program_that_ignores_term_is_killed(self, sshd: Any, tmp_path: Path) -> None:
        note = tmp_path / "pid"
        command = (
            f"""script('trap "" TERM; echo $$ >"$1"; while :; do sleep 1; done', {str(note)!r}, effect=Effect.READ)"""
        )
        process = start_program(sshd, f"host.run({command})", stderr=subprocess.PIPE)
        wait_until(lambda: note.exists() and note.read_text().strip())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert b"KeyboardInterrupt" in err
        assert not is_alive(int(note.read_text()))


def test_the_caller_s_standard_input_is_left_alone(sshd: Any) -> None:
    body = """
        names = []
        for line in sys.stdin:
            host.run(Command(argv=("cat",), effect=Effect.READ))
            names.append(line.strip())
        print(",".join(names))
    """
    process = start_program(sshd, body, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.communicate(b"one\ntwo\nthree\n", timeout=20)
    assert out == b"one,two,three\n"


def test_a_shell_loop_reads_every_line(sshd: Any) -> None:
    body = 'print(host.run(Command(argv=("echo", "asked"), effect=Effect.READ)).text, end="")'
    target = sshd.target()
    values = json.dumps({name: getattr(target, name) for name in target.__dataclass_fields__})
    loop = 'while read -r line; do "$1" -c "$2" "$3"; echo "$line"; done'
    words = ["sh", "-c", loop, "loop", sys.executable, PROGRAM.format(root=str(ROOT)) + body, values]
    done = subprocess.run(words, input=b"one\ntwo\n", capture_output=True, timeout=30)
    assert done.stdout == b"asked\none\nasked\ntwo\n"


def test_no_error_shows_a_secret(sshd: Any) -> None:
    body = """
        from rollback_tasks.shell import Secret
        secret = (("PGPASSWORD", Secret("hunter2-secret")),)
        host.run(script('sleep 30', effect=Effect.READ, timeout=1, secret_env=secret))
    """
    process = start_program(sshd, body, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=30)
    assert re.search(rb"CommandTimedOut", err)
    assert b"hunter2-secret" not in err
