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
        # The package's one sleep: whoever waits looks at a condition between two of them, and tests own the clock.
        time.sleep(max(0.0, seconds))
