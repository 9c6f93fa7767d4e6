"""From the disk to the uplink: what goes out next, and what an answer of the server changes.

A record whose content changed after it was sent would be counted as two: `sent_through` is on disk before a batch is
handed out. What the server has stays acknowledged even if this disk can't note it: noting it later costs nothing.
"""

import logging
from dataclasses import replace

from edge.outbox.batch import Held, read_batch
from edge.outbox.epochs import Epoch
from edge.outbox.file import OutboxFile
from edge.outbox.store import Store

log = logging.getLogger(__name__)


def hand_out(file: OutboxFile, store: Store, epoch: Epoch, max_batch: int) -> Held | None:
    """What follows the acknowledged part of an epoch, noted as sent; None when there is nothing, or nothing dated.

    Raises:
        sqlite3.Error: from the disk; nothing may be sent then.
    """
    held, unreadable = read_batch(store, epoch.row, max_batch)
    file.lost += unreadable
    if held is None:
        if not store.records(epoch.row.ordinal, epoch.row.acked, 1) and (lost := epoch.give_up()):
            file.lost += lost
            log.error("outbox: %d records of epoch %s are gone from the disk", lost, epoch.row.epoch)
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


def save_acknowledged(file: OutboxFile, store: Store, epoch: Epoch) -> None:
    """Note how far an epoch is acknowledged, and when.

    Raises:
        sqlite3.Error: from the disk; a later commit has the row.
    """
    with store.transaction():
        store.save_epoch(epoch.row)
        store.add_ack(epoch.row.ordinal, epoch.row.acked, file.now_us())
    epoch.unsaved = False


def save_rewound(store: Store, epoch: Epoch, seq: int) -> None:
    """Note that the server no longer has an epoch from `seq`.

    Raises:
        sqlite3.Error: from the disk; a later commit has the row.
    """
    with store.transaction():
        store.save_epoch(epoch.row)
        store.forget_acks(epoch.row.ordinal, seq)
    epoch.unsaved = False
