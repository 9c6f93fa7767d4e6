"""Outbox and uplink under any interleaving, against a centre that does just what the contract says.

The same machine runs against the real ingest in `tests/server/ingest/test_shop.py`; this one is quick, and where both
fail the fault is the box's.
"""

import copy
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.stream import Key, sums
from tests.edge.outbox.centre import Fate
from tests.edge.outbox.shop import Shop
from tests.fixtures.searching import searched
from wire import messages
from wire.messages import Ack, Batch, Record, Reply, Rewind, Tally


@dataclass
class Ledger:
    """Cursors, and what was booked and lost below them."""

    cursors: dict[str, int] = field(default_factory=dict)
    records: dict[tuple[str, int], Record] = field(default_factory=dict)
    numbers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    lost: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def sums(self) -> Counter[Key]:
        found: Counter[Key] = Counter()
        for record in self.records.values():
            for key, number in sums(record):
                found[key] += number
        return found

    @property
    def in_quarters(self) -> set[Key]:
        tallies = [each for each in self.records.values() if isinstance(each, Tally)]
        return {
            *(
                (each.line, each.direction, each.start)
                for tally in tallies
                for each in tally.crossings
                if each.span > 60
            ),
            *((each.camera, "watched", each.start) for tally in tallies for each in tally.coverage if each.span > 60),
        }


class Model:
    """A centre in memory."""

    def begin(self) -> None:
        self.ledger = Ledger()
        self.backup = Ledger()

    def take(self, payloads: Sequence[bytes], fate: Fate) -> list[Reply]:
        if fate == "not committed":
            return []
        twice = [*payloads, *payloads] if fate == "asked twice at once" else payloads
        return [self._take(messages.decode(each, Batch)) for each in twice]

    def _take(self, batch: Batch) -> Reply:
        ledger, epoch = self.ledger, batch.epoch
        cursor = ledger.cursors.get(epoch, 0)
        if batch.last_seq <= cursor:
            return Ack(epoch=epoch, seq=cursor, nonce=batch.nonce)
        if batch.oldest > cursor + 1:
            ledger.lost[epoch] |= set(range(cursor + 1, batch.oldest))
            ledger.cursors[epoch] = cursor = batch.oldest - 1
        if batch.first_seq > cursor + 1:
            return Rewind(epoch=epoch, seq=cursor + 1, nonce=batch.nonce)
        for record in batch.records:
            if record.seq > cursor:
                first = messages.first_seq(record)
                assert first > cursor, "a tally reaches below what was sent before"
                ledger.records[epoch, record.seq] = record
                ledger.numbers[epoch].update(range(first, record.seq + 1))
        ledger.cursors[epoch] = batch.last_seq
        return Ack(epoch=epoch, seq=batch.last_seq, nonce=batch.nonce)

    def back_up(self) -> None:
        self.backup = copy.deepcopy(self.ledger)

    def restore(self) -> None:
        self.ledger = copy.deepcopy(self.backup)

    def move(self, store: str) -> None:
        """Nothing of the contract's."""

    def books(self) -> Ledger:
        return self.ledger


class Modelled(Shop):
    """Against the model."""

    centre = Model()


Modelled.TestCase.settings = searched(40, 40)
TestShop = Modelled.TestCase
