"""What every Host does with a command, on this machine and over SSH."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_tasks.errors import CommandFailed, CommandTimedOut, StepFailed
from rollback_tasks.ports import Host
from rollback_tasks.shell import Command, Effect, Secret, script

READ = Effect.READ


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pid: int, *, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not is_alive(pid)


def test_both_streams_and_the_exit_code_come_back(host: Host) -> None:
    done = host.run(script("echo out; echo err >&2; exit 3", effect=READ, ok_codes=frozenset({3})))
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert 0 < done.seconds < 10


WORDS = [
    "plain",
    "",
    " ",
    "-n",
    "--",
    "$(id)",
    "`id`",
    "$HOME",
    "'",
    '"',
    "\\",
    "a'b\"c",
    "line\nbreak",
    "tab\there",
    "*",
    "~",
    "!!",
    "a;b&c|d>e",
    "%s%n",
    "Ошибка €",
    "\x07",
    "#",
]


def test_words_arrive_as_they_were_given(host: Host) -> None:
    done = host.run(script('for word; do printf "%s\\0" "$word"; done', *WORDS, effect=READ))
    assert done.stdout.decode().split("\0")[:-1] == WORDS


def test_variables_and_folder_arrive_as_they_were_given(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "a $(b) 'c'"
    folder.mkdir()
    done = host.run(
        Command(
            argv=("sh", "-c", 'printf "%s|%s" "$X" "$PWD"'), effect=READ, cwd=str(folder), env=(("X", "$(id) 'q'"),)
        )
    )
    assert done.stdout.decode() == f"$(id) 'q'|{folder}"


def test_a_folder_that_does_not_exist_is_a_failure(host: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.run(Command(argv=("true",), effect=READ, cwd="/does/not/exist"))
    assert caught.value.exit_code_seen == 125


def test_text_that_is_not_ascii_stays_whole(host: Host) -> None:
    text = "€ß→日本" * 20_000
    done = host.run(Command(argv=("cat",), effect=READ, stdin=text.encode()))
    assert done.text == text


def test_bytes_stay_as_they_are(host: Host) -> None:
    data = bytes(range(256)) * 4096
    assert host.run(Command(argv=("cat",), effect=READ, stdin=data)).stdout == data


def test_a_large_input_that_nobody_reads_does_no_harm(host: Host) -> None:
    done = host.run(Command(argv=("echo", "done"), effect=READ, stdin=b"x" * 9_000_000))
    assert done.stdout == b"done\n"


def test_a_program_without_input_sees_its_end_at_once(host: Host) -> None:
    assert host.run(Command(argv=("cat",), effect=READ, timeout=5)).stdout == b""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("exit 1", 1),
        ("exit 124", 124),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("nosuch", 127),
    ],
)
def test_exit_codes_are_those_that_a_shell_would_give(host: Host, body: str, code: int) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.run(script(body, effect=READ))
    assert (caught.value.exit_code_seen, caught.value.host) == (code, "prod1")


def test_a_failure_shows_what_the_program_said_last(host: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.run(script("echo 'FATAL: déjà vu' >&2; exit 2", effect=READ))
    assert caught.value.stderr == "FATAL: déjà vu\n"
    assert "rollback-" not in str(caught.value)


def test_only_the_end_of_much_stderr_is_kept_and_nothing_blocks(host: Host) -> None:
    body = 'head -c 5000000 /dev/zero | tr "\\0" e >&2; echo end >&2; echo out'
    done = host.run(script(body, effect=READ))
    assert done.stdout == b"out\n"
    assert done.stderr == b"e" * (64 * 1024 - 4) + b"end\n"


def test_output_and_five_megabytes_of_stderr_flow_side_by_side(host: Host) -> None:
    body = "head -c 5000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait"
    assert len(host.run(script(body, effect=READ)).stdout) == 5_000_000


def test_output_beyond_the_limit_is_a_clear_error_and_ends_the_program(host: Host, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(StepFailed, match="more than 64 MiB"):
        host.run(script('echo $$ >"$1"; exec cat /dev/zero', str(note), effect=READ))
    assert wait_gone(int(note.read_text()))


def test_the_time_limit_ends_everything_that_was_started(host: Host, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    body = 'sleep 60 & echo $! >>"$1"; sh -c \'echo $$ >>"$1"; sleep 60\' x "$1" & echo $$ >>"$1"; wait'
    started = time.monotonic()
    with pytest.raises(CommandTimedOut, match="time limit of 1 seconds"):
        host.run(script(body, str(note), effect=READ, timeout=1))
    assert time.monotonic() - started < 6
    assert [pid for pid in map(int, note.read_text().split()) if not wait_gone(pid)] == []


def test_the_time_limit_ends_a_program_that_leads_a_group_of_its_own(host: Host, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(CommandTimedOut):
        host.run(
            script('exec timeout 60 sh -c \'echo $$ >"$1"; exec sleep 60\' x "$1"', str(note), effect=READ, timeout=1)
        )
    assert wait_gone(int(note.read_text()))


def test_a_program_that_runs_while_its_output_is_closed_is_waited_for(host: Host) -> None:
    assert host.run(script("exec >&- 2>&-; sleep 0.3; exit 7", effect=READ, ok_codes=frozenset({7}))).exit_code == 7


def test_secrets_reach_the_program_in_front_of_its_input(host: Host) -> None:
    command = script(
        'printf "%s|%s|" "$ONE" "$TWO"; sha256sum',
        effect=READ,
        secret_env=(("ONE", Secret("p'ss $(w) ö")), ("TWO", Secret(""))),
        stdin=b"\x00binary\xff\n" * 300_000,
    )
    digest = hashlib.sha256(b"\x00binary\xff\n" * 300_000).hexdigest()
    assert host.run(command).text == f"p'ss $(w) ö||{digest}  -\n"


def test_a_secret_for_standard_input_comes_before_the_rest(host: Host) -> None:
    command = Command(argv=("cat",), effect=READ, secret_stdin=Secret("first"), stdin=b"second")
    assert host.run(command).stdout == b"first\nsecond"


def test_secrets_are_in_nobody_s_process_list(host: Host) -> None:
    secret = "S3CR3T-in-nobodys-list"
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for folder in os.listdir("/proc"):
                if folder.isdigit():
                    try:
                        line = Path(f"/proc/{folder}/cmdline").read_bytes()
                    except OSError:
                        continue
                    seen.append(line)

    watcher = threading.Thread(target=watch)
    watcher.start()
    body = 'sleep 0.3; printf "%s" "$PGPASSWORD" | wc -c'
    done = host.run(script(body, effect=READ, secret_env=(("PGPASSWORD", Secret(secret)),)))
    over.set()
    watcher.join()
    assert int(done.stdout) == len(secret)
    assert any(b"PGPASSWORD" in line for line in seen), "the watcher never saw the command"
    assert not any(secret.encode() in line for line in seen)


def test_pull_hands_on_every_byte(host: Host) -> None:
    digest = hashlib.sha256()
    done = host.pull(script("head -c 20000000 /dev/zero | tr '\\0' 'x'; echo said >&2", effect=READ), digest.update)
    assert digest.hexdigest() == hashlib.sha256(b"x" * 20_000_000).hexdigest()
    assert (done.stdout, done.stderr) == (b"", b"said\n")


def test_a_sink_that_fails_ends_the_program(host: Host, tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def full(piece: bytes) -> None:
        raise StepFailed("no space left")

    with pytest.raises(StepFailed, match="no space left"):
        host.pull(script('echo $$ >"$1"; exec cat /dev/zero', str(note), effect=READ), full)
    assert wait_gone(int(note.read_text()))


def pieces(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * 100_000


def test_push_feeds_every_byte(host: Host) -> None:
    digest = hashlib.sha256(b"".join(pieces(200))).hexdigest()
    assert host.push(Command(argv=("sha256sum",), effect=READ), pieces(200)).text == f"{digest}  -\n"


def test_push_to_a_program_that_ends_early_shows_its_own_reason(host: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.push(script("head -c 1000 >/dev/null; echo 'disk full' >&2; exit 4", effect=READ), pieces(2000))
    assert (caught.value.exit_code_seen, caught.value.stderr) == (4, "disk full\n")


def test_push_with_output_on_both_streams_does_not_block(host: Host) -> None:
    done = host.push(script("tee /dev/stderr", effect=READ), pieces(100))
    assert len(done.stdout) == 10_000_000


def test_a_source_that_fails_ends_the_program_before_it_sees_an_end(host: Host, tmp_path: Path) -> None:
    note = tmp_path / "whole"

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise StepFailed("the archive is damaged")

    with pytest.raises(StepFailed, match="damaged"):
        host.push(script('cat >/dev/null; touch "$1"', str(note), effect=READ), broken())
    assert not note.exists()


def test_many_commands_leave_no_open_files_and_no_threads(host: Host) -> None:
    host.run(Command(argv=("true",), effect=READ))
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(30):
        host.run(Command(argv=("true",), effect=READ))
    assert len(os.listdir("/proc/self/fd")) <= files
    assert threading.active_count() <= threads


def test_closing_twice_does_no_harm(host: Host) -> None:
    host.close()
    host.close()


def test_a_signal_that_reaches_only_the_program_is_no_time_limit(host: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        host.run(script(f"kill -{int(signal.SIGUSR1)} $$", effect=READ))
    assert caught.value.exit_code_seen == 128 + signal.SIGUSR1


def test_a_socket_leads_to_what_the_host_sees(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, 2), daemon=True).start()
        with host.socket_to("127.0.0.1", server.getsockname()[1]) as folder:
            assert oct(os.stat(folder).st_mode & 0o777) == "0o700"
            answers = [_ask(f"{folder}/.s.PGSQL.5432", word) for word in (b"one", b"two")]
        assert answers == [b"one one", b"two two"]
    assert not Path(folder).exists()


def test_a_socket_to_nowhere_is_an_error_at_once(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(StepFailed, match=f"nothing answers at 127.0.0.1:{port}"):
        with host.socket_to("127.0.0.1", port):
            pytest.fail("the block must not run")


def test_a_socket_with_a_client_that_stays_is_closed_without_waiting(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        with host.socket_to("127.0.0.1", server.getsockname()[1]) as folder:
            client = socket.socket(socket.AF_UNIX)
            client.connect(f"{folder}/.s.PGSQL.5432")
        assert client.recv(10) == b""
        client.close()
        assert time.monotonic() - started < 2


def _answer(server: socket.socket, count: int) -> None:
    for _ in range(count):
        client, _ = server.accept()
        with client:
            word = b""
            while piece := client.recv(100):
                word += piece
            client.sendall(word + b" " + word)


def _ask(path: str, word: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(word)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(100):
            answer += piece
        return answer
