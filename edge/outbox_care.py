"""What the outbox's file needs now and then: room, an end to what was kept long enough, dates for what waited.

The quota is kept without dropping a count. First what the server already has goes (it was kept only as
insurance), then the oldest records never sent are folded into minutes, then minutes into quarter hours. Nothing at or
below `sent_through` is touched: the server may have it, and a number must never stand for two contents.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from edge.dating import bounded, dated, from_micros, micros, stands_for
from edge.folding import Span, can_fold, fold
from edge.outbox_store import EpochRow, RecordRow, Store
from wire import messages
from wire.messages import Record, Tally

log = logging.getLogger(__name__)

#: Records folded into one tally, and sums in it, at most: it must fit into a batch with room to spare.
_FOLD_RECORDS: Final = 2000
_FOLD_BYTES: Final = 512 * 1024
#: Steps in one go; the rest waits for the next, so that no commit is held up for long.
_STEPS: Final = 20


def make_room(store: Store, epochs: Sequence[EpochRow], quota_bytes: int) -> bool:
    """Free space until the quota is kept. False when nothing is left that could give any.

    Args:
        epochs: all of them, oldest first.

    Raises:
        sqlite3.Error: from the disk.
    """
    for _ in range(_STEPS):
        if store.bytes_used() <= quota_bytes:
            return True
        if not (drop_oldest_acked(store) or _fold_oldest(store, epochs, 60) or _fold_oldest(store, epochs, 900)):
            return False
    return True


def drop_oldest_acked(store: Store) -> bool:
    """Give up the insurance for the batch that was acknowledged first; False when there is none."""
    oldest = store.oldest_ack()
    if oldest is None:
        return False
    epoch, seq, _ = oldest
    with store.transaction():
        store.purge(epoch, seq)
    return True


def purge(store: Store, cutoff_us: int, live: int) -> None:
    """Forget what was acknowledged before `cutoff_us` (microseconds UTC), and epochs that are done; never `live`.

    Raises:
        sqlite3.Error: from the disk.
    """
    while (oldest := store.oldest_ack()) is not None and oldest[2] <= cutoff_us:
        drop_oldest_acked(store)
    with store.transaction():
        store.drop_empty_epochs(live)


def date_waiting(store: Store, boot: int, zero: datetime) -> None:
    """Date what waited for the clock: this boot's records exactly, those of boots that never knew it by bounds.

    Args:
        boot: ordinal of the boot the clock is trusted in now.
        zero: UTC at its uptime zero.

    Raises:
        sqlite3.Error: from the disk.
    """
    with store.transaction():
        store.date_boot(boot, micros(zero))
        boots = store.boots()
        for place, each in enumerate(boots):
            waiting = store.undated(each.ordinal)
            ceiling = next((later.zero_us for later in boots[place + 1 :] if later.zero_us is not None), None)
            last = max((row.uptime or 0.0 for _, row in waiting), default=0.0)
            for epoch, row in waiting:
                record, uptime = messages.decode_record(row.body), row.uptime or 0.0
                if each.zero_us is not None:
                    record = dated(record, from_micros(each.zero_us), uptime)
                else:
                    floor = None if each.floor_us is None else from_micros(each.floor_us)
                    record = bounded(record, floor, from_micros(ceiling or micros(zero)), uptime, last)
                store.set_body(epoch, row.seq, messages.encode(record))


def _fold_oldest(store: Store, epochs: Sequence[EpochRow], span: Span) -> bool:
    for epoch in epochs:
        run = _foldable(store, epoch, span)
        if len(run) < 2:
            continue
        tally = fold(run, span)
        with store.transaction():
            store.replace_range(epoch.ordinal, RecordRow(tally.seq, tally.from_seq, span, None, messages.encode(tally)))
        log.warning(
            "outbox: over its quota; %d records folded into sums by %s",
            stands_for(tally),
            "minute" if span == 60 else "quarter hour",
        )
        return True
    return False


def _foldable(store: Store, epoch: EpochRow, span: Span) -> list[Record]:
    """The oldest stretch of at least two records never sent and finer than `span`; empty when there is none."""
    after = max(epoch.sent_through, epoch.acked)
    run: list[Record] = []
    size = 0
    while rows := store.records(epoch.ordinal, after, _FOLD_RECORDS, finer_than=span):
        for row in rows:
            record = None if row.uptime is not None else messages.decode_record(row.body)
            follows = not run or row.from_seq == run[-1].seq + 1
            full = len(run) >= _FOLD_RECORDS or size + _weight(record, row) > _FOLD_BYTES
            if len(run) >= 2 and (record is None or not follows or full or not can_fold(record)):
                return run
            if record is None or not follows or full or not can_fold(record):
                run, size = [], 0
            if record is not None and can_fold(record):
                run.append(record)
                size += _weight(record, row)
        after = rows[-1].seq
    return run


def _weight(record: Record | None, row: RecordRow) -> int:
    """What a record can add to a tally: its own sums, or, for one of its own, less than a sum."""
    return len(row.body) if isinstance(record, Tally) else 0
