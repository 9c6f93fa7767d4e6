"""One batch read from the disk: what may go out together.

A batch is of one epoch and without a hole, ends before a record that has no date yet, and stays well under the size a
server takes. A record that the disk can't give back any more must not hold up all that follow it.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.outbox.dating import stands_for
from edge.outbox.store import EpochRow, RecordRow, Store
from wire import messages
from wire.messages import Crossing, Record, Tally, WireError

log = logging.getLogger(__name__)

#: A batch's records together stay below this (bytes); a single larger one goes alone.
MAX_BATCH_BYTES: Final = 1024 * 1024
_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Held:
    """Records of one epoch to send now, in order, without a hole.

    Attributes:
        oldest: the lowest number of this epoch still held.
    """

    epoch: str
    oldest: int
    records: tuple[Record, ...]


def read_batch(store: Store, epoch: EpochRow, max_records: int) -> tuple[Held | None, int]:
    """What follows the acknowledged part of an epoch, and how many records could not be read (they are lost).

    Raises:
        sqlite3.Error: from the disk.
    """
    records: list[Record] = []
    size = lost = 0
    for row in store.records(epoch.ordinal, epoch.acked, max_records):
        size += len(row.body)
        hole = bool(records) and row.from_seq != records[-1].seq + 1
        if row.uptime is not None or hole or (records and size > MAX_BATCH_BYTES):
            break
        try:
            record = messages.decode_record(row.body)
        except WireError as error:
            log.error("outbox: record %d of epoch %s can't be read: %s", row.seq, epoch.epoch, error)  # noqa: TRY400
            record = put_nothing(store, epoch, row.from_seq, row.seq)
            lost += stands_for(record)
        records.append(record)
    if not records:
        return None, lost
    oldest = store.oldest(epoch.ordinal)
    return Held(epoch.epoch, messages.first_seq(records[0]) if oldest is None else oldest, tuple(records)), lost


def crossings_held(store: Store, epoch: int) -> Iterator[Crossing]:
    """All crossings on disk of one epoch, in order; what can't be read, and what is summed up, is left out.

    Raises:
        sqlite3.Error: from the disk.
    """
    after = 0
    while rows := store.records(epoch, after, _PAGE):
        after = rows[-1].seq
        for row in rows:
            try:
                record = messages.decode_record(row.body)
            except WireError:  # said when it is to be sent
                continue
            if isinstance(record, Crossing):
                yield record


def put_nothing(store: Store, epoch: EpochRow, first: int, last: int) -> Tally:
    """A tally of nothing for numbers whose records the disk has no more, counted as lost.

    Without it the batch would have a hole; and the server, told that we no longer hold them, would count them as lost
    a second time.

    Raises:
        sqlite3.Error: from the disk.
    """
    tally = Tally(from_seq=first, seq=last)
    with store.transaction():
        store.replace_range(epoch.ordinal, RecordRow(last, first, 900, None, messages.encode(tally)))
        store.set_meta("lost", (store.meta("lost") or 0) + stands_for(tally))
    return tally
