"""A client in a process of its own: asks a URL every 10 ms until its standard input ends, then says how that went.

Eight questions may be under way at a time. Slow is not failed: an answer has half a minute.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

AT_ONCE = 8
EVERY = 0.01  # seconds, all together
PATIENCE = 30.0


def ask(host: str, port: int, path: str) -> str:
    """Return what is wrong with the answer; empty where it is good."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return "" if answer.status == 200 else f"{answer.status} {body[:80]!r}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__} {error}"
    finally:
        connection.close()


def main() -> None:
    """Ask."""
    url = urlsplit(sys.argv[1])
    is_over = threading.Event()
    asked: list[tuple[float, float, str]] = []

    def work(number: int) -> None:
        due = time.monotonic() + number * EVERY
        while not is_over.wait(max(0.0, due - time.monotonic())):
            began = time.time(), time.monotonic()
            problem = ask(url.hostname or "", url.port or 80, url.path)
            asked.append((began[0], time.monotonic() - began[1], problem))
            due = max(due + AT_ONCE * EVERY, time.monotonic())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(AT_ONCE)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    said = {
        "asked": len(asked),
        "seconds": time.monotonic() - began,
        "failed": [(at, took, problem) for at, took, problem in asked if problem],
        "slowest": max(took for _, took, _ in asked),
    }
    sys.stdout.write(json.dumps(said) + "\n")


main()
