"""How long to wait before the next attempt: a thousand boxes whose server came back must not call in one second."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: anything from nothing to a limit that doubles (seconds).

    Attributes:
        base_s: the limit after the first failure.
        cap_s: what the limit never exceeds.
        draw: gives a number from 0 to 1.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    draw: Callable[[], float] = random.random

    def delay(self, attempt: int) -> float:
        """How long to wait before attempt `attempt` (from 0)."""
        return self.draw() * min(self.cap_s, self.base_s * 2.0 ** min(attempt, 20))
