"""The two lanes of batches under way: what is in flight, and when a lane may send again.

A lane is held up by three things that must not be mixed up: silence (send the same again, ever more rarely), a rewind
that brings nothing (or asking again and again would melt the link), and a refusal. A batch that the server can't write
is refused for ever, whatever comes with it; so an old epoch that is refused rests by itself, and the others go on.
"""

from dataclasses import dataclass, field

from edge.backoff import Backoff
from edge.outbox import Lane


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch the server has not answered; `resend_at` is monotonic, `tokens` are of its sendings."""

    epoch: str
    first_seq: int
    last_seq: int
    count: int
    resend_at: float
    tokens: frozenset[int]


@dataclass(slots=True)
class LaneState:
    """One lane: at most one batch in flight, and how often the server has not moved."""

    name: Lane
    flight: Flight | None = None
    silences: int = 0
    rewinds: int = 0
    refusals: int = 0
    not_before: float = 0.0

    def answered(self) -> None:
        """The server has what was in flight."""
        self.flight = None
        self.silences = self.rewinds = self.refusals = 0
        self.not_before = 0.0


@dataclass(slots=True)
class Refused:
    """Old epochs of which the server would not take a batch, each with how often and why."""

    backoff: Backoff
    _epochs: dict[str, tuple[int, str]] = field(default_factory=dict)

    def again(self, epoch: str, text: str) -> float:
        """It was refused once more; how long it is to rest (seconds)."""
        times, _ = self._epochs.get(epoch, (0, ""))
        self._epochs[epoch] = (times + 1, text)
        return self.backoff.delay(times)

    def taken(self, epoch: str) -> None:
        """The server took something of it."""
        self._epochs.pop(epoch, None)

    @property
    def problem(self) -> str:
        """For a person; empty when there are none."""
        texts = sorted({text for _, text in self._epochs.values()})
        if not texts:
            return ""
        return f"{len(self._epochs)} earlier run(s) of this box wait, all else goes on: {'; '.join(texts)}"
