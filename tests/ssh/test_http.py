"""A health check as the host itself would make it."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_DATA, cMSG_CHANNEL_EOF

from rollback_tasks.ports import Host, HttpAnswer
from rollback_tasks.transport import http as our_http


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/health":
                self.answer(200, b'{"status": "ok"}')
            case "/sick":
                self.answer(503, "überlastet".encode())
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "/health")
                self.end_headers()
            case "/elsewhere":
                self.send_response(301)
                self.send_header("Location", "https://example.com/health")
                self.end_headers()
            case "/round":
                self.send_response(307)
                self.send_header("Location", "round")
                self.end_headers()
            case "/slow":
                time.sleep(3)
            case "/drip":
                for _ in range(60):
                    self.wfile.write(b"H")
                    time.sleep(0.05)
            case "/large":
                self.answer(200, b"x" * 3_000_000)
            case "/short":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"too little")
            case "/noise":
                self.wfile.write(b"this is no HTTP\r\n\r\n")
            case path:
                self.answer(404, path.encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some cases are about."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_an_answer_comes_with_status_and_body(host: Host, port: int) -> None:
    assert host.http_get(f"http://127.0.0.1:{port}/health", timeout=5) == HttpAnswer(200, b'{"status": "ok"}')
    assert host.http_get(f"http://localhost:{port}/health", timeout=5).is_ok


def test_a_failure_of_the_application_is_an_answer(host: Host, port: int) -> None:
    answer = host.http_get(f"http://127.0.0.1:{port}/sick", timeout=5)
    assert (answer.status, answer.is_ok) == (503, False)
    assert answer.body.decode() == "überlastet"


def test_path_and_query_arrive(host: Host, port: int) -> None:
    assert host.http_get(f"http://127.0.0.1:{port}/a/b?c=%20d", timeout=5).body == b"/a/b?c=%20d"


def test_a_redirect_is_followed_within_the_same_server_only(host: Host, port: int) -> None:
    here = f"http://127.0.0.1:{port}"
    assert host.http_get(f"{here}/moved", timeout=5) == HttpAnswer(200, b'{"status": "ok"}')
    elsewhere = host.http_get(f"{here}/elsewhere", timeout=5)
    assert (elsewhere.status, elsewhere.problem) == (301, "it leads to https://example.com/health")
    assert host.http_get(f"{here}/round", timeout=5).status == 307


def test_only_the_first_mebibyte_of_a_body_is_kept(host: Host, port: int) -> None:
    assert host.http_get(f"http://127.0.0.1:{port}/large", timeout=5).body == b"x" * our_http.BODY_LIMIT_BYTES


@pytest.mark.parametrize("path", ["slow", "drip"])
def test_an_answer_that_takes_too_long_is_cut(host: Host, port: int, path: str) -> None:
    started = time.monotonic()
    answer = host.http_get(f"http://127.0.0.1:{port}/{path}", timeout=0.5)
    assert time.monotonic() - started < 2
    assert (answer.status, answer.problem) == (0, "no whole answer within 0.5 seconds")


@pytest.mark.parametrize("path", ["short", "noise"])
def test_half_an_answer_is_none(host: Host, port: int, path: str) -> None:
    answer = host.http_get(f"http://127.0.0.1:{port}/{path}", timeout=5)
    assert answer.status == 0
    assert answer.problem


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{dead}/",
        "ftp://127.0.0.1/",
        "http://",
        "http://127.0.0.1:port/",
        "http://127.0.0.1:{port}/a b",
        "http://no-such-host.invalid/",
    ],
)
def test_what_cannot_be_asked_has_status_0_and_a_problem(host: Host, port: int, url: str) -> None:
    answer = host.http_get(url.format(port=port, dead=1), timeout=5)
    assert answer.status == 0
    assert answer.problem


def test_a_certificate_of_the_host_s_own_loopback_is_not_checked(host: Host, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"), "-subj", "/CN=elsewhere"],
        check=True,
        capture_output=True,
    )
    with Server(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        local = host.http_get(f"https://127.0.0.1:{server.server_address[1]}/health", timeout=5)
        other = host.http_get(f"https://127.0.0.2:{server.server_address[1]}/health", timeout=5)
        server.shutdown()
        thread.join()
    assert local.status == 200
    assert other.status == 0


class TestForwardingForbidden:
    """The host's own curl or wget asks then."""

    @pytest.fixture
    def server(self, new_sshd: Callable[..., Any]) -> Any:
        return new_sshd(options="AllowTcpForwarding no")

    @pytest.fixture(params=["curl", "wget"])
    def bound(self, server: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
        """A host that has one of the programs only."""
        folder = server.folder / request.param
        folder.mkdir(exist_ok=True)
        for name in ("sh", "timeout", "sed", "tail", request.param):
            path = subprocess.run(["sh", "-c", 'command -v "$1"', "x", name], capture_output=True, text=True).stdout
            if not path:
                pytest.skip(f"{name} is not installed")
            if not (folder / name).exists():
                (folder / name).symlink_to(path.strip())
        (server.home / ".bashrc").write_text(f"PATH={folder}\n")
        host = server.connect()
        yield host
        host.close()
        (server.home / ".bashrc").unlink()

    @pytest.mark.parametrize(
        ("path", "status"), [("health", 200), ("sick", 503), ("moved", 200), ("elsewhere", 301), ("nowhere", 404)]
    )
    def test_the_status_is_the_same(self, bound: Any, port: int, path: str, status: int) -> None:
        assert bound.http_get(f"http://127.0.0.1:{port}/{path}", timeout=5).status == status

    def test_nobody_there_is_status_0(self, bound: Any) -> None:
        answer = bound.http_get("http://127.0.0.1:1/", timeout=5)
        assert answer.status == 0
        assert answer.problem

    def test_a_slow_answer_is_status_0(self, bound: Any, port: int) -> None:
        started = time.monotonic()
        assert bound.http_get(f"http://127.0.0.1:{port}/slow", timeout=1).status == 0
        assert time.monotonic() - started < 5

    def test_a_host_with_neither_says_so(self, server: Any, port: int) -> None:
        folder = server.folder / "neither"
        folder.mkdir()
        (folder / "sh").symlink_to("/bin/sh")
        (server.home / ".bashrc").write_text(f"PATH={folder}\n")
        host = server.connect()
        answer = host.http_get(f"http://127.0.0.1:{port}/health", timeout=5)
        host.close()
        (server.home / ".bashrc").unlink()
        assert answer == HttpAnswer(0, problem="sshd forwards nothing, and the host has neither curl nor wget")


def test_asking_leaves_no_channels_and_no_files(ssh_host: Any, port: int, new_sshd: Callable[..., Any]) -> None:
    for _ in range(40):  # MaxSessions and file limits would be met
        assert ssh_host.http_get(f"http://127.0.0.1:{port}/health", timeout=5).is_ok
    until = time.monotonic() + 5
    while len(ssh_host._transport._channels) > 0:
        assert time.monotonic() < until, "channels are still open"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "kind", [cMSG_CHANNEL_DATA, cMSG_CHANNEL_EOF, cMSG_CHANNEL_CLOSE], ids=["data", "eof", "close"]
)
def test_what_comes_late_for_a_closed_channel_does_not_cost_the_connection(
    ssh_host: Any, port: int, kind: bytes
) -> None:
    transport = ssh_host._transport
    channel = transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0), timeout=5)
    late = paramiko.Message()
    late.add_byte(kind)
    late.add_int(channel.remote_chanid)
    if kind == cMSG_CHANNEL_DATA:
        late.add_string(b"GET")
    channel.close()
    transport._send_user_message(late)
    assert transport.ping(5)
    # The other end gives the number to the next channel, which works in full.
    assert ssh_host.http_get(f"http://127.0.0.1:{port}/health", timeout=5).is_ok
