"""Ctrl-C without damage to the connection.

Python raises KeyboardInterrupt in the main thread, between any two steps of it. In the middle of sending a packet that
would leave half of it on the wire, or a gap in the cipher's sequence: the host hangs up, and with it goes the only way
to end what runs there. So the main thread sends nothing; it waits for a thread that does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def shielded(work: Callable[[], T], *, on_interrupt: Callable[[], object] | None = None) -> T:
    """Run ``work`` where no signal can break it, and return what it returns or raise what it raises.

    :param on_interrupt: called in the main thread when an exception breaks its waiting; ``work`` goes on meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    result: list[T] = []
    failure: list[BaseException] = []
    over = threading.Event()

    def run() -> None:
        try:
            result.append(work())
        except BaseException as exc:  # noqa: BLE001 - it is raised again in the thread that waits
            failure.append(exc)
        finally:
            over.set()

    try:
        threading.Thread(target=run, name="shielded", daemon=True).start()
        # Not Thread.join(): before Python 3.13 it forgets a running thread when it is interrupted.
        over.wait()
    except BaseException:
        if on_interrupt is not None:
            on_interrupt()
        raise
    if failure:
        raise failure[0]
    return result[0]
