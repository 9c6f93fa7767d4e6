"""An outbox filled and emptied by hand: what its tests count into it, and what they get out."""

from edge.models import Crossing
from edge.outbox import Outbox
from edge.outbox.epochs import LANES
from tests.fixtures.edge_time import FakeClock
from wire import messages


def count(outbox: Outbox, clock: FakeClock, number: int, *, first: int = 1, pause: float = 0.0) -> None:
    """So many crossings, whose tracks are numbered from `first`, each `pause` seconds after the one before."""
    for track in range(first, first + number):
        clock.seconds += pause
        outbox.append_crossing("C1", Crossing("L1", "in", track, 0, 0.0, 0.9, track), clock.now())


def drain(outbox: Outbox) -> list[messages.Record]:
    """All there is, acknowledged; the outbox keeps nothing pending."""
    found: list[messages.Record] = []
    for lane in LANES[::-1]:
        while (held := outbox.next_batch(lane)) is not None:
            found.extend(held.records)
            outbox.acknowledge(held.epoch, held.records[-1].seq)
    return found


def tracks(records: list[messages.Record]) -> list[int]:
    """Tracks of the crossings among them."""
    return [each.track for each in records if isinstance(each, messages.Crossing)]
