"""One GET over a connection that somebody else opens: from this machine, or from a host through SSH."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from rollback_tasks.ports import HttpAnswer

BODY_LIMIT_BYTES = 1024 * 1024
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

MOST_REDIRECTS = 5

Dial = Callable[[str, int, float], socket.socket]


class NoAnswer(Exception):
    """Nothing answers at an address; the text says why. Never leaves ``transport``."""


def follow(url: str, ask: Callable[[str], HttpAnswer]) -> HttpAnswer:
    """Ask ``url``, and where it leads to: frameworks send `/health` to `/health/`.

    A redirect to another server, port or scheme is the answer: what is healthy there says nothing of this application.
    """
    answer = ask(url)
    for _ in range(MOST_REDIRECTS):
        if not (300 <= answer.status < 400 and answer.location):
            break
        there = urljoin(url, answer.location)
        if _server(there) != _server(url):
            return HttpAnswer(answer.status, answer.body, f"it leads to {there}", answer.location)
        url = there
        answer = ask(url)
    return answer


def _server(url: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None


def get(url: str, *, timeout: float, dial: Dial) -> HttpAnswer:
    """Ask ``url`` once; redirects are not followed.

    The certificate of an https server is checked, except on the host's own loopback, where no name fits it.

    :param timeout: seconds for the whole exchange.
    :param dial: given address, port and seconds, opens a connection or raises ``NoAnswer`` or ``OSError``.
    :returns: at most 1 MiB of the body; status 0 and a problem where no whole answer came.
    """
    try:
        parts = urlsplit(url)
        address, port = parts.hostname, parts.port
    except ValueError as exc:
        return HttpAnswer(0, problem=f"not a URL: {exc}")
    if parts.scheme not in ("http", "https") or not address:
        return HttpAnswer(0, problem="not an http or https URL")
    try:
        sock = dial(address, port or (443 if parts.scheme == "https" else 80), timeout)
    except (NoAnswer, OSError) as exc:
        return HttpAnswer(0, problem=str(exc) or "no connection")
    # A server that drips single bytes never runs into a socket's own time limit.
    expired = threading.Event()
    alarm = threading.Timer(timeout, _cut, args=(sock, expired))
    alarm.daemon = True
    alarm.start()
    try:
        if parts.scheme == "https":
            sock = _tls(address).wrap_socket(sock, server_hostname=address)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _exchange(sock, address, port, target)
    except (OSError, http.client.HTTPException, UnicodeError) as exc:
        # The socket's own limit is the same, and may be met first.
        if expired.is_set() or isinstance(exc, TimeoutError):
            return HttpAnswer(0, problem=f"no whole answer within {timeout:g} seconds")
        return HttpAnswer(0, problem=f"{type(exc).__name__}: {exc}".strip())
    finally:
        alarm.cancel()
        sock.close()


def _exchange(sock: socket.socket, address: str, port: int | None, target: str) -> HttpAnswer:
    connection = http.client.HTTPConnection(address, port)
    connection.sock = sock
    connection.request("GET", target, headers={"User-Agent": "rollback-tasks", "Connection": "close"})
    with connection.getresponse() as response:
        body = response.read(BODY_LIMIT_BYTES)
        # read() with a limit keeps quiet about an early end.
        if response.length and len(body) < BODY_LIMIT_BYTES:
            raise http.client.IncompleteRead(body, response.length)
        return HttpAnswer(response.status, body, location=response.getheader("Location") or "")


def _tls(address: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if address in LOOPBACK_NAMES:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _cut(sock: socket.socket, expired: threading.Event) -> None:
    expired.set()
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already closed: the exchange ended at this very moment
