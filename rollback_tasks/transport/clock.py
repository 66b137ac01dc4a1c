"""Real time, as ``ports.Clock``."""

from __future__ import annotations

import time


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """See ``ports.Clock``."""
        return time.time()

    def monotonic(self) -> float:
        """See ``ports.Clock``."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See ``ports.Clock``."""
        time.sleep(max(0.0, seconds))
