"""A reverse proxy that does what the usual ones do: it looks the name of the application up again and again, and asks
the next container where one does not take a request or does not answer it."""

import http.client
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOKED_UP_EVERY = 0.1  # seconds
PATIENCE = 30.0

places = []


def look_up():
    global places
    while True:
        try:
            found = socket.getaddrinfo("app", 8000, socket.AF_INET, socket.SOCK_STREAM)
            places = sorted({info[4][0] for info in found})
        except OSError:
            pass  # who was known before may still answer
        time.sleep(LOOKED_UP_EVERY)  # Docker tells nobody that a name changed: a proxy can only look again


def ask(path):
    """Return status, kind and body of the first answer; of a container that went away while it was asked, none."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        known = list(places)
        for place in random.sample(known, len(known)):
            connection = http.client.HTTPConnection(place, 8000, timeout=0.5)
            try:
                connection.connect()
                connection.sock.settimeout(PATIENCE)
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.getheader("Content-Type") or "text/plain", answer.read()
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        time.sleep(0.02)  # everybody refused: a round without a pause would take the processor from who starts
    return 502, "text/plain", b"no container answers\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, kind, body = ask(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Proxy(ThreadingHTTPServer):
    request_queue_size = 1024  # with the default of 5, a short delay already turns clients away


threading.Thread(target=look_up, daemon=True).start()
Proxy(("0.0.0.0", 8000), Handler).serve_forever()
