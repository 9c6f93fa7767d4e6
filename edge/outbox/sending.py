"""From the disk to the uplink: what goes out next, and what a server that lost something changes.

A record whose content changed after it was sent would be counted as two: `sent_through` is on disk before a batch is
handed out. It may say more than was sent, never less.
"""

import logging
from dataclasses import replace

from edge.outbox.batch import Held, put_nothing, read_batch
from edge.outbox.dating import stands_for
from edge.outbox.epochs import Epoch
from edge.outbox.file import OutboxFile
from edge.outbox.store import Store

log = logging.getLogger(__name__)


def hand_out(file: OutboxFile, store: Store, epoch: Epoch, max_batch: int) -> Held | None:
    """What follows the acknowledged part of an epoch, noted as sent; None when there is nothing, or nothing dated.

    What is owed and held no more, since the server asks again for what had its days, is stated as lost in its place.

    Raises:
        sqlite3.Error: from the disk; nothing may be sent then.
    """
    held, unreadable = read_batch(store, epoch.row, max_batch)
    file.note_lost(unreadable)
    if held is None and not store.records(epoch.row.ordinal, epoch.row.acked, 1):
        if epoch.end_probe():
            return None
        nothing = put_nothing(store, epoch.row, epoch.row.acked + 1, epoch.row.last_seq)
        file.note_lost(stands_for(nothing))
        log.error("outbox: %d records of epoch %s are gone from the disk", stands_for(nothing), epoch.row.epoch)
        held, _ = read_batch(store, epoch.row, max_batch)
    if held is None:
        return None
    last = held.records[-1].seq
    if last > epoch.row.sent_through:
        with store.transaction():
            store.save_epoch(replace(epoch.row, sent_through=last))
        epoch.row.sent_through = last
    epoch.frontier = max(epoch.frontier, last)
    if last == epoch.row.last_seq:
        epoch.since = None
    return held


def save_rewound(store: Store, epoch: Epoch, seq: int) -> None:
    """Note that the server no longer has an epoch from `seq`.

    Raises:
        sqlite3.Error: from the disk; a later commit has the row.
    """
    with store.transaction():
        store.save_epoch(epoch.row)
        store.forget_acks(epoch.row.ordinal, seq)
    epoch.unsaved = False
