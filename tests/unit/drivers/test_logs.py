"""Lines of containers, and which of them report an error."""

from __future__ import annotations

import pytest

from rollback_tasks.drivers import logs
from rollback_tasks.drivers.logs import Line
from rollback_tasks.errors import MalformedAnswer


@pytest.mark.parametrize(
    "text",
    [
        "ERROR:    the health check failed",
        "2026-11-27 12:00:00,123 - app - CRITICAL - x",
        "Traceback (most recent call last):",
        '{"level": "error", "msg": "x"}',
        "time=x level=fatal msg=y",
        "panic: runtime error",
        "thread 'main' panicked at src/main.rs",
        "2026-11-27 12:04:45.575 UTC [97] FATAL:  sorry, too many clients already",
        "UnhandledPromiseRejection: x",
    ],
)
def test_an_error_is_known_by_its_words(text: str) -> None:
    assert Line("app", "", text).is_error


@pytest.mark.parametrize(
    "text",
    [
        'INFO:     127.0.0.1:54102 - "GET /errors HTTP/1.1" 503 Service Unavailable',
        "0 errors, 3 warnings",
        '{"level": "info", "error": null}',
        "loaded ErrorHandler",
        "LOG:  checkpoint complete",
        "",
    ],
)
def test_a_line_that_only_speaks_of_errors_is_none(text: str) -> None:
    assert not Line("app", "", text).is_error


def test_lines_of_two_streams_come_in_the_order_of_time_container_by_container() -> None:
    text = (
        "=b\n2026-11-27T12:00:02Z out\n2026-11-27T12:00:04Z out\n2026-11-27T12:00:03Z ERROR: err\r\n\n\n"
        "=a\n2026-11-27T12:00:01Z \x1b[1mfirst\n\n=silent\n\n"
    )
    assert logs.read(text) == (
        Line("b", "2026-11-27T12:00:02Z", "out"),
        Line("b", "2026-11-27T12:00:03Z", "ERROR: err"),
        Line("b", "2026-11-27T12:00:04Z", "out"),
        Line("a", "2026-11-27T12:00:01Z", "\x1b[1mfirst"),
    )
    with pytest.raises(MalformedAnswer):
        logs.read("Error: no such container\n")
