"""How long to wait before the next attempt: a thousand boxes whose server came back must not call in one second."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: anything from nothing to a limit that doubles (seconds)."""

    base_s: float = 1.0
    cap_s: float = 60.0

    def delay(self, attempt: int) -> float:
        """How long to wait before attempt `attempt` (from 0)."""
        return random.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(attempt, 20)))  # noqa: S311 - no secret
