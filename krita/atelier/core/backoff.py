"""When to try again."""

from __future__ import annotations

from typing import Callable, Optional

FIRST, LONGEST = 1.0, 60.0  # seconds


class Backoff:
    """Doubles with each failure, with chance in its second half, so that a studio's Kritas do not come back at once."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self.failures = 0

    def failed(self, retry_after: Optional[float] = None) -> float:
        """Seconds to wait; at least what the server asked for."""
        longest = min(LONGEST, FIRST * 2 ** min(self.failures, 10))
        self.failures += 1
        return max(longest * (0.5 + 0.5 * self._chance()), min(retry_after or 0.0, 5 * LONGEST))

    def worked(self) -> None:
        """Begins anew."""
        self.failures = 0
