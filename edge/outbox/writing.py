"""From memory to the disk: one transaction for all that was appended, and the thread that makes it in time.

The same transaction notes what is about to be sent and what was acknowledged: each by itself would cost the memory card
a sync, and a busy door is to have one a second at most. Numbers are given here, as rows are written, so that what never
reached the disk leaves no hole. The trap is the thread: if it ended by a mistake, memory would fill with what nobody
writes, so it outlives every one of them.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edge.outbox.buffer import Buffer
from edge.outbox.dating import dated, renumbered, stands_for
from edge.outbox.file import OutboxFile
from edge.outbox.store import RecordRow, Store
from wire import messages
from wire.messages import Tally

log = logging.getLogger(__name__)

#: How often the disk is tried again while it fails, and the file is looked after while nothing happens (seconds).
RETRY_S: Final = 1.0
TEND_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sending:
    """What the uplink will do with today's lane.

    Attributes:
        by: what was appended before then (monotonic) will be handed out before another commit is due.
        most: records in one batch; of more than that, how far a batch reaches is not known before it is read.
    """

    by: float
    most: int

    def takes(self, since: float | None, owed: int) -> bool:
        """Whether all that is owed is handed out before another commit.

        Args:
            since: when the oldest not yet handed out was appended (monotonic); None when all were.
            owed: records not acknowledged.
        """
        return since is not None and since <= self.by and owed <= self.most


def write(file: OutboxFile, store: Store, buffer: Buffer, *, sending: Sending | None = None) -> int | None:
    """One transaction: all that waits gets its numbers, and what was acknowledged meanwhile is noted with it.

    Returns how many waited; None where there was nothing to commit.

    Args:
        file, store, buffer: of the outbox.
        sending: when today's lane will be sent; what will be gone before the next commit is noted as sent in this one.

    Raises:
        sqlite3.Error: from the disk; everything waits still.
    """
    drafts, live, unsaved = buffer.peek(), file.epochs.live, file.epochs.unsaved
    if live is None:
        return None
    since = live.since if live.since is not None or not drafts else drafts[0].appended
    last = live.row.last_seq + sum(stands_for(draft.record) for draft in drafts)
    leaves = sending is not None and sending.takes(since, last - live.row.acked)
    sent = last if leaves else live.row.sent_through
    if not (drafts or unsaved or sent > live.row.sent_through):
        return None
    # Before it is true: a power cut in between must not leave a bound that is too low.
    file.tide.rise(file.epochs.owed + len(buffer))
    number, rows = live.row.last_seq, []
    for draft in drafts:
        record, uptime = draft.record, draft.uptime
        if uptime is not None and file.boot_zero is not None:
            record, uptime = dated(record, file.boot_zero, uptime), None
        record = renumbered(record, number)
        first, number = messages.first_seq(record), record.seq
        span = 60 if isinstance(record, Tally) else 0
        rows.append(RecordRow(number, first, span, uptime, messages.encode(record)))
    with store.transaction():
        for epoch in unsaved:
            store.save_epoch(epoch.row)
            if epoch.acked_us is not None:
                store.add_ack(epoch.row.ordinal, epoch.row.acked, epoch.acked_us)
        store.add_records(live.row.ordinal, rows)
        for name, number in dict(mark for draft in drafts for mark in draft.marks).items():
            store.set_meta(name, number)
        store.save_epoch(replace(live.row, last_seq=last, sent_through=sent))
        file.note(store)
    file.lost_kept = file.lost
    live.row.last_seq, live.row.sent_through, live.since = last, sent, since
    for epoch in unsaved:
        epoch.unsaved, epoch.acked_us = False, None
    buffer.drop(len(drafts))
    return len(drafts)


class Committer:
    """The thread that commits what is appended, at most `every_s` after it was."""

    def __init__(self, buffer: Buffer, flush: Callable[[], bool], every_s: float) -> None:
        """Nothing runs yet.

        Args:
            buffer: wakes it.
            flush: commits; False when the disk takes nothing now.
            every_s: appends are gathered this long.
        """
        self._buffer = buffer
        self._flush = flush
        self._every_s = every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for a commit under way."""
        self._closing.set()
        self._buffer.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            appended = self._buffer.wait(TEND_S)
            if appended is not None:
                self._closing.wait(max(0.0, appended + self._every_s - time.monotonic()))
            if not self._closing.is_set() and not self._flush():
                self._closing.wait(RETRY_S)
