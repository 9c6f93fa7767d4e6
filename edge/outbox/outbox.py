"""What was counted, on disk until the server says it has it. The promise "a count is never lost" lives here.

Traps avoided: a number used twice after a power cut or a restored disk image (every start is a new epoch, and numbers
are given as rows are written, so what never reached the disk leaves no hole); a record whose content changes after it
was sent (`sent_through` is on disk before a batch is handed out, and only what lies above it is ever folded); an old
acknowledgement that skips records after a rewind (none counts beyond what was handed out since).
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from edge import models
from edge.clock import Clock, Moment
from edge.outbox.batch import Held, crossings_held
from edge.outbox.buffer import Buffer
from edge.outbox.cadence import Cadence
from edge.outbox.epochs import Lane
from edge.outbox.file import OutboxFile
from edge.outbox.records import coverage_record, crossing_record
from edge.outbox.sending import hand_out, save_rewound
from edge.outbox.store import Store, StoreInUse
from edge.outbox.writing import Committer
from wire import messages
from wire.messages import CameraState, Record

log = logging.getLogger(__name__)


class OutboxError(RuntimeError):
    """The outbox can't be used at all; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a lane has to send.

    Attributes:
        count: records not yet acknowledged.
        since: when the oldest not yet handed out was appended, on the process's monotonic clock; None when all were.
    """

    count: int
    since: float | None


class Outbox:
    """Appends from any thread, batches out for the uplink's thread, one SQLite writer."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        commit_every_s: float = 1.0,
        keep_acked: timedelta = timedelta(days=7),
        quota_bytes: int = 256 * 1024 * 1024,
        max_batch: int = 2000,
        buffer_limit: int = 50_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, or make it, and begin a new epoch.

        A file that can't be believed is put aside as `<name>.corrupt-<time>-lost-<number>`. A disk that takes nothing
        is tried again with every flush, and what is counted meanwhile waits in memory.

        Args:
            path: the file; its folder is made.
            clock: boot, uptime and, when trusted, UTC.
            commit_every_s: appends are gathered this long before a commit; 0 commits each as it comes.
            keep_acked: how long acknowledged records stay, for a server that comes back from a backup.
            quota_bytes: beyond it acknowledged records go early, then the oldest never sent are folded.
            max_batch: most records in one batch.
            buffer_limit: most records in memory while the disk takes none; beyond it they are folded there.
            monotonic: seconds by which appends are gathered.

        Raises:
            OutboxError: when another process holds the file.
        """
        self.path = path
        #: Called, without a lock held, after records reached the disk.
        self.on_commit: Callable[[], None] | None = None
        self._max_batch = max_batch
        self._buffer = Buffer(buffer_limit, monotonic)
        # Guards all below. A camera's thread takes it only when each append is committed at once.
        self._lock = threading.RLock()
        self._cadence = Cadence(commit_every_s, max_batch, monotonic)
        self._file = OutboxFile(path, clock, keep_acked=keep_acked, quota_bytes=quota_bytes)
        self._closed = self._ending = False
        self._committer = Committer(self._buffer, self._keep_flushing, commit_every_s)
        try:
            self._file.open()
        except StoreInUse as error:
            raise OutboxError(
                f"{path} is in use: another agent runs on it; stop that one, or give this one an outbox of its own"
            ) from error

    # -- in --------------------------------------------------------------------------------------------------------

    def append_crossing(
        self, camera: str, crossing: models.Crossing, when: Moment, *, counted_again: bool = False
    ) -> None:
        """Take one crossing seen by `camera`; for `counted_again` see `append`."""
        undated = when.uptime if when.at is None else None
        self.append(crossing_record(camera, crossing, when), undated, counted_again=counted_again)

    def append_coverage(
        self,
        camera: str,
        minute: Moment,
        *,
        seconds: float,
        frames: int,
        state: CameraState,
        marks: Mapping[str, int] | None = None,
    ) -> None:
        """Take what was watched of `camera` in the minute that began at `minute`; for `marks` see `append`."""
        record = coverage_record(camera, minute, seconds=seconds, frames=frames, state=state)
        self.append(record, minute.uptime if minute.at is None else None, marks)

    def append(
        self,
        record: Record,
        undated: float | None = None,
        marks: Mapping[str, int] | None = None,
        *,
        counted_again: bool = False,
    ) -> None:
        """Take a record; its number is given when it is written.

        Args:
            record: with any number; that is replaced.
            undated: uptime at which it happened, when its date is not known yet.
            marks: names and numbers to be kept in the transaction that keeps this record and all before it.
            counted_again: whether the next start would count it again if it never reached the disk, as it does a
                recording. What has marks is, for they say from where.
        """
        self._buffer.add(record, undated, tuple((marks or {}).items()), counted_again=counted_again or bool(marks))
        if self._cadence.every_s == 0:
            self.flush()

    def start(self) -> None:
        """Commit what is appended in time, from a thread of the outbox's own."""
        self._committer.start()

    def _keep_flushing(self) -> bool:
        """`flush` for the thread that must outlive every mistake."""
        try:
            return self.flush()
        except Exception as error:
            log.exception("outbox: unexpected error while writing; trying again")
            with self._lock:
                self._file.disk_problem(error)
                self._shrink()
            return False

    def flush(self) -> bool:
        """Commit everything appended so far and look after the file. False when the disk takes nothing now."""
        with self._lock:
            if self._closed:
                return False
            try:
                if self._file.store is None:
                    self._file.open()
                if self._file.store is None:
                    self._shrink()
                    return False
                written = self._cadence.write(self._file, self._file.store, self._buffer)
                self._file.tend(self._file.store)
            except sqlite3.Error as error:
                self._failed(error)
                return False
            except StoreInUse as error:
                self._file.disk_problem(error)
                self._shrink()
                return False
            self._file.unwritten.settle()
            if self._file.problems.pop("disk", None):
                log.warning("outbox: the disk takes records again")
        if written and self.on_commit is not None:
            self.on_commit()
        return True

    # -- what is held ----------------------------------------------------------------------------------------------

    def mark(self, name: str) -> int:
        """The number last kept with a record under this name; 0 when there is none."""
        with self._lock:
            return 0 if self._file.store is None else self._file.store.meta(name) or 0

    def crossings(self, camera: str, since: datetime) -> list[messages.Crossing]:
        """Crossings of a camera on disk, sent or not, dated at or after `since` (UTC), in the order they were kept."""
        with self._lock:
            store = self._file.store
            if store is None:
                return []
            return [
                record
                for epoch in store.epochs()
                for record in crossings_held(store, epoch.ordinal)
                if record.camera == camera and record.at >= since
            ]

    # -- out -------------------------------------------------------------------------------------------------------

    def waiting(self, lane: Lane) -> Waiting:
        """What a lane has to send; a backlog never waits for more."""
        with self._lock:
            epoch = self._file.epochs.lane(lane)
            if epoch is None:
                return Waiting(0, None)
            return Waiting(epoch.owed, epoch.since if lane == "live" else float("-inf"))

    def next_batch(self, lane: Lane) -> Held | None:
        """What to send now: from the first record not acknowledged, the same again until it is.

        `sent_through` is on disk when this returns. None when there is nothing, or nothing dated, or the disk
        does not let us note it; or, where `will_send` was said, when a commit was just made and the next one is to note
        it: ask again after that, or after `commit_every_s`.
        """
        with self._lock:
            epoch, store = self._file.epochs.lane(lane), self._file.store
            if epoch is None or store is None:
                return None
            try:
                live = epoch is self._file.epochs.live
                if live and not self._cadence.noted(self._file, store, self._buffer, epoch):
                    return None
                held = hand_out(self._file, store, epoch, self._max_batch)
            except sqlite3.Error as error:
                self._failed(error)
                return None
            if held is not None and live:
                self._cadence.will_send(None)
            return held

    def will_send(self, after_s: float | None) -> None:
        """Today's lane is free: its batch goes out once its oldest record has waited `after_s`; None: not any more.

        What goes out is then noted as sent in the commit before, instead of by one of its own.
        """
        with self._lock:
            self._cadence.will_send(after_s)

    @property
    def commit_every_s(self) -> float:
        """How long appends are gathered before a commit."""
        return self._cadence.every_s

    def acknowledge(self, epoch: str, seq: int) -> bool:
        """The server has committed `epoch` up to `seq`. Whether that was news; it never goes back.

        The next group commit notes it on disk: a power cut before that costs nothing but sending a batch again.
        """
        with self._lock:
            found = self._file.epochs.find(epoch)
            if found is None:
                self._file.lost -= self._file.epochs.found_again(epoch, seq)
                return False
            if not found.acknowledge(seq):
                return False
            found.acked_us = self._file.now_us()
            return True

    def rewind(self, epoch: str, seq: int) -> bool:
        """The server wants `epoch` again from `seq`, as far as it is held. Whether that changed anything."""
        with self._lock:
            found = self._file.epochs.find(epoch)
            if found is None:
                log.warning("outbox: asked to send epoch %s again, which is no longer held", epoch)
                return False
            if found is self._file.epochs.live:
                found.since = float("-inf")
            told = found.again
            if not found.rewind(seq):
                return False
            log.warning("outbox: the server lost epoch %s from %d; sending it again", epoch, seq)
            self._save(lambda store: save_rewound(store, found, seq))
            if not told:
                # It may have lost finished epochs too, which would never show it.
                self._file.probe()
            return True

    def _save(self, note: Callable[[Store], None]) -> None:
        """Keep what an answer changed, if the disk can take it now."""
        store = self._file.store
        if store is None:
            return
        try:
            note(store)
        except sqlite3.Error as error:
            self._failed(error)

    def rest(self, epoch: str, seconds: float) -> None:
        """Let the backlog's lane pass an epoch over for so long: what it owes is refused, and others wait behind it."""
        with self._lock:
            found = self._file.epochs.find(epoch)
            if found is not None:
                found.rests_until = time.monotonic() + seconds

    def probe(self) -> None:
        """Send the last record of every finished epoch once more.

        A server that came back from a backup would answer with a rewind, but only to a batch of that epoch, and a
        finished epoch sends none: without this, what it lost of one would stay lost.
        """
        with self._lock:
            self._file.probe()

    # -- epochs and state ------------------------------------------------------------------------------------------

    def begin_epoch(self) -> str | None:
        """Begin a new epoch, so that what is owed of the old one no longer delays today. The live epoch's name."""
        self.flush()
        with self._lock:
            if self._file.store is not None:
                try:
                    self._file.begin_epoch(self._file.store)
                except sqlite3.Error as error:
                    self._failed(error)
            return self.epoch

    def set_quota(self, quota_bytes: int) -> None:
        """Keep to another quota from the next commit on."""
        with self._lock:
            self._file.set_quota(quota_bytes)

    @property
    def epoch(self) -> str | None:
        """The live epoch; None while no file could be opened."""
        with self._lock:
            live = self._file.epochs.live
            return None if live is None else live.row.epoch

    @property
    def pending(self) -> int:
        """Records not yet acknowledged, in memory or on disk."""
        with self._lock:
            return len(self._buffer) + self._file.epochs.owed

    @property
    def lost(self) -> int:
        """Records lost for good since the outbox was made; after `last_word` also those no disk took."""
        with self._lock:
            left = self._buffer.at_risk if self._ending else 0
            return self._file.lost + (self._file.presumed or 0) + left

    @property
    def problem(self) -> str:
        """What is wrong, for a person; empty when nothing is."""
        with self._lock:
            left = self._buffer.at_risk if self._ending else 0
            told = [f"{left} records were never written to disk and are lost"] if left else []
            return "; ".join([*self._file.problems.values(), *told])

    def last_word(self) -> None:
        """The box is about to stop: commit what is there. What no disk takes now is told as lost from here on.

        Whoever starts next finds the number beside the outbox, unless the disk did not even take that.
        """
        ending = not self.flush()
        with self._lock:
            self._ending = ending

    def close(self) -> None:
        """Commit what is there and give the file up; what no disk took is counted as lost."""
        self._committer.stop()
        self.flush()
        with self._lock:
            # A camera that is late in ending must not open the file again.
            self._closed, self._ending = True, False
            if left := self._buffer.at_risk:
                self._file.lost += left
                log.error("outbox: %d records were never written to disk and are lost", left)
            self._file.close()

    # -- a disk that fails -----------------------------------------------------------------------------------------

    def _failed(self, error: sqlite3.Error) -> None:
        """The file is replaced or waited for; memory stays bounded."""
        try:
            self._file.failed(error)
        except StoreInUse as taken:
            self._file.disk_problem(taken)
        self._shrink()

    def _shrink(self) -> None:
        if lost := self._buffer.shrink():
            self._file.lost += lost
            log.error("outbox: memory is full and the disk takes nothing; %d records lost so far", self._file.lost)
        self._file.unwritten.note(self._buffer.at_risk + max(0, self._file.lost - self._file.lost_kept))
