"""What the server's answers change: an ack lets records go, a rewind brings them back, a refusal makes a lane wait.

The traps: an answer from before the last rewind is believed no more; what is refused for what is in it may be refused
for ever, and must not stand before all else; and a server that refuses everything must not be given epochs without end.
"""

import logging
import time
from typing import Final

from edge.backoff import Backoff
from edge.link.lanes import LaneState, Refused
from edge.link.nonces import Nonces
from edge.outbox import LANES, Lane, Outbox
from wire.messages import Ack, Refusal, Rewind

log = logging.getLogger(__name__)

#: A batch of today refused so often, for what is in it, becomes an old epoch; each time it takes twice as many.
_PATIENCE: Final = 3
#: Refusals of one batch for what is in it; others are about the box, and hold for all it sends.
_OF_THE_BATCH: Final = frozenset({"not_writable", "wrong_envelope", "too_large"})


class Answers:
    """The lanes, and what becomes of them by what the server says. One thread's.

    Args:
        outbox: what is sent.
        max_batch: of so many records more than one batch is a backlog.
        backoff: between rewinds that bring nothing.
        refusal_backoff: after the server refused a batch.

    Attributes:
        lanes: by name.
        nonces: of what is sent, to know which ack answers what.
        problem_now: what the server has against us, or has not said; empty once it takes a batch.
    """

    def __init__(self, outbox: Outbox, *, max_batch: int, backoff: Backoff, refusal_backoff: Backoff) -> None:
        self.lanes: dict[Lane, LaneState] = {name: LaneState(name) for name in LANES}
        self.nonces = Nonces()
        self.problem_now = ""
        self._outbox = outbox
        self._max_batch = max_batch
        self._backoff = backoff
        self._refusal_backoff = refusal_backoff
        self._old_refused = Refused(refusal_backoff)
        self._patience = _PATIENCE

    @property
    def problem(self) -> str:
        """For a person; empty when there is none."""
        return "; ".join(each for each in (self.problem_now, self._old_refused.problem) if each)

    def acked(self, ack: Ack) -> bool:
        """The server has something; whether that was all of a batch in flight."""
        if not self.nonces.believes(ack):
            return False
        answered = False
        if self._outbox.acknowledge(ack.epoch, ack.seq):
            self._old_refused.taken(ack.epoch)
        for lane in self.lanes.values():
            flight = lane.flight
            if flight is None or flight.epoch != ack.epoch or ack.seq < flight.last_seq:
                continue
            log.info("uplink: server has %s lane's %d records, %d to go", lane.name, flight.count, self._outbox.pending)
            silent = lane.silences > 0
            lane.answered()
            self._patience = _PATIENCE if lane.name == "live" else self._patience
            self.problem_now = ""
            answered = True
            if silent:
                self.spare_today()
        return answered

    def rewound(self, rewind: Rewind) -> None:
        """The server wants something again."""
        lane = self._lane_of(rewind.epoch)
        if lane is not None and lane.flight is not None and lane.flight.first_seq == rewind.seq:
            return  # just that is on its way
        self._outbox.rewind(rewind.epoch, rewind.seq)
        self.nonces.rewound(rewind.epoch)
        if lane is not None:
            lane.flight = None
            # Where the server can't be content with what we hold, asking again and again must not melt the link.
            if lane.rewinds:
                lane.not_before = time.monotonic() + self._backoff.delay(lane.rewinds)
            lane.rewinds += 1

    def refused(self, refusal: Refusal) -> None:
        """The server would not take something."""
        text = f"the server refused a batch ({refusal.code}): {refusal.reason}"
        only = None if refusal.epoch is None else self._lane_of(refusal.epoch)
        if only is not None and refusal.epoch and refusal.code in _OF_THE_BATCH:
            # It may be refused for ever; what else there is must not wait behind it.
            if only.name == "backlog":
                only.flight = None
                self._outbox.rest(refusal.epoch, self._old_refused.again(refusal.epoch, text))
                log.warning("uplink: %s; its epoch rests, the others go on", text)
                return
            if only.refusals + 1 >= self._patience:
                # Where the server refuses everything, epochs without end would help nobody.
                self._patience *= 2
                self._outbox.begin_epoch()
                only.answered()
                log.warning("uplink: %s; it becomes an old epoch, and today goes on without it", text)
                return
        for lane in [only] if only is not None else list(self.lanes.values()):
            self.refuse(lane, text)

    def refuse(self, lane: LaneState, text: str) -> None:
        """Everything is kept; the lane rests, and the status says why."""
        delay = self._refusal_backoff.delay(lane.refusals)
        lane.flight = None
        lane.refusals += 1
        lane.not_before = time.monotonic() + delay
        if text != self.problem_now:
            log.warning("uplink: %s; everything is kept, trying again within %.0f s", text, max(1.0, delay))
        self.problem_now = text

    def spare_today(self) -> None:
        """A long backlog becomes an epoch of its own lane, so that it does not stand before what is counted now."""
        if self._outbox.waiting("live").count > self._max_batch:
            self._outbox.begin_epoch()
            self.lanes["live"].flight = None

    def _lane_of(self, epoch: str) -> LaneState | None:
        return next((each for each in self.lanes.values() if each.flight and each.flight.epoch == epoch), None)
