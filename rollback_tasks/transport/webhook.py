"""Tell somebody's web address how a run ended."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from rollback_tasks.shell import Secret

_SECONDS = 5.0


def post(address: Secret, document: Mapping[str, Any]) -> str:
    """POST ``document`` as JSON; return why that failed, empty where it did not. The address is never in the answer."""
    try:
        request = urllib.request.Request(
            address.reveal(),
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "rollback-tasks"},
        )
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return ""
    except URLError as error:
        return type(error.reason).__name__ if isinstance(error.reason, Exception) else str(error.reason)[:100]
    except (OSError, ValueError) as error:
        return type(error).__name__
