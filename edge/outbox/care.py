"""What the outbox's file needs now and then: room, an end to what was kept long enough, dates for what waited.

The quota is kept without dropping a count. First what the server already has goes (it was kept only as
insurance), then the oldest records never sent are folded into minutes, then minutes into quarter hours. Nothing at or
below `sent_through` is touched: the server may have it, and a number must never stand for two contents.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from edge.outbox.dating import bounded, dated, from_micros, micros, stands_for
from edge.outbox.folding import Span, can_fold, fold
from edge.outbox.store import EpochRow, RecordRow, Store
from wire import messages
from wire.messages import Record, Tally, WireError

log = logging.getLogger(__name__)

#: Records folded into one tally, and sums in it, at most: it must fit into a batch with room to spare.
_FOLD_RECORDS: Final = 2000
_FOLD_BYTES: Final = 512 * 1024
#: Steps in one go; the rest waits for the next, so that no commit is held up for long.
_STEPS: Final = 20


def make_room(store: Store, epochs: Sequence[EpochRow], insured: Mapping[int, int], quota_bytes: int) -> bool:
    """Free space until the quota is kept. False when nothing is left that could give any.

    Args:
        epochs: all of them, oldest first.
        insured: see `Epochs.insured`.

    Raises:
        sqlite3.Error: from the disk.
    """
    for _ in range(_STEPS):
        if store.bytes_used() <= quota_bytes:
            return True
        if not (
            drop_oldest_acked(store, insured) or _fold_oldest(store, epochs, 60) or _fold_oldest(store, epochs, 900)
        ):
            return False
    return True


def drop_oldest_acked(store: Store, insured: Mapping[int, int]) -> bool:
    """Give up the insurance for the batch that was acknowledged first; False when there is none.

    The last record of each epoch stays: should the server lose what it had, that record tells it since when there is
    any, and what is gone is stated to the number.

    Args:
        insured: see `Epochs.insured`; the disk may be behind.

    Raises:
        sqlite3.Error: from the disk.
    """
    oldest = _oldest_ack(store, insured, store.oldest_spare_ack)
    if oldest is None:
        return False
    with store.transaction():
        store.purge(oldest[0], oldest[1])
    return True


def _oldest_ack(
    store: Store, insured: Mapping[int, int], look: Callable[[], tuple[int, int, int] | None]
) -> tuple[int, int, int] | None:
    """The first acknowledgement that `look` finds and that still holds.

    A rewind that the disk could not note leaves acknowledgements behind, of just the records the server asks for.
    """
    while (oldest := look()) is not None:
        epoch, seq, _ = oldest
        if seq <= insured.get(epoch, seq):
            return oldest
        with store.transaction():
            store.forget_acks(epoch, insured[epoch] + 1)
    return None


def purge(store: Store, insured: Mapping[int, int], now_us: int, keep: timedelta, live: int) -> None:
    """Forget what was acknowledged longer ago than `keep`, and epochs that are done; never epoch `live`.

    Args:
        insured: see `Epochs.insured`; the disk may be behind.
        now_us: microseconds UTC, by a clock that can be trusted.

    Raises:
        sqlite3.Error: from the disk.
    """
    with store.transaction():
        store.date_acks(now_us)
    cutoff_us = now_us - keep // timedelta(microseconds=1)
    while (oldest := _oldest_ack(store, insured, store.oldest_ack)) is not None and oldest[2] <= cutoff_us:
        with store.transaction():
            store.purge(oldest[0], oldest[1])
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
                record, uptime = _read(row), row.uptime or 0.0
                if record is None:
                    # Its turn comes when it is to be sent: there it is counted as lost and its number kept.
                    store.set_body(epoch, row.seq, row.body)
                    continue
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
            record = None if row.uptime is not None else _read(row)
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


def _read(row: RecordRow) -> Record | None:
    """The record, or None where the disk gives back something else."""
    try:
        return messages.decode_record(row.body)
    except WireError as error:
        log.error("outbox: record %d can't be read: %s", row.seq, error)  # noqa: TRY400 - no fault of the code's
        return None


def _weight(record: Record | None, row: RecordRow) -> int:
    """What a record can add to a tally: its own sums, or, for one of its own, less than a sum."""
    return len(row.body) if isinstance(record, Tally) else 0
