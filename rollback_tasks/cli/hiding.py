"""The secrets that this process has met: nothing that it says may show them."""

from __future__ import annotations

from rollback_tasks.reporting.masking import Masker

masker = Masker()
